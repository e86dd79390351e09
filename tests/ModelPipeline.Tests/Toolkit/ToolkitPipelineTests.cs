using System.Text.RegularExpressions;
using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;
using ModelPipeline.Tests.EndToEnd;
using ModelPipeline.Tests.Reports;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>The whole way with backend rknn, as users go it; the toolkit is the recorded one.</summary>
public sealed partial class ToolkitPipelineRun : IAsyncLifetime
{
    /// <summary>Two variants of the toolkit and our emulation of one of them, and a latency that someone measured.</summary>
    private const string Variants = """
            measured: [{ shape: [1, 128], precision: fp16, ms: 12 }]
            variants:
              npu-fp16: { backend: rknn, precision: fp16, gates: { kendall_tau: { min: 0.999 } } }
              npu-int8:
                backend: rknn
                precision: w8a8
                fp16: [head, "/layer.#/output/Add_output_0 -> /layer.#/output/LayerNorm/Add_1_output_0"]
                accuracy_analysis: true
                gates:
                  kendall_tau: { min: 0.95 }
                  compile: { cpu_ops: [Cast, Gather, InputOperator, OutputOperator, Reshape], weight_mb: 70, internal_mb: 8 }
              int8: { backend: simulator, precision: w8a8 }

        """;

    public ToolkitPipelineRun() =>
        File.WriteAllText(Workspace.Manifest, SampleVariants().Replace(File.ReadAllText(Workspace.Manifest), Variants, count: 1));

    internal RecordedToolkit Toolkit { get; } = new();

    internal Workspace Workspace { get; } = new();

    internal HostRun Run { get; private set; } = null!;

    public async ValueTask InitializeAsync() =>
        Run = (
            await Workspace.RunAsync(("MODELPIPELINE_TOOLKIT_PYTHON", Toolkit.Python), "--target=Package", "--model=tiny-reranker")
        ).Succeeded();

    public ValueTask DisposeAsync()
    {
        Workspace.Dispose();
        Toolkit.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>The variants of the first model.</summary>
    [GeneratedRegex(@"(?<=\n)    variants:\n(?:      .*\n|\s*\n)+")]
    private static partial Regex SampleVariants();
}

public sealed class ToolkitPipelineTests(ToolkitPipelineRun finished) : IClassFixture<ToolkitPipelineRun>
{
    private readonly Workspace workspace = finished.Workspace;

    [Theory]
    [InlineData("npu-int8", "tiny-int8.rknn", "int8_normal", 0.957)]
    [InlineData("npu-fp16", "tiny-fp16.rknn", "fp16", 0.9995)]
    public void The_toolkits_own_file_is_packaged_with_its_compile_report_and_scores(string variant, string file, string scores, double tau)
    {
        var package = workspace.VerifiedPackage();

        var artifact = package.Files.Single(each => each.Role == PackageRole.Model && each.Variant == variant);
        Assert.EndsWith(".rknn", artifact.Name);
        Assert.False(artifact.Simulated);
        Assert.Equal(File.ReadAllBytes(Recordings.File(file)), File.ReadAllBytes(Path.Combine(workspace.Package, artifact.Name)));
        Assert.Equal(
            PackageManifest.CompileName(artifact.Name),
            package.Files.Single(each => each.Role == PackageRole.Compile && each.Variant == variant).Name
        );
        var validated = package.Variants.Single(each => each.Subject.Variant == variant);
        Assert.True(validated.Subject.Simulated);
        Assert.Equal(tau, validated.Figures[Metric.KendallTau], 0.0006);
        Assert.Equal(72, validated.Toolkit!.Compile.Layers);
        Assert.Equal("2.3.2", package.Tools["rknn-toolkit2"]);

        var report = ReportJson.Read<ValidationReport>(workspace.Built($"validation/{variant}/1x128/validation.json"));
        var recorded = File.ReadAllLines(RepositoryFiles.Fixture("tiny-scores.tsv"));
        var column = Array.IndexOf(recorded[0].Split('\t'), scores);
        Assert.Equal(
            recorded.Skip(1).Select(line => float.Parse(line.Split('\t')[column], System.Globalization.CultureInfo.InvariantCulture)),
            report.Queries.SelectMany(query => query.Scores)
        );
    }

    [Fact]
    public void Compile_figures_are_judged_and_shown_and_the_estimate_says_what_it_is()
    {
        var int8 = workspace.VerifiedPackage().Variants.Single(each => each.Subject.Variant == "npu-int8");

        Assert.Equal(
            ["kendall_tau", "compile.cpu_ops", "compile.weight_mb", "compile.internal_mb"],
            int8.Gates.Where(gate => gate.Result == GateResult.Passed).Select(gate => gate.Metric)
        );
        Assert.Equal(4.85575, int8.Figures[Metric.CompileWeightMb]);
        var estimate = int8.Toolkit!.Estimate!;
        Assert.InRange(estimate.Milliseconds, 2, 12);
        Assert.DoesNotContain(int8.Figures.Keys, name => Metric.Named(name).Kind == MetricKind.Latency);
        foreach (
            var text in new[]
            {
                File.ReadAllText(Path.Combine(workspace.Package, "README.md")),
                File.ReadAllText(Path.Combine(workspace.Package, "report.html")),
            }
        )
        {
            Assert.Contains(estimate.Range, text);
            Assert.Contains("estimated, not measured: ", text);
            Assert.Contains("by operator, 27 measurements, 1 of them our own on rk3588", text);
            Assert.Contains("Cast, Gather, InputOperator, OutputOperator, Reshape", text);
        }
        Assert.Contains("not measured: needs a device", File.ReadAllText(workspace.Built("decision.json")));
    }

