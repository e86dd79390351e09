using System.Text.Json.Nodes;
using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Devices;
using ModelPipeline.Latency;
using ModelPipeline.Metrics;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.EndToEnd;

/// <summary>The main job with two shapes on ten queries, and with gates on latency that a simulator could easily pass.</summary>
public sealed class TwoShapesRun : IAsyncLifetime
{
    internal Workspace Workspace { get; } =
        new(
            Workspace.TenQueries,
            ("shapes: [[1, 128]] ", "shapes: [[1, 64], [1, 128]] "),
            (
                "kendall_tau: { min: 0.9 }",
                "kendall_tau: { min: 0.9 }\n          latency_p95_ms: { max: 100000 }\n          request_p95_ms: { max: 100000 }"
            )
        );

    internal HostRun Run { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Run = (await Workspace.RunAsync()).Succeeded();

    public ValueTask DisposeAsync()
    {
        Workspace.Dispose();
        return ValueTask.CompletedTask;
    }
}

/// <summary>A variant of several shapes is several artifacts, of which the lengths of passages choose.</summary>
public sealed class SeveralShapesTests(TwoShapesRun finished) : IClassFixture<TwoShapesRun>
{
    private static readonly string[] Shapes = ["1x64", "1x128"];
    private static readonly string[] Variants = ["fp16", "int8", "cpu-int8"];

    private readonly Workspace workspace = finished.Workspace;

    [Fact]
    public void Each_shape_is_built_calibrated_and_validated()
    {
        foreach (var shape in Shapes)
        {
            Assert.All(
                ["fp16", "int8"],
                variant =>
                    Assert.True(File.Exists(workspace.Built($"variants/{variant}/{shape}/tiny-reranker-0.1.0-{variant}-{shape}.sim.onnx")))
            );
            Assert.True(File.Exists(workspace.Built($"calibration/{shape}/calibration_dataset.txt")));
        }
        Assert.Equal(
            10,
            Assert.Single(Variants.SelectMany(variant => Shapes.Select(shape => Report(variant, shape).Queries.Count)).Distinct())
        );
        // Cut at 64 tokens, passages score otherwise than at 128, and each shape is compared with fp32 at its own.
        Assert.NotEqual(Report("fp16", "1x64").Reference[Metric.NdcgAt10], Report("fp16", "1x128").Reference[Metric.NdcgAt10]);
        Assert.All(Shapes, shape => Assert.InRange(Report("fp16", shape).Figures[Metric.KendallTau], 0.999, 1));
    }

    [Fact]
    public void The_package_says_which_file_takes_which_lengths()
    {
        var manifest = workspace.VerifiedPackage();
        Assert.Equal(
            Variants.SelectMany(variant => Shapes.Select(shape => (variant, shape))),
            manifest.Variants.Select(variant => (variant.Subject.Variant, variant.Subject.Shape))
        );
        // A CPU file takes any length, so it is there once.
        Assert.Equal(5, manifest.Files.Count(file => file.Role == PackageRole.Model));
        Assert.Equal(Variants, manifest.Routings.Select(routing => routing.Variant));
        var int8 = manifest.Routings[1];
        Assert.Equal(
            [(64, "tiny-reranker-0.1.0-int8-1x64.sim.onnx"), (128, "tiny-reranker-0.1.0-int8-1x128.sim.onnx")],
            int8.Buckets.Select(bucket => (bucket.MaxTokens, bucket.Artifact))
        );
        Assert.All(int8.Buckets, bucket => Assert.Contains(manifest.Files, file => file.Name == bucket.Artifact));
        Assert.Equal(100, int8.Buckets.Sum(bucket => bucket.Passages));
        Assert.All(int8.Buckets, bucket => Assert.InRange(bucket.Passages, 1, 99));
        // The sample has passages that are longer than 128 tokens with their queries.
        Assert.InRange(int8.Truncation.Share, 0.01, 0.99);
        Assert.Contains($"| int8 | to 64 | `{int8.Buckets[0].Artifact}` |", File.ReadAllText(Path.Combine(workspace.Package, "README.md")));
    }

