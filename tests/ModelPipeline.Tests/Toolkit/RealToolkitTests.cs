using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>Conversions with the real rknn-toolkit2: whole logs, the same bytes twice, failures in one sentence, limits.</summary>
public sealed class RealToolkitTests(ConversionFiles files) : IClassFixture<ConversionFiles>, IDisposable
{
    private static readonly string[] Residuals = ["head", "/layer.#/output/Add_output_0 -> /layer.#/output/LayerNorm/Add_1_output_0"];

    private readonly TemporaryFolder first = new();
    private readonly TemporaryFolder second = new();

    [Theory]
    [InlineData("2.3.2", Precision.Fp16, false)]
    [InlineData("2.3.2", Precision.W8A8, false)]
    [InlineData("2.3.2", Precision.W8A8, true)]
    [InlineData("2.5.0", Precision.Fp16, false)]
    [InlineData("2.5.0", Precision.W8A8, false)]
    [InlineData("2.5.0", Precision.W8A8, true)]
    public async Task The_same_inputs_give_the_same_bytes_in_any_folder_and_a_whole_compile_report(
        string version,
        Precision precision,
        bool hybrid
    )
    {
        var environment = await RealToolkit.OfAsync(version);
        var steps = new Steps();

        var made = await ToolkitConversion.RunAsync(Request(first), steps, Cancellation);
        await ToolkitConversion.RunAsync(Request(second), cancellation: Cancellation);

        Assert.Equal(File.ReadAllBytes(first.File("tiny.rknn")), File.ReadAllBytes(second.File("tiny.rknn")));
        Assert.Equal(version, made.File.Compiler);
        Assert.True(
            made.Compile is { Complete: true, Cycles: > 50_000, WeightKb: > 4000, InternalKb: > 200 },
            $"{made.Compile with { Layers = [], Features = [], Constants = [] }}"
        );
        Assert.Contains(made.Compile.Layers, layer => layer is { Operator: "exSDPAttention", Target: "NPU" });
        Assert.Equal((4, 0), (made.Compile.FusedAttentions, made.Compile.OpenAttentions));
        Assert.Equal(hybrid, made.Hybrid.Count >= 5);
        Assert.Equal(["tiny.rknn", "tiny.rknn.log"], Left());
        Assert.All(steps.All, step => Assert.StartsWith("quantize npu: ", step.Activity));

        ToolkitRequest Request(TemporaryFolder output) =>
            this.Request(environment, version, output, precision) with
            {
                Variant = Variant(version, precision) with { Fp16 = hybrid ? Residuals : [] },
            };
    }

    [Theory]
    [InlineData("2.3.2")]
    [InlineData("2.5.0")]
    public async Task Its_simulator_scores_what_was_built_and_its_analysis_names_tensors(string version)
    {
        var environment = await RealToolkit.OfAsync(version);

        var made = await ToolkitConversion.RunAsync(
            Request(environment, version, first, Precision.W8A8) with
            {
                Simulate = [new(files.Dataset, first.File("a")), new(files.Dataset, first.File("b"))],
                Analyse = true,
            },
            cancellation: Cancellation
        );

        Assert.Equal(2 * sizeof(float), new FileInfo(first.File("a")).Length);
        Assert.Equal(File.ReadAllBytes(first.File("a")), File.ReadAllBytes(first.File("b")));
        Assert.Contains(made.Analysis!.Layers, layer => layer.Operator == "exSDPAttention");
    }

    [Fact]
    public async Task One_file_for_several_shapes_has_a_whole_report_too()
    {
        var environment = await RealToolkit.OfAsync("2.5.0");
        OnnxModel.Load(RepositoryFiles.Sample("tiny-reranker/model.onnx")).Save(first.File("open.onnx"));

        var made = await ToolkitConversion.RunAsync(
            Request(environment, "2.5.0", first, Precision.Fp16) with
            {
                Source = first.File("open.onnx"),
                Shapes = [new(1, 64), new(1, 128)],
            },
            cancellation: Cancellation
        );

        Assert.True(made.Compile.Complete);
        Assert.Equal("2.5.0", made.File.Compiler);
    }

