using System.Runtime.InteropServices;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

public sealed class ToolkitConversionTests(ConversionFiles files) : IClassFixture<ConversionFiles>, IDisposable
{
    private readonly TemporaryFolder output = new();
    private readonly List<RecordedToolkit> toolkits = [];

    [Theory]
    [InlineData(Precision.W8A8, "tiny-int8.rknn", 103_067)]
    [InlineData(Precision.Fp16, "tiny-fp16.rknn", 204_953)]
    public async Task A_conversion_ends_with_the_toolkits_own_file_and_its_compile_report(Precision precision, string expected, long cycles)
    {
        var steps = new Steps();
        var request = files.Request(Toolkit(), output, precision);

        var made = await ToolkitConversion.RunAsync(request, steps, TestContext.Current.CancellationToken);

        Assert.Equal(File.ReadAllBytes(Recordings.File(expected)), File.ReadAllBytes(request.Artifact));
        Assert.Equal(
            (precision == Precision.W8A8, cycles, true),
            (made.File.Outputs[0].IsInt8, made.Compile.Cycles, made.Compile.Complete)
        );
        Assert.Equal([Path.GetFileName(request.Artifact), Path.GetFileName(request.Artifact) + ".log"], Left());
        Assert.Contains(steps.All, step => step.Activity.EndsWith(": building", StringComparison.Ordinal) && step.Done == 1);
        Assert.Contains(
            steps.All,
            step =>
                step.Activity.EndsWith(precision == Precision.W8A8 ? ": Quantizating" : ": Loading", StringComparison.Ordinal)
                && step is { Total: > 70 }
                && step.Done == step.Total
        );
    }

    [Fact]
    public async Task A_hybrid_plan_in_names_of_the_prepared_model_reaches_the_toolkit_in_its_own()
    {
        var request = files.Request(Toolkit(), output);
        request = request with
        {
            Variant = request.Variant with { Fp16 = ["/layer.3/output/Add_output_0 -> /layer.3/output/LayerNorm/Add_1_output_0", "head"] },
            Limits = new() { KeepScratch = true },
        };

        var made = await ToolkitConversion.RunAsync(request, cancellation: TestContext.Current.CancellationToken);

        Assert.Equal("/layer.3/output/LayerNorm/ReduceMean_2ln", made.Hybrid[0]);
        Assert.Contains("logits", made.Hybrid);
        var configurations = Directory
            .EnumerateFiles(output.Path, "model.quantization.cfg", SearchOption.AllDirectories)
            .Select(File.ReadAllText)
            .ToList();
        Assert.Contains(
            configurations,
            text =>
                text.StartsWith(
                    "custom_quantize_layers:\n    /layer.3/output/LayerNorm/ReduceMean_2ln: float16\n",
                    StringComparison.Ordinal
                )
        );
    }

    [Fact]
    public async Task Settings_of_the_variant_reach_the_toolkit_as_it_calls_them()
    {
        var request = files.Request(Toolkit(), output);
        request = request with
        {
            Variant = request.Variant with
            {
                Algorithm = QuantizationAlgorithm.KlDivergence,
                Method = QuantizationMethod.Layer,
                OptimizationLevel = 2,
                AutoHybrid = new AutoHybrid(0.97, 12),
            },
            CustomString = "made by a test",
            Limits = new() { KeepScratch = true },
        };

        await ToolkitConversion.RunAsync(request, cancellation: TestContext.Current.CancellationToken);

        Assert.Equal(
            [
                """{"auto_hybrid_cos_thresh": 0.97, "auto_hybrid_euc_thresh": 12, "call": "config", "custom_string": "made by a test", "optimization_level": 2, "quantized_algorithm": "kl_divergence", "quantized_dtype": "w8a8", "quantized_method": "layer", "target_platform": "rk3588"}""",
                """{"call": "load_onnx", "input_size_list": [[1, 128], [1, 128], [1, 128]], "inputs": ["input_ids", "attention_mask", "token_type_ids"]}""",
                """{"auto_hybrid": true, "call": "build", "do_quantization": true}""",
            ],
            File.ReadAllLines(Assert.Single(Directory.EnumerateFiles(output.Path, "calls.jsonl", SearchOption.AllDirectories)))
        );
    }

    [Fact]
    public async Task A_plan_that_a_pass_left_in_the_model_reaches_the_toolkit_too()
    {
        var model = OnnxModel.Load(files.Prepared);
        var request = files.Request(Toolkit(), output) with { Source = output.File("planned.onnx") };
        Fp16Plan.Add(model, ["/layer.2/output/Add_output_0 -> /layer.2/output/LayerNorm/Add_1_output_0"]).Save(request.Source);

        var made = await ToolkitConversion.RunAsync(
            request with
            {
                Variant = request.Variant with { Fp16 = ["head"] },
            },
            cancellation: TestContext.Current.CancellationToken
        );

        Assert.Superset(new HashSet<string> { "/layer.2/output/LayerNorm/ReduceMean_2ln", "logits" }, made.Hybrid.ToHashSet());
    }

