using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;
using ModelPipeline.Planning;
using ModelPipeline.Toolkit;
using ModelPipeline.Validation;

namespace ModelPipeline.Stages;

/// <summary>What rknn-toolkit2 told of artifacts, for validation.</summary>
public static class ToolkitStage
{
    /// <summary>The report with the toolkit's findings, its compile figures and the gates on them; as it is for artifacts that the toolkit
    /// did not make.</summary>
    internal static ValidationReport WithFindings(ValidationReport report, VariantSpec variant, ToolkitFindings? findings)
    {
        if (findings is null)
            return report;
        var summary = findings.Compile;
        return report with
        {
            Figures = Figure.Set(
                report.Figures.Concat(summary.Figures).Select(figure => KeyValuePair.Create(figure.Key, (double?)figure.Value))
            ),
            Gates = [.. report.Gates, .. summary.Judge(variant.Compile)],
            Toolkit = findings,
        };
    }

    /// <summary>What the toolkit told of an artifact; null of one that it did not make. Of a restored release it is what the manifest has,
    /// with the figures of the toolkit's simulator as another opinion.</summary>
    internal static ToolkitFindings? Findings(ModelBuild build, VariantSpec variant, InputShape shape)
    {
        if (variant.Backend != Backend.Rknn)
            return null;
        if (build.Restored?.Of(variant, shape) is { Toolkit: { } told } released)
            return new ToolkitFindings(told.Compile, told.Notes)
            {
                Opinions = released.Subject.InToolkit ? [new Opinion("the toolkit's simulator", Accuracy(released.Figures), null)] : [],
            };
        var artifact = build.Artifact(variant, shape);
        return new ToolkitFindings(CompileSummary.Of(Compile(artifact)), ReportJson.Read<ToolkitNotes>(NotesPath(artifact)));
    }

    private static IReadOnlyDictionary<string, double> Accuracy(IReadOnlyDictionary<string, double> figures) =>
        figures.Where(figure => Metric.Named(figure.Key).Kind == MetricKind.Accuracy).ToDictionary();

    /// <summary>The report of an artifact that the toolkit made with another's scores beside its own; others as they are.</summary>
    internal static ValidationReport WithOpinion(ValidationReport report, string source, ValidationReport other) =>
        report.Toolkit is { } findings
            ? report with
            {
                Toolkit = findings with { Opinions = [.. findings.Opinions, report.OpinionOf(source, other)] },
            }
            : report;

    /// <summary>Reports with what they only tell together: estimated latencies, what our emulation says of the same build, and what the
    /// last release had.</summary>
    /// <param name="build">Of the model.</param>
    /// <param name="reports">Of its variants.</param>
    /// <param name="release">Manifest of the last release's package; null if none is known.</param>
    /// <param name="context">Of the run.</param>
    public static async Task<IReadOnlyList<ValidationReport>> CompareAsync(
        ModelBuild build,
        IReadOnlyList<ValidationReport> reports,
        PackageManifest? release,
        StageContext context
    )
    {
        if (reports.All(report => report.Toolkit is null))
            return reports;
        var work = new Dictionary<AttentionForm, ModelWork>();
        foreach (var form in build.Model.Variants.Select(variant => variant.Attention).Append(AttentionForm.Fused).Distinct())
            work[form] = await Estimates.WorkAsync(build, form, context).ConfigureAwait(false);
        var estimates = Estimates.Of(build, work[AttentionForm.Fused]);
        foreach (var variant in build.Model.Variants.Where(variant => !Estimates.IsKnown(estimates, variant)))
            context.Info($"{variant.Name}: how long attention takes that is not fused is unknown until a board has measured it");
        return [.. reports.Select(report => report.Toolkit is null ? report : Compared(report))];

        LatencyEstimate? Estimated(ValidationSubject subject)
        {
            var (variant, shape) = build.Artifacts.First(each =>
                each.Variant.Name == subject.Variant && each.Shape.ToString() == subject.Shape
            );
            if (!Estimates.IsKnown(estimates, variant))
                return null;
            return estimates
                .Estimate(work[variant.Attention].At(shape), new RunPlace(variant.Target, variant.Precision), Estimates.SessionOf(build))
                ?.Each(shape.Batch);
        }

        ValidationReport Compared(ValidationReport report)
        {
            var estimate = report.Subject.OnDevice && report.Figures.ContainsKey(Metric.LatencyP50Ms) ? null : Estimated(report.Subject);
            var before = release
                ?.Variants.FirstOrDefault(variant =>
                    variant.Subject.Variant == report.Subject.Variant && variant.Subject.Shape == report.Subject.Shape
                )
                ?.Toolkit;
            report = reports
                .Where(other =>
                    other.Subject.Backend == Backend.Simulator
                    && other.Subject.Precision == report.Subject.Precision
                    && other.Subject.Shape == report.Subject.Shape
                )
                .Aggregate(report, (own, other) => WithOpinion(own, $"our emulation ({other.Subject.Variant})", other));
            return report with
            {
                Toolkit = report.Toolkit! with
                {
                    Estimate = estimate,
                    Release = before is null
                        ? null
                        : new ReleaseComparison(release!.Version, CompileChange.Between(before.Compile, report.Toolkit.Compile)),
                },
            };
        }
    }

    /// <summary>The compile report of an artifact.</summary>
    internal static CompileReport Compile(string artifact) => ReportJson.Read<CompileReport>(CompilePath(artifact));

    internal static string CompilePath(string artifact) => Beside(artifact, "compile.json");

    internal static string NotesPath(string artifact) => Beside(artifact, "toolkit.json");

    private static string Beside(string artifact, string name) => Path.Combine(Path.GetDirectoryName(artifact)!, name);
}