    /// <summary>Its second step would make a file for the largest shape alone.</summary>
    [Fact]
    public async Task Several_shapes_and_fp16_tensors_are_refused_in_one_sentence()
    {
        var environment = await RealToolkit.OfAsync("2.5.0");
        OnnxModel.Load(RepositoryFiles.Sample("tiny-reranker/model.onnx")).Save(first.File("open.onnx"));
        var request = Request(environment, "2.5.0", first, Precision.W8A8);

        var failure = await Failure(
            request with
            {
                Source = first.File("open.onnx"),
                Shapes = [new(1, 64), new(1, 128)],
                Variant = request.Variant with { Fp16 = ["head"] },
            }
        );

        Assert.Contains("cannot be one file for several shapes: set 'one_file: false'", failure, StringComparison.Ordinal);
    }

    /// <summary>Nor is the factor dropped, as one of 1 is.</summary>
    [Theory]
    [InlineData("2.3.2")]
    [InlineData("2.5.0")]
    public async Task Plain_attention_is_not_fused_and_stays_on_the_NPU(string version)
    {
        var environment = await RealToolkit.OfAsync(version);
        Pass.Named(PlainAttention.Name).Apply(OnnxModel.Load(files.Prepared)).Model.Save(first.File("plain.onnx"));

        var made = await ToolkitConversion.RunAsync(
            Request(environment, version, first, Precision.Fp16) with
            {
                Source = first.File("plain.onnx"),
            },
            cancellation: Cancellation
        );

        Assert.DoesNotContain(made.Compile.Layers, layer => layer.Operator == "exSDPAttention");
        Assert.Contains(made.Compile.Layers, layer => layer is { Operator: "exMatMul", Target: "NPU" });
        Assert.DoesNotContain(made.Compile.Layers, layer => layer is { Operator: "exMatMul" or "exSoftmax13" or "Mul", Target: "CPU" });
    }

    [Theory]
    [InlineData("2.3.2")]
    [InlineData("2.5.0")]
    public async Task What_it_refuses_is_one_sentence_with_a_way_out(string version)
    {
        var environment = await RealToolkit.OfAsync(version);
        var request = Request(environment, version, first, Precision.W8A8);

        Assert.Contains("failed in config: ", await Failure(request with { Variant = request.Variant with { Target = "rk9999" } }));
        Assert.Contains("Softmux", await Failure(request with { Source = Garbage() }));
        var missing = await Failure(request with { Dataset = first.Write("dataset.txt", "nope/a.npy nope/b.npy nope/c.npy\n") });
        Assert.Contains("failed in build: ", missing);
        Assert.Contains("Calibrate again", missing);
        Assert.Equal(["dataset.txt", "garbage.onnx", "tiny.rknn.log"], Left());

        string Garbage()
        {
            var text = System
                .Text.Encoding.Latin1.GetString(File.ReadAllBytes(files.Prepared))
                .Replace("Softmax", "Softmux", StringComparison.Ordinal);
            return first.Write("garbage.onnx", System.Text.Encoding.Latin1.GetBytes(text));
        }
    }

    [Fact]
    public async Task At_its_time_limit_it_ends_with_what_it_was_doing_and_leaves_only_its_log()
    {
        var environment = await RealToolkit.OfAsync("2.3.2");

        var failure = await Failure(
            Request(environment, "2.3.2", first, Precision.W8A8) with
            {
                Analyse = true,
                Limits = new() { Time = TimeSpan.FromSeconds(3) },
            }
        );

        // On a busy machine it has printed nothing by then.
        Assert.Matches(@"failed in \w+: the time limit of 3 s was reached(; the last that it printed is '.+')?\.? It hangs", failure);
        Assert.Equal(["tiny.rknn.log"], Left());
    }

    public void Dispose()
    {
        first.Dispose();
        second.Dispose();
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static VariantSpec Variant(string version, Precision precision) =>
        new()
        {
            Name = "npu",
            Backend = Backend.Rknn,
            Precision = precision,
            Toolkit = version,
            Rewrites = [],
            Gates = [],
        };

    private ToolkitRequest Request(ToolkitEnvironment environment, string version, TemporaryFolder output, Precision precision) =>
        new()
        {
            Environment = environment,
            Source = files.Prepared,
            Artifact = output.File("tiny.rknn"),
            Variant = Variant(version, precision),
            Dataset = files.Dataset,
            CustomString = "made by a test",
        };

    private IEnumerable<string?> Left() =>
        Directory.EnumerateFileSystemEntries(first.Path).Select(Path.GetFileName).Order(StringComparer.Ordinal);

    private static async Task<string> Failure(ToolkitRequest request) =>
        (await Assert.ThrowsAsync<PipelineException>(() => ToolkitConversion.RunAsync(request, cancellation: Cancellation))).Message;
}
