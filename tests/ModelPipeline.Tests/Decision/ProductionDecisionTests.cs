using ModelPipeline.Core;
using ModelPipeline.Decision;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;
using ModelPipeline.Tests.Validation;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.Decision;

public class ProductionDecisionTests
{
    private static readonly ModelSpec Model = new()
    {
        Name = "tiny-reranker",
        Version = "0.1.0",
        Task = ModelTask.Rerank,
        Source = new() { File = "model.onnx" },
        Tokenizer = new() { Vocab = new() { File = "vocab.txt" } },
        Shapes = [new(1, 128)],
        Calibration = new() { Corpus = "sample" },
        Validation = new() { Corpus = "sample", Device = "simulator" },
        Variants = [],
        Decision = new()
        {
            Npu = new Dictionary<string, string>
            {
                ["RERANK_MODEL"] = "",
                ["NPU_RERANK_MODEL"] = "{file}",
                ["NPU_RERANK_ENABLED"] = "1",
            },
            Cpu = new Dictionary<string, string> { ["RERANK_MODEL"] = "ms-marco-MiniLM-L-12-v2", ["NPU_RERANK_ENABLED"] = "0" },
        },
    };

    [Fact]
    public void Nothing_measured_on_a_device_decides_for_the_cpu_and_says_why_for_each_variant()
    {
        var decision = Make([
            SampleReports.Of("int8_normal", 2_732_811),
            SampleReports.Of("int8_unmasked_normal", 2_732_811),
            SampleReports.Of("fp16", 1, Backend.Onnx),
        ]);
        Assert.Null(decision.Winner);
        Assert.Equal("NPU_RERANK_ENABLED=0\nRERANK_MODEL=ms-marco-MiniLM-L-12-v2\n", EnvironmentFile.Text(decision.Environment));
        Assert.Equal(
            [
                "its figures come from a simulator, and nothing simulated goes into production",
                "latency_p95_ms not measured: needs a device",
            ],
            decision.Variants[0].Reasons
        );
        Assert.Contains("kendall_tau -0.078 is below its minimum 0.900 by 0.978", decision.Variants[1].Reasons);
        Assert.Equal(["runs on the CPU: it is what production falls back to"], decision.Variants[2].Reasons);
        Assert.DoesNotContain(decision.Variants, verdict => verdict.Chosen);
        Assert.Equal("tiny-reranker-fp16-1x128.onnx", decision.Serve);
    }

    [Fact]
    public void Without_declared_variables_the_task_names_them_and_the_file_is_the_models_own()
    {
        var model = Model with { Decision = new() };
        var cpu = SampleReports.Of("fp16", 1, Backend.Onnx);
        Assert.Equal("RERANK_BACKEND=cpu\nRERANK_MODEL=tiny-reranker-fp16-1x128.onnx\n", Variables(cpu));
        Assert.Equal(
            "RERANK_BACKEND=npu\nRERANK_MODEL=tiny-reranker-int8_normal-1x128.rknn\n",
            Variables(cpu, Board("int8_normal", p95: 1))
        );
        // What ranks badly is served by nobody.
        Assert.Equal("RERANK_BACKEND=cpu\nRERANK_MODEL=\n", Variables(SampleReports.Of("int8_unmasked_normal", 1, Backend.Onnx)));

        string Variables(params ValidationReport[] reports) =>
            EnvironmentFile.Text(ProductionDecision.Make(model, reports, SampleReports.Routings(reports)).Environment);
    }

    [Fact]
    public void The_first_variant_in_file_order_that_passes_on_a_device_wins()
    {
        var decision = Make([
            Board("int8_unmasked_normal", p95: 40),
            Board("fp16", p95: 100.1),
            Board("int8_normal", p95: 100),
            Board("int8_kl_divergence", p95: 1, gates: [new(Metric.NdcgAt10, 0.7, null, null)]),
        ]);
        Assert.Equal("tiny-reranker-int8_normal-1x128.rknn", decision.Winner);
        Assert.Equal(
            "NPU_RERANK_ENABLED=1\nNPU_RERANK_MODEL=tiny-reranker-int8_normal-1x128.rknn\nRERANK_MODEL=\n",
            EnvironmentFile.Text(decision.Environment)
        );
        Assert.Equal([false, false, true, false], decision.Variants.Select(verdict => verdict.Chosen));
        Assert.Equal(["latency_p95_ms 100.1 is above its maximum 100.0 by 0.1"], decision.Variants[1].Reasons);
        Assert.Equal(
            ["passes its accuracy gates and its p95 of 100.0 ms a passage, measured on board, is within 100 ms"],
            decision.Variants[2].Reasons
        );
        Assert.EndsWith("but tiny-reranker-int8_normal-1x128.rknn comes first in models.yaml", decision.Variants[3].Reasons.Single());
    }

