using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Decision;
using ModelPipeline.Latency;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;
using ModelPipeline.Publishing;
using ModelPipeline.Validation;

namespace ModelPipeline.Stages;

/// <summary>
/// One model on its way through the stages in one run: what each makes is the input of those after it. Whoever calls gives the order; a
/// stage that is asked for too early says what it lacks.
/// </summary>
/// <param name="build">Of the model.</param>
public sealed class ModelRun(ModelBuild build)
{
    private readonly Dictionary<string, IReadOnlyList<ValidationReport>> reports = [];
    private IReadOnlyList<VariantRouting> routings = [];
    private LatencyReport? latency;

    public ModelBuild Build => build;

    private ModelSpec Model => build.Model;

    /// <summary>Those of this run so far, in the order of models.yaml.</summary>
    public IReadOnlyList<ValidationReport> Reports =>
        [.. Model.Variants.SelectMany(variant => reports.GetValueOrDefault(variant.Name, []))];

    /// <summary>What to run, in a paragraph; empty before all variants are validated.</summary>
    public string Advice { get; private set; } = "";

    /// <summary>Measured or read in this run; null if it was not.</summary>
    public LatencyReport? Latency => latency;

    public Task FetchAsync(StageContext context) => build.FetchAsync(context);

    /// <summary>The inspected source, whether it ranks at all, and the graphs that variants are quantized from; those with the same
    /// rewrites share one.</summary>
    public async Task PrepareAsync(StageContext context)
    {
        await build.SourceAsync(context).ConfigureAwait(false);
        await BaselineStage.CheckAsync(build, context).ConfigureAwait(false);
        var graphs = build
            .Artifacts.Where(each => PrepareStage.IsFor(each.Variant))
            .DistinctBy(each => build.PreparedFolder(each.Shape, each.Variant));
        foreach (var (variant, shape) in graphs)
            await PrepareStage.RunAsync(build, variant, shape, context).ConfigureAwait(false);
    }

    public async Task CalibrateAsync(StageContext context)
    {
        foreach (var shape in Model.Shapes)
            await CalibrateStage.RunAsync(build, shape, context).ConfigureAwait(false);
    }

    /// <summary>One variant at every shape.</summary>
    public async Task QuantizeAsync(VariantSpec variant, StageContext context)
    {
        foreach (var shape in Model.Shapes)
            await QuantizeStage.RunAsync(build, variant, shape, context).ConfigureAwait(false);
    }

    public async Task MeasureAsync(StageContext context) => latency = await MeasureStage.RunAsync(build, context).ConfigureAwait(false);

    /// <summary>Figures of one variant at every shape, its gates judged by them.</summary>
    public async Task ValidateAsync(VariantSpec variant, StageContext context)
    {
        List<ValidationReport> made = [];
        foreach (var shape in Model.Shapes)
            made.Add(await ValidateStage.RunAsync(build, variant, shape, context).ConfigureAwait(false));
        reports[variant.Name] = made;
    }

    /// <summary>Judges all variants by what was measured, alone and as they serve the corpus together, and writes the page.</summary>
    /// <param name="release">Manifest of the last release's package; null, or another model's, looks for it among the release
    /// folders.</param>
    /// <param name="context">Of the run.</param>
    /// <returns>Path of report.html.</returns>
    public async Task<string> ValidateAsync(PackageManifest? release, StageContext context)
    {
        var times = latency ?? throw Missing("measured");
        if (release?.Name != Model.Name)
            release = ReleaseFolder.LastBefore(build.Releases, Model.Name, Model.Version);
        var judged = await ToolkitStage
            .CompareAsync(build, ValidateStage.Judge(build, All(), times), release, context)
            .ConfigureAwait(false);
        judged = await LastRelease.JudgeAsync(build, judged, release, context).ConfigureAwait(false);
        ValidateStage.Write(build, judged);
        routings = await RouteStage.RunAsync(build, judged, times, context).ConfigureAwait(false);
        foreach (var variant in judged.GroupBy(report => report.Subject.Variant))
            reports[variant.Key] = [.. variant];
        (var path, Advice) = ValidateStage.WriteReport(build, judged, times, routings);
        return path;
    }

    /// <summary>Everything from figures to the page, of all variants.</summary>
    /// <param name="release">As in <see cref="ValidateAsync(PackageManifest?, StageContext)"/>.</param>
    /// <param name="context">Of the run.</param>
    public async Task ValidateAllAsync(PackageManifest? release, StageContext context)
    {
        foreach (var variant in Model.Variants)
            await ValidateAsync(variant, context).ConfigureAwait(false);
        await MeasureAsync(context).ConfigureAwait(false);
        await ValidateAsync(release, context).ConfigureAwait(false);
    }

    public ProductionDecision Decide() => DecideStage.Run(build, All(), routings, latency ?? throw Missing("measured"));

    /// <summary>What keeps variants of this run from being released, by a device or otherwise; empty if nothing does.</summary>
    public IReadOnlyList<VariantRemark> Objections() =>
        ReleaseGuard.Omitted(
            [.. All().Select(report => new PackageVariant(report.Subject, report.Reference, report.Figures, report.Gates))],
            routings,
            WithoutDevice.Refuse
        );

    /// <summary>Packs the variants that broke no gate.</summary>
    /// <returns>Path of the package's folder; null if there is no such variant.</returns>
    public Task<string?> PackageAsync(StageContext context) => PackageStage.RunAsync(build, All(), routings, context);

    /// <summary>Makes the release folder of what was packaged.</summary>
    /// <returns>The release; null if no variant of this run keeps to its gates, and then no release folder of this version is
    /// left.</returns>
    public Release? Release(StageContext context)
    {
        // Without a validation in this run, what was packaged before is what there is.
        if (Reports.Count == 0 || PackageStage.Failed(Reports).Count < Reports.Count)
            return ReleaseStage.Run(build, context);
        ReleaseFolder.Delete(build.Releases, Model.Name, Model.Version);
        return null;
    }

    /// <summary>One sentence for every gate that failed or is undecided, with figure and limit; null if there is none.</summary>
    public static string? Failures(IEnumerable<ValidationReport> reports)
    {
        var gates = reports
            .SelectMany(report =>
                report.Gates.Select(gate =>
                    (gate.Result, Sentence: $"{report.Subject.Model}:{report.Subject.Variant} at {report.Subject.Shape}: {gate.Statement}")
                )
            )
            .ToList();
        string[] told = [.. Told(GateResult.Failed, "failed"), .. Told(GateResult.Undecided, "undecided")];
        return told.Length == 0 ? null : string.Join('\n', told);

        IEnumerable<string> Told(GateResult result, string word)
        {
            var sentences = gates.Where(gate => gate.Result == result).Select(gate => gate.Sentence).ToList();
            return sentences.Count == 0
                ? []
                : [$"{sentences.Count} gate{(sentences.Count == 1 ? "" : "s")} {word}:\n  {string.Join("\n  ", sentences)}"];
        }
    }

    private IReadOnlyList<ValidationReport> All() =>
        Model.Variants.All(variant => reports.ContainsKey(variant.Name)) ? Reports : throw Missing("validated");

    private PipelineException Missing(string done) => new($"{Model.Name} was not {done} in this run. Run this target without --exclusive.");
}
