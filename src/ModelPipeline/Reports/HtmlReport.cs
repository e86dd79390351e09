using System.Globalization;
using ModelPipeline.Metrics;
using ModelPipeline.Validation;

namespace ModelPipeline.Reports;

/// <summary>report.html: one file that shows all variants of a model, without scripts and without anything from elsewhere.</summary>
public static class HtmlReport
{
    /// <summary>The same text for the same reports.</summary>
    /// <param name="reports">Of one model, at least one, in the order of models.yaml.</param>
    /// <param name="latency">Of the same artifacts; null leaves the section out.</param>
    /// <param name="plan">Of the same model; null leaves the section out.</param>
    public static string Render(IReadOnlyList<ValidationReport> reports, LatencySection? latency = null, PlanSection? plan = null)
    {
        var subject = reports[0].Subject;
        var shown = Metric.All.Where(metric => reports.Any(report => report.Figures.ContainsKey(metric.Name))).ToArray();
        // fp32's figures differ with the length at which passages are cut.
        ValidationReport[] shapes = [.. reports.DistinctBy(report => report.Subject.Shape)];
        return Template.Html(
            "report.html",
            new
            {
                Title = $"{subject.Model} {subject.Version}",
                Subtitle = $"{subject.Task.Noun}, validated on {subject.Task.Counted(reports[0].Measured)} of corpus {subject.Corpus}, "
                    + $"against fp32 ONNX",
                IsSimulated = reports.Any(report => report.Subject.Simulated),
                Baselines = shapes
                    .Where(report => report.Baselines is not null)
                    .Select(report => $"At [{report.Subject.Shape.Replace("x", ", ")}]: {report.Baselines!.Statement}"),
                References = shapes.Select(report => Charts.ReferenceName(report, reports)),
                Variants = reports.Select(report => Variant(report, Charts.Name(report, reports))),
                Metrics = shown.Select(metric => new
                {
                    metric.Label,
                    metric.Description,
                    References = shapes.Select(report => Cell(metric, report.Reference)),
                    Variants = reports.Select(report => new
                    {
                        Figure = Cell(metric, report.Figures),
                        IsOffDevice = IsOffDevice(metric, report),
                    }),
                }),
                Charts = shown
                    .Where(metric => subject.Task.Headline.Take(2).Append(Metric.SizeMb).Contains(metric.Name))
                    .Select(metric => Charts.Comparison(metric, reports)),
                Toolkit = ToolkitSections.Comparison(reports),
                Latency = latency?.Render(reports) ?? "",
                Plan = plan?.Render() ?? "",
            }
        );
    }

    private static string Cell(Metric metric, IReadOnlyDictionary<string, double> figures) =>
        figures.TryGetValue(metric.Name, out var figure) ? metric.Format(figure) : "-";

    /// <summary>A time that was not taken on a board is none, and says so wherever it is shown.</summary>
    private static bool IsOffDevice(Metric metric, ValidationReport report) =>
        metric.Kind == MetricKind.Latency && !report.Subject.OnDevice && report.Figures.ContainsKey(metric.Name);

    private static object Variant(ValidationReport report, string name) =>
        new
        {
            Name = name,
            IsSimulated = report.Subject.Simulated,
            SizePercent = FormattableString.Invariant(
                $"{100.0 * report.Subject.ArtifactDigest.Size / report.Subject.ReferenceDigest.Size:F0}"
            ),
            What = string.Create(
                CultureInfo.InvariantCulture,
                $"{report.Subject.Artifact}, {report.Subject.ArtifactDigest.Size:N0} bytes, "
                    + $"{report.Subject.Precision.ToString().ToLowerInvariant()} at [{report.Subject.Shape.Replace("x", ", ")}], run on "
                    + $"{report.Subject.Device}"
            ),
            Verdict = report
                .Gates.GroupBy(gate => gate.Result)
                .OrderByDescending(group => group.Key == GateResult.Failed)
                .ThenBy(group => group.Key)
                .Select(group => new { Count = group.Count(), Words = Words(group.Key) }),
            Gates = report.Gates.Select(gate => new { Words = Words(gate.Result), gate.Statement }),
            Toolkit = ToolkitSections.Of(report),
            Charts = ChartsOf(report),
            Queries = report
                .Queries.OrderBy(query => query.Ndcg - query.ReferenceNdcg ?? 0)
                .ThenBy(query => query.Id, StringComparer.Ordinal)
                .Select(query => new
                {
                    query.Id,
                    Cells = new[]
                    {
                        FormattableString.Invariant($"{query.ReferenceNdcg:F3}"),
                        FormattableString.Invariant($"{query.Ndcg:F3}"),
                        FormattableString.Invariant($"{query.KendallTau:F3}"),
                        query.Top1Agrees ? "yes" : "no",
                        FormattableString.Invariant($"{query.TiedPairs}"),
                        FormattableString.Invariant($"{query.MaxDifference:F4}"),
                        FormattableString.Invariant($"{query.MeanDifference:F4}"),
                    },
                }),
        };

    private static IEnumerable<string> ChartsOf(ValidationReport report) =>
        [
            .. report.Queries.Count > 0 ? new[] { Charts.Scatter(report), Charts.Levels(report), Charts.NdcgDifferences(report) } : [],
            .. report.Texts.Count > 0 ? new[] { Charts.Cosines(report) } : [],
        ];

    private static string Words(GateResult result) =>
        result switch
        {
            GateResult.Passed => "passed",
            GateResult.Failed => "failed",
            GateResult.NotMeasured => "not measured",
        };
}
