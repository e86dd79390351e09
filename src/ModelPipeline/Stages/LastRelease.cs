using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;
using ModelPipeline.Validation;

namespace ModelPipeline.Stages;

/// <summary>Figures of a build beside those that the last release recorded.</summary>
internal static class LastRelease
{
    /// <summary>Reports with the outcomes of their gates against the release.</summary>
    /// <param name="build">Of the model.</param>
    /// <param name="reports">Of its variants.</param>
    /// <param name="release">Manifest of the last release; null if there is none.</param>
    /// <param name="context">Of the run.</param>
    public static async Task<IReadOnlyList<ValidationReport>> JudgeAsync(
        ModelBuild build,
        IReadOnlyList<ValidationReport> reports,
        PackageManifest? release,
        StageContext context
    )
    {
        if (build.Model.Variants.All(variant => variant.Gates.All(gate => gate.MaxDropVsRelease is null)))
            return reports;
        var other = release is null
            ? "there is no release before this one"
            : await OtherTextsAsync(build, release, context).ConfigureAwait(false);
        return [.. reports.Select(Judged)];

        ValidationReport Judged(ValidationReport report)
        {
            var gates = build.Model.Variants.First(variant => variant.Name == report.Subject.Variant).Gates;
            var before = release?.Variants.FirstOrDefault(variant =>
                (variant.Subject.Variant, variant.Subject.Shape) == (report.Subject.Variant, report.Subject.Shape)
            );
            var without = other ?? (before is null ? $"release {release!.Version} has no {report.Subject.Variant} at this shape" : null);
            var released = without is null ? new ReleasedFigures(release!.Version, before!.Figures, null) : ReleasedFigures.None(without);
            return report with
            {
                Gates =
                [
                    .. report.Gates,
                    .. gates.Where(gate => gate.MaxDropVsRelease is not null).Select(gate => Gate.Judge(gate, report.Figures, released)),
                ],
            };
        }
    }

    /// <summary>Why the validation's texts are not those that a release was judged on; null if they are.</summary>
    public static async Task<string?> OtherTextsAsync(ModelBuild build, PackageManifest release, StageContext context)
    {
        var spec = build.Model.Validation;
        var now = await build.TextInputsAsync(spec.Corpus, context).ConfigureAwait(false);
        var files = build.Manifest.Corpora[spec.Corpus].Files.Select(file => $"{spec.Corpus}/{file.Key}").ToList();
        var differing = files.Where(file => release.Inputs.GetValueOrDefault(file) != now[file]).ToList();
        if (differing.Count > 0)
            return $"release {release.Version} was judged on other texts: {string.Join(", ", differing)}";
        return (int?)release.Settings["validation"]?["queries"] == spec.Queries
            ? null
            : $"release {release.Version} was judged on another number of queries";
    }
}