    [Fact]
    public void The_report_has_our_emulations_opinion_the_worst_tensors_and_what_stayed_in_fp16()
    {
        var toolkit = workspace.VerifiedPackage().Variants.Single(each => each.Subject.Variant == "npu-int8").Toolkit!;

        var emulation = Assert.Single(toolkit.Opinions);
        Assert.Equal("our emulation (int8)", emulation.Source);
        Assert.InRange(emulation.TauToVariant!.Value, 0.9, 1);
        Assert.Superset(new HashSet<string> { "/layer.0/output/LayerNorm/ReduceMean_2ln", "logits" }, toolkit.Notes.Fp16.ToHashSet());
        Assert.Equal(12, toolkit.Notes.Worst.Count);
        Assert.True(toolkit.Notes.Worst[0].SingleCosine < toolkit.Notes.Worst[^1].SingleCosine);
        var html = File.ReadAllText(workspace.Built("validation/report.html"));
        Assert.Contains("<h3>Worst tensors</h3>", html);
        Assert.Contains(toolkit.Notes.Worst[0].Name, html);
        Assert.Contains("Other opinions", html);
        Assert.Contains("logits: int8, at most 256 values", html);
        Assert.Contains("logits is int8 and has at most 256 values", finished.Run.Output + finished.Run.Error);
    }

    [Fact]
    public async Task The_report_is_right_on_any_screen_and_by_keyboard() =>
        Assert.Equal("", await PageCheck.RunAsync(workspace.Built("validation/report.html")));

    [Fact]
    public async Task Nothing_is_built_again_until_FORCE_CONVERT_says_so_and_then_the_release_is_compared()
    {
        using var copy = workspace.Copy();
        var artifact = Assert.Single(Directory.GetFiles(copy.Built("variants/npu-int8/1x128"), "*.rknn"));
        var before = File.GetLastWriteTimeUtc(artifact);
        var last = Path.Combine(copy.Folder, "last");
        Directory.Move(copy.Package, last);

        (await RunAsync(copy, null, "--target=Package", "--model=tiny-reranker", $"--compare-with={last}")).Succeeded();
        Assert.Equal(before, File.GetLastWriteTimeUtc(artifact));
        Assert.Contains("npu-int8 since 0.1.0", File.ReadAllText(copy.Built("validation/report.html")));
        Assert.Contains("The compile report is the same.", File.ReadAllText(copy.Built("validation/report.html")));

        (await RunAsync(copy, "1", "--target=Quantize:tiny-reranker:npu-int8")).Succeeded();
        Assert.NotEqual(before, File.GetLastWriteTimeUtc(artifact));
    }

    [Fact]
    public async Task A_limit_on_the_compile_report_fails_by_name_with_figure_and_limit()
    {
        using var copy = workspace.Copy();
        copy.Edit(("OutputOperator, Reshape], weight_mb: 70", "OutputOperator], weight_mb: 4.8"));

        var run = await RunAsync(copy, null, "--target=Validate", "--model=tiny-reranker", "--variant=npu-int8");

        Assert.Equal(1, run.ExitCode);
        Assert.Contains(
            "compile.cpu_ops: Reshape fell back to the CPU; allowed are Cast, Gather, InputOperator, OutputOperator",
            run.Error + run.Output
        );
        Assert.Contains("compile.weight_mb 4.86 is above its maximum 4.80 by 0.06", run.Error + run.Output);
    }

    [Fact]
    public async Task Ctrl_C_ends_a_deaf_toolkit_with_all_that_it_started_and_leaves_only_its_log()
    {
        using var copy = finished.Workspace.Copy();
        using var hanging = new RecordedToolkit("hang");
        var folder = copy.Built("variants/npu-int8/1x128");
        Directory.Delete(folder, recursive: true);
        Directory.Delete(copy.Built("step1"), recursive: true);
        using var host = new HostProcess(
            copy.Folder,
            ["--target=Quantize:tiny-reranker:npu-int8"],
            new Dictionary<string, string> { ["MODELPIPELINE_TOOLKIT_PYTHON"] = hanging.Python }
        );
        var pids = await RecordedToolkit.HangingAsync(folder);

        host.Interrupt();

        Assert.Equal(130, (await host.EndAsync()).ExitCode);
        await RecordedToolkit.EndedAsync(pids);
        Assert.Equal(
            ["tiny-reranker-0.1.0-rk3588-npu-int8.rknn.log"],
            Directory.EnumerateFileSystemEntries(folder).Select(Path.GetFileName)
        );
    }

    private Task<HostRun> RunAsync(Workspace place, string? force, params string[] arguments) =>
        HostProcess.RunAsync(
            place.Folder,
            arguments,
            new Dictionary<string, string> { ["MODELPIPELINE_TOOLKIT_PYTHON"] = finished.Toolkit.Python, ["FORCE_CONVERT"] = force ?? "" }
        );
}