    [Fact]
    public async Task A_plan_that_names_nothing_fails_by_name_before_anything_is_built()
    {
        var request = files.Request(Toolkit(), output);

        var failure = await Failure(request with { Variant = request.Variant with { Fp16 = ["*/outputs/Add*"] } });

        Assert.StartsWith("fp16: '*/outputs/Add*': no tensor is called '*/outputs/Add*'", failure);
    }

    [Fact]
    public async Task Scores_of_the_toolkits_simulator_and_its_error_analysis_come_back()
    {
        var request = files.Request(Toolkit(), output) with { Simulate = [new(files.Dataset, output.File("outputs"))], Analyse = true };

        var made = await ToolkitConversion.RunAsync(request, cancellation: TestContext.Current.CancellationToken);

        Assert.Equal([0.325279f, -0.650557f], MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(output.File("outputs"))).ToArray());
        Assert.Equal(
            "/layer.0/attention/self/MatMul_1_output_0_sdpa",
            made.Analysis!.Layers.Single(layer =>
                layer.Operator == "exSDPAttention" && layer.Name.StartsWith("/layer.0", StringComparison.Ordinal)
            ).Name
        );
    }

    [Fact]
    public async Task Two_conversions_at_once_do_not_meet()
    {
        var (first, second) = (Toolkit(), Toolkit());

        await Task.WhenAll(
            ToolkitConversion.RunAsync(files.Request(first, output), cancellation: TestContext.Current.CancellationToken),
            ToolkitConversion.RunAsync(files.Request(second, output, Precision.Fp16), cancellation: TestContext.Current.CancellationToken)
        );

        Assert.Equal(File.ReadAllBytes(Recordings.File("tiny-int8.rknn")), File.ReadAllBytes(output.File("tiny-W8A8.rknn")));
        Assert.Equal(File.ReadAllBytes(Recordings.File("tiny-fp16.rknn")), File.ReadAllBytes(output.File("tiny-Fp16.rknn")));
    }

    [Theory]
    [InlineData(
        "replay:dyn",
        "failed in load_onnx: The input shape ['batch_size', 'sequence_length'] of 'input_ids' is not support!",
        "declare 'shapes'"
    )]
    [InlineData("replay:badtarget", "failed in config: Invalid target_platform 'rk9999'!", "Set 'target'")]
    [InlineData("replay:nofile", "failed in load_onnx: Model file nope.onnx not exists!", "Run Prepare again")]
    [InlineData("replay:garbage", "failed in load_onnx: Error parsing message", "no ONNX model")]
    [InlineData("replay:dq", "failed in build: The DynamicQuantizeLinear(", "Start from the fp32 ONNX file")]
    [InlineData("oom", "failed in build: ended by signal 9 (Killed)", "want of memory")]
    [InlineData("disk", "failed in build: OSError: [Errno 28] No space left on device", "Free some disk space")]
    [InlineData(
        "garbage",
        "failed in build: something else than an event is on the driver's pipe; it begins '{\"event\": \"result\"'",
        "log"
    )]
    [InlineData("flood", "failed in build: an event on the driver's pipe has more than 8388608 bytes", "log")]
    [InlineData("exit", "failed in build: ended without a result", "log")]
    public async Task Every_way_of_failing_becomes_one_sentence_and_leaves_only_the_log(string fault, string sentence, string hint)
    {
        var request = files.Request(Toolkit(fault), output);

        var failure = await Failure(request);

        Assert.StartsWith($"{request.Artifact}: rknn-toolkit2 {sentence}", failure);
        Assert.Contains(hint, failure);
        Assert.EndsWith($"Its whole log is {request.Artifact}.log", failure);
        Assert.DoesNotContain('\n', failure);
        Assert.DoesNotContain('\e', failure);
        Assert.Equal([Path.GetFileName(request.Artifact) + ".log"], Left());
    }

    [Fact]
    public async Task A_missing_calibration_sample_is_told_by_a_return_code_and_explained_from_the_log()
    {
        var dataset = output.Write("dataset.txt", "nope/input_ids.npy nope/attention_mask.npy nope/token_type_ids.npy\n");

        var failure = await Failure(files.Request(Toolkit(), output) with { Dataset = dataset });

        Assert.Contains("failed in build: Dataset file dataset.txt not found! Calibrate again", failure);
    }

    [Fact]
    public async Task The_memory_limit_holds()
    {
        var failure = await Failure(files.Request(Toolkit("memory"), output) with { Limits = new() { MemoryMb = 1024 } });

        Assert.Contains("failed in build: MemoryError. It needs more memory", failure);
    }

    [Fact]
    public async Task A_hanging_toolkit_ends_with_the_time_limit()
    {
        var failure = await Failure(files.Request(Toolkit("hang"), output) with { Limits = new() { Time = TimeSpan.FromSeconds(2) } });

        // On a busy machine Python may not have come further than the import.
        Assert.Matches("failed in \\w+: the time limit of 2 s was reached(; the last that it printed is '[^']+')?. It hangs", failure);
        Assert.Contains("'toolkit_minutes' of the variant", failure);
        Assert.Equal(["tiny-W8A8.rknn.log"], Left());
    }

    [Fact]
    public async Task Cancelling_ends_a_deaf_toolkit_and_its_children_and_leaves_only_the_log()
    {
        using var cancellation = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var running = ToolkitConversion.RunAsync(files.Request(Toolkit("hang"), output), cancellation: cancellation.Token);
        var pids = await RecordedToolkit.HangingAsync(output.Path);

        await cancellation.CancelAsync();

        // Left alone it would sleep for ever; the patience is a busy machine's.
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            running.WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken)
        );
        await RecordedToolkit.EndedAsync(pids);
        Assert.Equal(["tiny-W8A8.rknn.log"], Left());
    }

    [Fact]
    public async Task A_full_disk_under_the_log_is_told()
    {
        File.CreateSymbolicLink(output.File("tiny-W8A8.rknn.log"), "/dev/full");

        Assert.Contains("failed in log: '", await Failure(files.Request(Toolkit(), output)));
        Assert.Equal(["tiny-W8A8.rknn.log"], Left());
    }

    [Fact]
    public async Task A_file_that_the_toolkit_did_not_finish_is_refused()
    {
        Assert.Contains(
            "not the .rknn file that was expected: its header announces a payload of 2731136 bytes",
            await Failure(files.Request(Toolkit("cut"), output))
        );
        Assert.Equal(["tiny-W8A8.rknn.log"], Left());
    }

    [Fact]
    public async Task A_build_whose_compile_report_has_no_end_is_an_error()
    {
        Assert.Contains(
            "rknn-toolkit2 built it, and its compile report has no internal memory size and no weight memory size. Nothing can be judged",
            await Failure(files.Request(Toolkit("unended"), output))
        );
        Assert.Equal(["tiny-W8A8.rknn.log"], Left());
    }

    [Fact]
    public async Task Another_version_of_the_toolkit_than_the_variants_is_refused()
    {
        var request = files.Request(Toolkit(), output);

        Assert.Contains(
            "toolkit 2.3.2 is installed and the variant asks for 2.5.0",
            await Failure(request with { Variant = request.Variant with { Toolkit = "2.5.0" } })
        );
    }

    [Fact]
    public async Task An_environment_that_went_away_is_named()
    {
        var request = files.Request(Toolkit(), output);

        var failure = await Failure(request with { Environment = request.Environment with { Python = output.File("bin/python") } });

        Assert.Contains($"'{output.File("bin/python")}' is missing; run the target Provision", failure);
    }

    [Fact]
    public async Task A_version_that_can_gets_all_shapes_at_once_and_its_file_may_have_any_of_them()
    {
        toolkits.Add(new RecordedToolkit(version: "2.5.0"));
        var request = files.Request(toolkits[^1], output, Precision.Fp16);
        OnnxModel.Load(RepositoryFiles.Sample("tiny-reranker/model.onnx")).Save(output.File("open.onnx"));

        var made = await ToolkitConversion.RunAsync(
            request with
            {
                Source = output.File("open.onnx"),
                Variant = request.Variant with { Toolkit = "2.5.0" },
                Shapes = [new(1, 64), new(1, 128)],
                Limits = new() { KeepScratch = true },
            },
            cancellation: TestContext.Current.CancellationToken
        );

        Assert.Equal(("2.5.0", "logits [1,1]"), (made.File.Compiler, Assert.Single(made.File.Outputs).Shape.ToString()));
        var calls = File.ReadAllLines(Assert.Single(Directory.EnumerateFiles(output.Path, "calls.jsonl", SearchOption.AllDirectories)));
        Assert.Contains("\"dynamic_input\": [[[1, 64], [1, 64], [1, 64]], [[1, 128], [1, 128], [1, 128]]]", calls[0]);
        Assert.Equal("""{"call": "load_onnx", "input_size_list": null, "inputs": null}""", calls[1]);
    }

    [Fact]
    public async Task The_scratch_folder_stays_only_when_asked()
    {
        await ToolkitConversion.RunAsync(
            files.Request(Toolkit(), output) with
            {
                Limits = new() { KeepScratch = true },
            },
            cancellation: TestContext.Current.CancellationToken
        );

        Assert.Single(Directory.EnumerateFiles(output.Path, "check3_fuse_ops.onnx", SearchOption.AllDirectories));
    }

    public void Dispose()
    {
        output.Dispose();
        toolkits.ForEach(toolkit => toolkit.Dispose());
    }

    private RecordedToolkit Toolkit(string fault = "")
    {
        toolkits.Add(new RecordedToolkit(fault));
        return toolkits[^1];
    }

    private static async Task<string> Failure(ToolkitRequest request) =>
        (
            await Assert.ThrowsAsync<PipelineException>(() =>
                ToolkitConversion.RunAsync(request, cancellation: TestContext.Current.CancellationToken)
            )
        ).Message;

    private IEnumerable<string?> Left() => Directory.EnumerateFileSystemEntries(output.Path).Select(Path.GetFileName).Order();
}