    [Theory]
    [InlineData(Backend.Simulator, DeviceKind.Ssh)]
    [InlineData(Backend.Simulator, DeviceKind.Simulator)]
    [InlineData(Backend.Rknn, DeviceKind.Simulator)]
    [InlineData(Backend.Onnx, DeviceKind.Local)]
    public void A_simulated_or_cpu_variant_never_wins_however_good_its_figures(Backend backend, DeviceKind device) =>
        Assert.Null(Make([SampleReports.Of("fp16", 1, backend, device, p95: 0.1)]).Winner);

    [Fact]
    public void A_variant_without_an_accuracy_gate_or_with_one_not_measured_never_wins()
    {
        GateSpec[][] weak =
        [
            [],
            [new(Metric.SizeMb, null, 100, null)],
            [new(Metric.CosineMin, 0.9, null, null)],
        ];
        Assert.All(weak, gates => Assert.Null(Make([Board("fp16", 1, gates)]).Winner));
    }

    [Fact]
    public void A_latency_gate_of_the_variant_does_not_replace_the_limit_of_the_decision() =>
        Assert.Null(Make([Board("fp16", 150, [.. SampleReports.Gates.SkipLast(1), new(Metric.LatencyP95Ms, null, 200, null)])]).Winner);

    /// <summary>Three shapes of one variant: each passes its gates, 256 is slow, and few passages are so long.</summary>
    [Fact]
    public void A_variant_of_several_shapes_is_judged_as_they_serve_the_corpus_together()
    {
        var decision = ProductionDecision.Make(Model, Shapes(64, 128, 256), [Served(p95: 90)]);
        Assert.Equal("fp16-256.rknn", decision.Winner);
        Assert.Equal(
            [(64, "fp16-64.rknn"), (256, "fp16-256.rknn")],
            decision.Buckets.Select(bucket => (bucket.MaxTokens, bucket.Artifact))
        );
        Assert.Equal("three_contexts", decision.CorePlan);
        Assert.Equal([true, false, true], decision.Variants.Select(verdict => verdict.Chosen));
        Assert.Equal(
            ["passes its accuracy gates and its p95 of 90.0 ms a passage, measured on board, is within 100 ms"],
            decision.Variants[0].Reasons
        );
        Assert.Equal(["a longer shape of this variant is as fast"], decision.Variants[1].Reasons);
    }

    [Fact]
    public void One_shape_that_does_not_pass_rules_out_the_variant()
    {
        ValidationReport[] reports = [Shape(64), Shape(256, "int8_unmasked_normal")];
        var decision = ProductionDecision.Make(Model, reports, [Served(p95: 90)]);
        Assert.Null(decision.Winner);
        Assert.Equal((0, null), (decision.Buckets.Count, decision.CorePlan));
        Assert.Equal(["another shape of this variant does not pass"], decision.Variants[0].Reasons);
        Assert.Contains("kendall_tau -0.078 is below its minimum 0.900 by 0.978", decision.Variants[1].Reasons);
    }

    [Fact]
    public void A_ranking_or_a_latency_that_fails_only_together_rules_out_the_variant()
    {
        var slow = ProductionDecision.Make(Model, Shapes(64, 256), [Served(p95: 101)]);
        Assert.Null(slow.Winner);
        Assert.Contains("served by length, latency_p95_ms 101.0 is above its maximum 100.0 by 1.0", slow.Variants[0].Reasons);
        var gate = Gate.Judge(
            new(Metric.KendallTau, 0.9, null, null),
            new Dictionary<string, double> { [Metric.KendallTau] = 0.8 },
            new Dictionary<string, double>(),
            true
        );
        var muddled = ProductionDecision.Make(Model, Shapes(64, 256), [Served(p95: 90) with { Gates = [gate] }]);
        Assert.Null(muddled.Winner);
        Assert.Contains("served by length, kendall_tau 0.800 is below its minimum 0.900 by 0.100", muddled.Variants[1].Reasons);
    }

