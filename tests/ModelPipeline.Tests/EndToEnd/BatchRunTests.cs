using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Latency;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;
using ModelPipeline.Tests.Toolkit;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.EndToEnd;

/// <summary>Runs of three passages, whose last one has two rows too many, from source to release, on a board and on what stands in for
/// one.</summary>
public sealed class BatchRunTests
{
    private const string Npu = """
            variants:
              npu: { backend: rknn, precision: fp16, gates: { kendall_tau: { min: 0.999 } } }

        """;

    private static readonly (string, string) Batch = ("[[1, 128]] ", "[[3, 64]] ");

    [Fact]
    public async Task The_main_job_ends_in_a_release_and_the_way_to_a_board_gives_the_same_scores()
    {
        using var workspace = new Workspace(Workspace.TenQueries, Batch);
        var run = (await workspace.RunAsync()).Succeeded();
        Assert.Contains("3x64: times are a passage's share of a run of 3", run.Output);
        var report = Report(workspace, "fp16");
        Assert.Equal(100, report.Queries.Sum(query => query.Scores.Count));
        Assert.InRange(report.Figures[Metric.KendallTau], 0.999, 1);
        var manifest = PackageCheck.Verify<PackageManifest>(workspace.Release, TestContext.Current.CancellationToken);
        Assert.Contains("[3, 64]", File.ReadAllText(Path.Combine(workspace.Package, "README.md")));
        Assert.All(manifest.Variants, variant => Assert.Equal("3x64", variant.Subject.Shape));

        (await workspace.RunAsync("--target=Validate", "--device=loopback")).Succeeded();
        var latency = ReportJson.Read<LatencyReport>(workspace.Built("latency/latency.json"));
        Assert.Equal("loopback", latency.Device);
        Assert.All(latency.Artifacts, artifact => Assert.Equal((3, true), (artifact.Batch, artifact.Plans.Count > 0)));
        Assert.InRange(Report(workspace, "cpu-int8").Figures[Metric.KendallTau], 0.9, 1);
    }

    [Fact]
    public async Task The_toolkit_and_a_board_take_batches()
    {
        using var folder = new TemporaryFolder();
        using var toolkit = new RecordedToolkit("runnable", "2.3.2");
        using var workspace = new Workspace(Workspace.TenQueries, Batch);
        File.WriteAllText(
            workspace.Manifest,
            ToolkitOnBoardRun.SampleVariants().Replace(File.ReadAllText(workspace.Manifest), Npu, count: 1)
        );
        workspace.Edit(
            ("  rk3588: { kind: local }", $"  board: {{ kind: local, runtime_library: {RecordedRuntime.Build(folder.File("runtime"))} }}")
        );
        var variables = new Dictionary<string, string>
        {
            ["MODELPIPELINE_TOOLKIT_PYTHON"] = toolkit.Python,
            ["MODELPIPELINE_LOCK"] = folder.File("lock"),
        };

        // The toolkit's simulator makes scores up, as many as there are passages; the runtime of the tests computes in fp32.
        await HostProcess.RunAsync(workspace.Folder, ["--target=Validate", "--model=tiny-reranker", "--allow-failed-variants"], variables);
        Assert.Equal(100, Report(workspace, "npu").Queries.Sum(query => query.Scores.Count));
        (
            await HostProcess.RunAsync(workspace.Folder, ["--target=Validate", "--model=tiny-reranker", "--device=board"], variables)
        ).Succeeded();
        var report = Report(workspace, "npu");
        Assert.True(report.Subject.OnDevice);
        Assert.InRange(report.Figures[Metric.KendallTau], 0.9999, 1);
    }

    private static ValidationReport Report(Workspace workspace, string variant) =>
        ReportJson.Read<ValidationReport>(workspace.Built($"validation/{variant}/3x64/validation.json"));
}