    /// <summary>Passages of one query come from two artifacts: the ranking they make together is compared with fp32's at the larger
    /// shape.</summary>
    [Fact]
    public void The_ranking_by_length_is_validated_too()
    {
        var lengths = Latency().Lengths.Tokens;
        foreach (var routing in workspace.VerifiedPackage().Routings)
        {
            var (small, large) = (Report(routing.Variant, "1x64"), Report(routing.Variant, "1x128"));
            var taus = large.Queries.Select(
                (query, q) =>
                    RankCorrelation.KendallTauB<float>(
                        query.ReferenceScores.ToArray(),
                        [.. query.Scores.Select((score, c) => lengths[(q * 10) + c] <= 64 ? small.Queries[q].Scores[c] : score)]
                    )
            );
            Assert.Equal(taus.Average(), routing.Figures[Metric.KendallTau], 1e-5);
            Assert.Equal(
                workspace
                    .Spec()
                    .Variants.Single(variant => variant.Name == routing.Variant)
                    .Gates.Count(gate => Metric.Named(gate.Metric).Kind == MetricKind.Accuracy),
                routing.Gates.Count
            );
        }
    }

    [Fact]
    public void Times_of_a_simulator_are_shown_marked_and_count_for_nothing()
    {
        var report = Latency();
        Assert.Equal(
            Variants.SelectMany(variant => Shapes.Select(shape => (variant, shape))),
            report.Artifacts.Select(artifact => (artifact.Variant, artifact.Shape))
        );
        Assert.Equal(Shapes, report.Reference.Select(artifact => artifact.Shape));
        Assert.All(report.Reference.Concat(report.Artifacts), artifact => Assert.False(artifact.OnDevice));
        Assert.All(
            report.Artifacts,
            artifact =>
                Assert.Equal(
                    artifact.Variant == "cpu-int8" ? ["sequence"] : CorePlan.OfThreeCores.Select(plan => plan.Name),
                    artifact.Plans.Select(plan => plan.Plan)
                )
        );
        Assert.All(
            report.Artifacts.SelectMany(artifact => artifact.Plans),
            plan => Assert.Equal(plan.Passage.Microseconds.Count, plan.Request.Microseconds.Count * 5)
        );
        Assert.All(report.Artifacts, artifact => Assert.True(artifact.RatioToFp32 > 0));

        Assert.Contains("three_contexts", finished.Run.Output);
        Assert.Contains("none of it is a figure of a device", finished.Run.Output);
        Assert.Contains("open latency_p95_ms", finished.Run.Output);
        Assert.All(
            Shapes,
            shape =>
                Assert.Equal(
                    ["latency_p95_ms not measured: needs a device", "request_p95_ms not measured: needs a device"],
                    Report("int8", shape).Gates.Where(gate => gate.Result == GateResult.NotMeasured).Select(gate => gate.Statement)
                )
        );
        Assert.All(workspace.VerifiedPackage().Routings, routing => Assert.Empty(routing.Expected));
        var page = File.ReadAllText(workspace.Built("validation/report.html"));
        Assert.Contains("not measured: needs a device", page);
        Assert.Contains("Length buckets", page);
        Assert.DoesNotContain("after warm-up", page);
    }

    [Fact]
    public void Nothing_measured_here_decides_for_the_npu()
    {
        var decision = JsonNode.Parse(File.ReadAllText(workspace.Built("decision.json")))!;
        Assert.Null(decision["winner"]);
        Assert.Empty(decision["buckets"]!.AsArray());
        Assert.Equal(6, decision["variants"]!.AsArray().Count);
        Assert.Contains("served by length, latency_p95_ms not measured: needs a device", decision["variants"]![0]!.ToJsonString());
    }

    /// <summary>The agent behind a real SSH server has three contexts of a simulated NPU, and ONNX Runtime.</summary>
    [Fact]
    public async Task A_loopback_board_is_measured_under_every_core_plan_and_decides_nothing()
    {
        using var copy = workspace.Copy();
        var run = (await copy.RunAsync("--target=Validate", "--device=loopback", "--variant=int8")).Succeeded();
        var report = ReportJson.Read<LatencyReport>(copy.Built("latency/latency.json"));
        Assert.Equal("loopback", report.Device);
        Assert.False(report.OnDevice);
        Assert.Equal(Shapes, report.Artifacts.Select(artifact => artifact.Shape));
        Assert.All(
            report.Artifacts,
            artifact => Assert.Equal((false, 3, true), (artifact.OnDevice, artifact.Plans.Count, artifact.RatioToFp32 > 0))
        );
        Assert.All(report.Reference, artifact => Assert.Equal((false, 1), (artifact.OnDevice, artifact.Plans.Count)));
        Assert.Contains("open latency_p95_ms", run.Output);
    }

    private LatencyReport Latency() => ReportJson.Read<LatencyReport>(workspace.Built("latency/latency.json"));

    private ValidationReport Report(string variant, string shape) =>
        ReportJson.Read<ValidationReport>(workspace.Built($"validation/{variant}/{shape}/validation.json"));
}
