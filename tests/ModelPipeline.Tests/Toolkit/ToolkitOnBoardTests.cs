using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Tests.EndToEnd;
using ModelPipeline.Toolkit;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>Artifacts of the toolkit on a board: without one first, then on one, and again without. The toolkit is the recorded one, the
/// board its runtime.</summary>
public sealed partial class ToolkitOnBoardRun : IAsyncLifetime
{
    private const string Variants = """
            measured: [{ shape: [1, 128], precision: fp16, ms: 12 }]
            latency: { requests: 4 }
            variants:
              npu-fp16: { backend: rknn, precision: fp16 }
              npu-int8: { backend: rknn, precision: w8a8, toolkit_simulator: true, gates: { latency_p95_ms: { max: 60000 } } }
              int8: { backend: simulator, precision: w8a8 }

        """;

    private readonly TemporaryFolder folder = new();
    private readonly RecordedToolkit toolkit = new("runnable");
    private readonly Workspace workspace = new(Workspace.TenQueries);

    public ToolkitOnBoardRun()
    {
        File.WriteAllText(workspace.Manifest, SampleVariants().Replace(File.ReadAllText(workspace.Manifest), Variants, count: 1));
        workspace.Edit(
            ("  rk3588: { kind: local }", $"  board: {{ kind: local, runtime_library: {RecordedRuntime.Build(folder.File("runtime"))} }}")
        );
    }

    internal sealed record Validated(
        HostRun Run,
        IReadOnlyDictionary<string, ToolkitFindings> Findings,
        ValidationReport Int8,
        string Page,
        JsonNode Decision
    );

    internal Validated Before { get; private set; } = null!;

    internal Validated OnBoard { get; private set; } = null!;

    internal Validated After { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        Before = await ValidateAsync();
        OnBoard = await ValidateAsync("--device=board");
        After = await ValidateAsync();
    }

    public ValueTask DisposeAsync()
    {
        workspace.Dispose();
        toolkit.Dispose();
        folder.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task<Validated> ValidateAsync(params string[] options)
    {
        var variables = new Dictionary<string, string>
        {
            ["MODELPIPELINE_TOOLKIT_PYTHON"] = toolkit.Python,
            ["MODELPIPELINE_LOCK"] = folder.File("lock"),
        };
        var run = (
            await HostProcess.RunAsync(workspace.Folder, ["--target=Package", "--model=tiny-reranker", .. options], variables)
        ).Succeeded();
        return new Validated(
            run,
            workspace
                .VerifiedPackage()
                .Variants.Where(variant => variant.Toolkit is not null)
                .ToDictionary(variant => variant.Subject.Variant, variant => variant.Toolkit!),
            ReportJson.Read<ValidationReport>(workspace.Built("validation/npu-int8/1x128/validation.json")),
            File.ReadAllText(workspace.Built("validation/report.html")),
            JsonNode.Parse(File.ReadAllText(workspace.Built("decision.json")))!
        );
    }

    /// <summary>The variants of the first model.</summary>
    [GeneratedRegex(@"(?<=\n)    variants:\n(?:      .*\n|\s*\n)+")]
    internal static partial Regex SampleVariants();
}

public sealed class ToolkitOnBoardTests(ToolkitOnBoardRun finished) : IClassFixture<ToolkitOnBoardRun>
{
    [Fact]
    public void The_report_has_the_board_the_toolkits_simulator_and_our_emulation_beside_each_other()
    {
        var subject = finished.OnBoard.Int8.Subject;
        Assert.Equal(("board", DeviceKind.Local, true, false), (subject.Device, subject.DeviceKind, subject.OnDevice, subject.Simulated));

        var opinions = finished.OnBoard.Findings["npu-int8"].Opinions;

        Assert.Equal(["the toolkit's simulator", "our emulation (int8)"], opinions.Select(opinion => opinion.Source));
        // The runtime of the tests computes in fp32, the toolkit's scores were recorded from its int8 build.
        Assert.InRange(finished.OnBoard.Int8.Figures[Metric.KendallTau], 0.999, 1);
        Assert.All(opinions, opinion => Assert.InRange(opinion.Figures[Metric.KendallTau], 0.9, 0.99));
        Assert.Equal(finished.Before.Int8.Figures[Metric.KendallTau], opinions[0].Figures[Metric.KendallTau]);
        Assert.Equal(opinions[0].Figures[Metric.KendallTau], opinions[0].TauToVariant!.Value, 0.02);
        foreach (
            var row in new[] { "<td>this variant on board</td>", "<td>the toolkit&#39;s simulator</td>", "<td>our emulation (int8)</td>" }
        )
            Assert.Contains(row, finished.OnBoard.Page);
    }

    [Fact]
    public void Without_a_board_the_toolkits_simulator_gives_the_figures_and_only_the_emulation_is_another_opinion()
    {
        Assert.True(finished.Before.Int8.Subject.Simulated);
        Assert.Equal("our emulation (int8)", Assert.Single(finished.Before.Findings["npu-int8"].Opinions).Source);
        Assert.Contains("<td>this variant on simulator</td>", finished.Before.Page);
    }

    [Fact]
    public void What_a_machine_took_that_is_no_board_of_Rockchips_refines_no_estimate()
    {
        var (before, after) = (finished.Before.Findings["npu-int8"].Estimate!, finished.After.Findings["npu-int8"].Estimate!);

        Assert.Equal("by operator, 27 measurements, 1 of them our own on rk3588", before.Basis);
        Assert.Equal(before, after);
        Assert.Contains("what board took refines no estimate", finished.OnBoard.Run.Output + finished.OnBoard.Run.Error);
        Assert.True(after.Low < after.Milliseconds && after.Milliseconds < after.High);
        Assert.Contains(after.Range, finished.After.Page);
        Assert.Contains("estimated, not measured: ", finished.After.Page);
    }

    [Fact]
    public void What_was_measured_needs_no_estimate_and_an_estimate_never_stands_for_a_measurement()
    {
        Assert.All(finished.OnBoard.Findings.Values, findings => Assert.Null(findings.Estimate));
        Assert.Equal(GateResult.Passed, Assert.Single(finished.OnBoard.Int8.Gates, gate => gate.Metric == Metric.LatencyP95Ms).Result);

        foreach (var simulated in new[] { finished.Before, finished.After })
        {
            Assert.Equal(
                "latency_p95_ms not measured: needs a device",
                Assert.Single(simulated.Int8.Gates, gate => gate.Metric == Metric.LatencyP95Ms).Statement
            );
            Assert.DoesNotContain(simulated.Int8.Figures.Keys, name => Metric.Named(name).Kind == MetricKind.Latency);
            Assert.Null(simulated.Decision["winner"]);
        }
    }

    [Fact]
    public void What_stands_in_for_an_rknn_file_is_simulated_also_when_the_rest_runs_on_a_board()
    {
        Assert.Contains("what stands in for an .rknn file runs on no board", finished.OnBoard.Page);
        Assert.DoesNotContain("error", finished.OnBoard.Run.Error, StringComparison.OrdinalIgnoreCase);
    }
}
