using System.Text.Json.Serialization;
using ModelPipeline.Core;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;
using ModelPipeline.Validation;

namespace ModelPipeline.Publishing;

/// <summary>A figure of a release beside what it is now.</summary>
/// <param name="Variant">Key in models.yaml.</param>
/// <param name="Shape">As in file names: 1x128.</param>
/// <param name="Metric">Key of <see cref="Metrics.Metric.All"/>.</param>
/// <param name="Released">As the release's manifest has it.</param>
/// <param name="Interval">Of it, as recorded; null for a figure that has none.</param>
/// <param name="Now">As this machine and these texts give it; null if they do not.</param>
[OneLine]
public sealed record DriftFigure(string Variant, string Shape, string Metric, double Released, Interval? Interval, double? Now)
{
    /// <summary>It is beyond its recorded interval.</summary>
    public bool HasLeft => Interval is { } interval && Now is { } now && (now < interval.Low || now > interval.High);

    [JsonIgnore]
    public string Sentence
    {
        get
        {
            var metric = Metrics.Metric.Named(Metric);
            return $"{Variant} at {Shape}: {Metric} is {metric.Format(Now!.Value)}, and was {metric.Format(Released)} "
                + $"[{metric.Format(Interval!.Low)}, {metric.Format(Interval.High)}]";
        }
    }
}

/// <summary>How the figures of a release have moved, on another board, runtime or corpus: content of drift.json.</summary>
/// <param name="Model">Its name.</param>
/// <param name="Version">Of the release.</param>
/// <param name="Device">That ran it now.</param>
/// <param name="Corpus">That judged it now.</param>
/// <param name="OtherTexts">Why these are not the texts that the release was judged on; null if they are.</param>
/// <param name="Figures">Of each variant that ran, in the order of the manifest.</param>
public sealed record DriftReport(
    string Model,
    string Version,
    string Device,
    string Corpus,
    string? OtherTexts,
    IReadOnlyList<DriftFigure> Figures
)
{
    public const string FileName = "drift.json";

    /// <summary>Those beyond their recorded intervals.</summary>
    [JsonIgnore]
    public IEnumerable<DriftFigure> Left => Figures.Where(figure => figure.HasLeft);

    /// <param name="release">Manifest of the release.</param>
    /// <param name="now">Of its variants, at least one.</param>
    /// <param name="otherTexts">Why the texts are others; null if they are not.</param>
    public static DriftReport Of(PackageManifest release, IReadOnlyList<ValidationReport> now, string? otherTexts) =>
        new(
            release.Name,
            release.Version,
            now[0].Subject.Device,
            now[0].Subject.Corpus,
            otherTexts,
            [
                .. from report in now
                from variant in release.Variants
                where (variant.Subject.Variant, variant.Subject.Shape) == (report.Subject.Variant, report.Subject.Shape)
                from figure in variant.Figures
                where Metric.Named(figure.Key).Kind is MetricKind.Accuracy or MetricKind.Latency
                select new DriftFigure(
                    variant.Subject.Variant,
                    variant.Subject.Shape,
                    figure.Key,
                    figure.Value,
                    variant.Intervals.Figures.GetValueOrDefault(figure.Key),
                    report.Figures.TryGetValue(figure.Key, out var own) ? own : null
                ),
            ]
        );
}