    [Fact]
    public void The_environment_may_name_all_files_and_the_core_plan()
    {
        var model = Model with
        {
            Decision = Model.Decision with
            {
                Npu = new Dictionary<string, string>
                {
                    ["MODELS"] = "{buckets}",
                    ["PLAN"] = "{core_plan}",
                    ["MODEL"] = "{file}",
                },
            },
        };
        Assert.Equal(
            "MODEL=fp16-256.rknn\nMODELS=64:fp16-64.rknn,256:fp16-256.rknn\nPLAN=three_contexts\n",
            EnvironmentFile.Text(ProductionDecision.Make(model, Shapes(64, 256), [Served(p95: 90)]).Environment)
        );
    }

    private static ValidationReport[] Shapes(params int[] tokens) => [.. tokens.Select(length => Shape(length))];

    private static ValidationReport Shape(int tokens, string build = "fp16")
    {
        var report = Board(build, p95: tokens);
        return report with { Subject = report.Subject with { Variant = "fp16", Shape = $"1x{tokens}", Artifact = $"fp16-{tokens}.rknn" } };
    }

    private static VariantRouting Served(double p95) =>
        new(
            "fp16",
            [new(64, "fp16-64.rknn", 90, 0.9), new(256, "fp16-256.rknn", 10, 0.1)],
            new(0, 0, 0, 0),
            [new("sequence", 70, p95, 350, 256, 1280), new("three_contexts", 80, 95, 160, 280, 560)],
            new Dictionary<string, double> { [Metric.LatencyP95Ms] = p95 },
            []
        );

    [Theory]
    [InlineData("KEY", "two words")]
    [InlineData("KEY", "it's")]
    [InlineData("KEY", "\"quoted\"")]
    [InlineData("KEY", "$HOME")]
    [InlineData("KEY", "`id`")]
    [InlineData("KEY", "a\nB=c")]
    [InlineData("KEY", "trailing\n")]
    [InlineData("KEY", "~/model")]
    [InlineData("KEY", "a#b")]
    [InlineData("KEY", "a;b")]
    [InlineData("KEY", "é")]
    [InlineData("KEY", "{file}")]
    [InlineData("2KEY", "a")]
    [InlineData("KEY ", "a")]
    [InlineData("", "a")]
    [InlineData("KEY\n", "a")]
    public void What_would_need_quotes_is_refused_by_name(string key, string value)
    {
        var error = Assert.Throws<PipelineException>(() =>
            EnvironmentFile.Resolve(new Dictionary<string, string> { [key] = value }, null, null)
        );
        Assert.Contains(key, error.Message);
        Assert.Equal(PipelineException.ConfigurationError, error.ExitCode);
    }

    [Fact]
    public async Task A_shell_that_sources_the_file_sees_the_very_values()
    {
        var environment = EnvironmentFile.Resolve(
            new Dictionary<string, string>
            {
                ["A"] = "",
                ["B"] = "/opt/models/x_1.2-rc.1+b@c:d=e,f%g",
                ["C"] = "{file}",
            },
            "tiny-int8.rknn",
            SampleReports.Whole("int8", "tiny-int8.rknn")
        );
        var path = Path.GetTempFileName();
        try
        {
            AtomicFile.WriteText(path, EnvironmentFile.Text(environment));
            var shell = await Programs.RunAsync("", "sh", "-c", "set -eu; . \"$1\"; printf '%s|' \"$A\" \"$B\" \"$C\"", "sh", path);
            Assert.Equal((0, string.Concat(environment.Values.Select(value => value + "|"))), shell);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static ProductionDecision Make(IReadOnlyList<ValidationReport> reports) =>
        ProductionDecision.Make(Model, reports, SampleReports.Routings(reports));

    private static ValidationReport Board(string build, double p95, IReadOnlyList<GateSpec>? gates = null) =>
        SampleReports.Of(build, 2_732_811, Backend.Rknn, DeviceKind.Ssh, p95, gates);
}
