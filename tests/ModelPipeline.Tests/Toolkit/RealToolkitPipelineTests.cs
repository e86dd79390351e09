using System.Text.RegularExpressions;
using ModelPipeline.Core;
using ModelPipeline.Metrics;
using ModelPipeline.Tests.EndToEnd;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>Validate with the real rknn-toolkit2, both versions, as users call it.</summary>
public sealed partial class RealToolkitPipelineTests : IDisposable
{
    private const string Variants = """
            variants:
              old:
                backend: rknn
                precision: w8a8
                gates:
                  kendall_tau: { min: 0.8 }
                  compile: { cpu_ops: [Cast, Gather, InputOperator, OutputOperator, Reshape], weight_mb: 6, internal_mb: 1 }
              new: { backend: rknn, precision: fp16, toolkit: 2.5.0, gates: { kendall_tau: { min: 0.9 } } }

        """;

    private readonly Workspace workspace = new(Workspace.TenQueries, ("[[1, 128]] ", "[[1, 64], [1, 128]] "));

    [Fact]
    public async Task Files_are_built_once_for_artifact_and_simulator_and_another_corpus_is_scored_by_the_same_bytes()
    {
        await RealToolkit.OfAsync("2.3.2");
        await RealToolkit.OfAsync("2.5.0");
        File.WriteAllText(workspace.Manifest, SampleVariants().Replace(File.ReadAllText(workspace.Manifest), Variants, count: 1));

        var run = await ValidateAsync();

        Assert.Matches(@"old 1x128 .*\btk\b", run.Output);
        Assert.Matches(@"tk: of\s+the\s+toolkit's\s+simulator", run.Output);
        var old = Report("old", "1x128");
        Assert.Equal(
            ["kendall_tau", "compile.cpu_ops", "compile.weight_mb", "compile.internal_mb"],
            old.Gates.Where(gate => gate.Result == GateResult.Passed).Select(gate => gate.Metric)
        );
        Assert.NotEqual(Report("new", "1x64").Queries[0].Scores, Report("new", "1x128").Queries[0].Scores);
        var before = workspace.Files();
        Assert.DoesNotContain(before.Keys, Again);
        Assert.DoesNotContain(before.Keys, name => name.EndsWith(AtomicFile.TemporarySuffix, StringComparison.Ordinal));

        await ValidateAsync();
        Assert.All(
            before.Where(file =>
                file.Key.EndsWith(".rknn", StringComparison.Ordinal) || file.Key.EndsWith("toolkit-scores.json", StringComparison.Ordinal)
            ),
            file => Assert.Equal(file.Value, workspace.Files()[file.Key])
        );

        // What else is to be scored needs another build, which must make the same bytes.
        workspace.Edit(("queries: 10", "queries: 12"));
        await ValidateAsync("--variant=old");
        Assert.Equal(2, workspace.Files().Keys.Count(Again));
        Assert.Equal(old.Queries.Select(query => query.Scores), Report("old", "1x128").Queries.Take(10).Select(query => query.Scores));
        Assert.All(
            before.Where(file => file.Key.EndsWith(".rknn", StringComparison.Ordinal)),
            file => Assert.Equal(file.Value, workspace.Files()[file.Key])
        );
    }

    public void Dispose() => workspace.Dispose();

    private static bool Again(string file) => file.EndsWith(".simulator.log", StringComparison.Ordinal);

    private ValidationReport Report(string variant, string shape) =>
        ReportJson.Read<ValidationReport>(workspace.Built($"validation/{variant}/{shape}/validation.json"));

    private async Task<HostRun> ValidateAsync(params string[] options) =>
        (
            await workspace.RunAsync(
                (ModelPipeline.Toolkit.ToolkitEnvironment.PythonVariable, RealToolkit.Variable),
                ["--target=Validate", "--model=tiny-reranker", .. options]
            )
        ).Succeeded();

    [GeneratedRegex(@"(?<=\n)    variants:\n(?:      .*\n|\s*\n)+")]
    private static partial Regex SampleVariants();
}
