using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using ModelPipeline.Core;
using ModelPipeline.Metrics;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.EndToEnd;

/// <summary>What gates keep from being packaged.</summary>
[Collection(QuickRuns.Name)]
public sealed partial class GateTests(QuickRun finished)
{
    private const string Gate = "kendall_tau: { min: 0.9 }";

    [Fact]
    public async Task A_variant_that_breaks_a_gate_is_left_out_by_name_and_the_others_are_packaged()
    {
        using var workspace = WithoutPackage((Gate, "kendall_tau: { min: 0.99 }"));
        var run = await workspace.RunAsync();
        Assert.Equal(1, run.ExitCode);
        Assert.DoesNotMatch(StackFrame(), run.Error);
        var tau = Figures(workspace)[Metric.KendallTau];
        Assert.Contains(
            FormattableString.Invariant($"tiny-reranker:int8 at 1x128: kendall_tau {tau:F3} is below its minimum 0.990 by {0.99 - tau:F3}"),
            run.Error
        );
        Assert.Contains("FAILED kendall_tau", run.Output);
        Assert.Contains(
            "FAILED",
            await File.ReadAllTextAsync(workspace.Built("validation/report.html"), TestContext.Current.CancellationToken),
            StringComparison.OrdinalIgnoreCase
        );
        var package = workspace.VerifiedPackage();
        Assert.DoesNotContain(package.Variants, variant => variant.Subject.Variant == "int8");
        Assert.NotEmpty(package.Variants);
        Assert.Contains("kendall_tau", Assert.Single(package.Omitted).Reason);
        var allowed = await workspace.RunAsync("--allow-failed-variants");
        Assert.Equal(0, allowed.ExitCode);
        Assert.Contains("below its minimum 0.990", allowed.Output + allowed.Error);
    }

    [Fact]
    public async Task A_drop_from_what_the_last_release_recorded_of_the_same_texts_fails_by_name()
    {
        using var workspace = WithoutPackage(("kendall_tau: { min: 0.95 }", "kendall_tau: { min: 0.9, max_drop_vs_release: 0.001 }"));
        (await workspace.RunAsync("--target=Validate")).Succeeded();
        const string None = "drop of kendall_tau from the last release: there is no release before this one";
        Assert.Contains(None, Report(workspace));

        // A better one: 0.0.9 had fp32's very order.
        var last = Directory.CreateDirectory(Path.Combine(workspace.Folder, "artifacts/release/tiny-reranker/v0.0.9")).FullName;
        var manifest = JsonNode.Parse(File.ReadAllText(Path.Combine(workspace.Release, "manifest.json")))!;
        manifest["version"] = "0.0.9";
        manifest["variants"]![0]!["figures"]![Metric.KendallTau] = 1;
        File.WriteAllText(Path.Combine(last, "manifest.json"), manifest.ToJsonString());
        var run = await workspace.RunAsync("--target=Validate");
        Assert.Equal(1, run.ExitCode);
        Assert.Contains("tiny-reranker:cpu-int8 at 1x128: drop of kendall_tau from release 0.0.9 0.0", run.Error);

        // Other texts are no measure.
        workspace.Edit(("queries: 10", "queries: 9"));
        (await workspace.RunAsync("--target=Validate")).Succeeded();
        Assert.Contains("release 0.0.9 was judged on another number of queries", Report(workspace));

        static string Report(Workspace workspace) => File.ReadAllText(workspace.Built("validation/report.html"));
    }

    [Fact]
    public async Task Another_limit_needs_no_new_scores()
    {
        using var workspace = WithoutPackage((Gate, "kendall_tau: { min: 0.8 }"));
        var before = workspace.Files();
        (await workspace.RunAsync()).Succeeded();
        var after = workspace.Files();
        Assert.All(
            before.Where(file => Path.GetFileName(file.Key) is "scores.json" or "latency.json"),
            file => Assert.Equal(file.Value, after[file.Key])
        );
        Assert.Equal(0.8, workspace.VerifiedPackage().Variants[1].Gates[1].Limit);
    }

    [Fact]
    public async Task A_variant_validated_alone_says_by_how_much_its_gate_fails()
    {
        using var workspace = WithoutPackage((Gate, "kendall_tau: { min: 0.99 }"));
        var run = await workspace.RunAsync("--target=Validate:tiny-reranker:int8");
        Assert.Equal(1, run.ExitCode);
        Assert.Contains("tiny-reranker:int8 at 1x128: kendall_tau 0.", run.Error);
    }

    /// <summary>What the real toolkit shows, too: the mask's huge constant takes the int8 range for itself.</summary>
    [Fact]
    public async Task Without_the_mask_rewrite_int8_fails_and_diagnosis_shows_where()
    {
        using var workspace = WithoutPackage(("[families]", "[fold-shapes]"));
        var run = await workspace.RunAsync("--variant=int8", "--verbosity=diagnostic");
        Assert.Equal(1, run.ExitCode);
        Assert.Contains("2 gates failed", run.Error);
        Assert.Contains("nothing is packaged: no variant keeps to its gates", run.Output + run.Error);
        Assert.InRange(Figures(workspace)[Metric.KendallTau], -0.5, 0.5);
        Assert.False(Directory.Exists(Path.Combine(workspace.Folder, "artifacts", "packages")));
    }

    [Fact]
    public async Task Nothing_is_packaged_that_this_run_did_not_validate()
    {
        using var workspace = finished.Copy();
        var before = workspace.Files();
        var run = await workspace.RunAsync("--exclusive", "--target=Package:tiny-reranker");
        Assert.Equal(1, run.ExitCode);
        Assert.Contains("without --exclusive", run.Error);
        Assert.Equal(before, workspace.Files());
    }

    private Workspace WithoutPackage(params ReadOnlySpan<(string Old, string New)> edits)
    {
        var workspace = finished.Copy();
        Directory.Delete(Path.Combine(workspace.Folder, "artifacts", "packages"), recursive: true);
        workspace.Edit(edits);
        return workspace;
    }

    private static IReadOnlyDictionary<string, double> Figures(Workspace workspace) =>
        ReportJson.Read<ValidationReport>(workspace.Built("validation/int8/1x128/validation.json")).Figures;

    [GeneratedRegex(@"^   at \w+\.", RegexOptions.Multiline)]
    private static partial Regex StackFrame();
}
