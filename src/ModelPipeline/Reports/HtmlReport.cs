using System.Globalization;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;
using ModelPipeline.Text;
using ModelPipeline.Validation;

namespace ModelPipeline.Reports;

/// <summary>report.html: one file that shows all variants of a model, without scripts and without anything from elsewhere.</summary>
public static class HtmlReport
{
    /// <summary>The same text for the same reports.</summary>
    /// <param name="reports">Of one model, at least one, in the order of models.yaml.</param>
    /// <param name="context">What else the page tells.</param>
    public static string Render(IReadOnlyList<ValidationReport> reports, ReportContext? context = null)
    {
        context ??= new();
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
                context.Advice,
                IsSimulated = reports.Any(report => report.Subject.Simulated),
                Rows = Rows(reports, shapes),
                Tradeoffs = Charts.Tradeoffs(reports),
                RewriteRows = context.Rewrites.Select(rewrite => new
                {
                    rewrite.Variants,
                    rewrite.Name,
                    rewrite.Places,
                    Shift = rewrite.Shift is { } shift ? shift.ToString("0.0e+0;-0.0e+0;0", CultureInfo.InvariantCulture) : "-",
                    rewrite.Outcome,
                }),
                Provenance = context.Provenance.Select(item => new { item.Key, item.Value }),
                Baselines = shapes
                    .Where(report => report.Baselines is not null)
                    .Select(report => $"At [{report.Subject.Shape.Replace("x", ", ")}]: {report.Baselines!.Statement}"),
                References = shapes.Select(report => Charts.ReferenceName(report, reports)),
                Variants = reports.Select(report => Variant(report, Charts.Name(report, reports), context.Corpus)),
                Metrics = shown.Select(metric => new
                {
                    metric.Label,
                    metric.Description,
                    References = shapes.Select(report => Cell(metric, report.Reference)),
                    Variants = reports.Select(report => new
                    {
                        Figure = Cell(metric, report.Figures),
                        Interval = Ends(metric, report.Intervals.Figures),
                        IsOffDevice = IsOffDevice(metric, report),
                    }),
                }),
                Charts = shown
                    .Where(metric => subject.Task.Headline.Take(2).Append(Metric.SizeMb).Contains(metric.Name))
                    .Select(metric => Charts.Comparison(metric, reports)),
                Toolkit = ToolkitSections.Comparison(reports),
                Latency = context.Latency?.Render(reports) ?? "",
                Plan = context.Plan?.Render() ?? "",
                Searches = context.Searches.Select(search => search.Render()),
            }
        );
    }

    private static string Cell(Metric metric, IReadOnlyDictionary<string, double> figures) =>
        figures.TryGetValue(metric.Name, out var figure) ? metric.Format(figure) : "-";

    private static string Ends(Metric metric, IReadOnlyDictionary<string, Interval> intervals) =>
        intervals.TryGetValue(metric.Name, out var interval) ? $"{metric.Format(interval.Low)} to {metric.Format(interval.High)}" : "";

    /// <summary>The table that the decision rests on: fp32, what needs no model, and the variants, with few figures.</summary>
    internal static IEnumerable<object> Rows(IReadOnlyList<ValidationReport> reports, IReadOnlyList<ValidationReport> shapes)
    {
        Metric[] headline = [.. reports[0].Subject.Task.Headline.Take(2).Select(Metric.Named)];
        foreach (var fp32 in shapes)
        {
            yield return Row(Charts.ReferenceName(fp32, reports), fp32.Reference, headline, null);
            foreach (var (name, ndcg) in new[] { ("BM25", fp32.Baselines?.Bm25), ("random orders", fp32.Baselines?.RandomOrders) })
                if (ndcg is { } figure && headline[0].Name == Metric.NdcgAt10)
                    yield return Row(name, new Dictionary<string, double> { [Metric.NdcgAt10] = figure }, headline, null);
        }
        foreach (var report in reports)
            yield return Row(Charts.Name(report, reports), report.Figures, headline, report);
    }

    private static object Row(string name, IReadOnlyDictionary<string, double> figures, Metric[] headline, ValidationReport? report) =>
        new
        {
            Name = name,
            Mark = report is null ? "" : Mark(report),
            Cells = new[]
            {
                FigureCell(Metric.Named(Metric.SizeMb), figures, report),
                FigureCell(headline[0], figures, report),
                FigureCell(headline[1], figures, report),
                Time(report, figures),
            },
            Verdict = report is null ? [] : Verdict(report),
        };

    private static object FigureCell(Metric metric, IReadOnlyDictionary<string, double> figures, ValidationReport? report)
    {
        var drop = metric.ComparesWithFp32 ? null : report?.Intervals.Drops.GetValueOrDefault(metric.Name);
        return new
        {
            metric.Label,
            Text = Cell(metric, figures),
            // What judges by the corpus differs from query to query far more than from fp32 to a variant.
            Note = (drop, report) switch
            {
                ({ } interval, _) => $"drop {metric.Format(interval.Low)} to {metric.Format(interval.High)}",
                (null, { } own) => Ends(metric, own.Intervals.Figures),
                (null, null) => "",
            },
        };
    }

    private static object Time(ValidationReport? report, IReadOnlyDictionary<string, double> figures)
    {
        var p95 = Metric.Named(Metric.LatencyP95Ms);
        var isMeasured = figures.ContainsKey(p95.Name) && report is not { Subject.OnDevice: false };
        var estimate = report?.Toolkit?.Estimate;
        return new
        {
            p95.Label,
            Text = isMeasured ? Cell(p95, figures) : estimate?.Range ?? "-",
            Note = isMeasured || estimate is null ? "" : "estimated",
        };
    }

    /// <summary>Who gave the figures of a variant where no device did.</summary>
    private static string Mark(ValidationReport report) =>
        report.Subject switch
        {
            { InToolkit: true } => "toolkit's simulator",
            { Simulated: true } => "simulated",
            _ => "",
        };

    private static IEnumerable<object> Verdict(ValidationReport report) =>
        report
            .Gates.GroupBy(gate => gate.Result)
            .OrderByDescending(group => group.Key == GateResult.Failed)
            .ThenByDescending(group => group.Key == GateResult.Undecided)
            .ThenBy(group => group.Key)
            .Select(group => new { Count = group.Count(), Words = Words(group.Key) });

    private static IEnumerable<object> SliceCells(ValidationReport report, SliceFigures slice) =>
        report
            .Subject.Task.Headline.Take(2)
            .Select(Metric.Named)
            .Select(metric =>
            {
                var intervals = metric.ComparesWithFp32 ? slice.Intervals.Figures : slice.Intervals.Drops;
                return (object)
                    new
                    {
                        metric.Label,
                        Text = Cell(metric, slice.Figures),
                        Note = (metric.ComparesWithFp32 ? "" : "drop ") + Ends(metric, intervals),
                    };
            })
            .Prepend(
                new
                {
                    Label = "Pairs",
                    Text = slice.Pairs.ToString("N0", CultureInfo.InvariantCulture),
                    Note = "",
                }
            );

    /// <summary>A time that was not taken on a board is none, and says so wherever it is shown.</summary>
    private static bool IsOffDevice(Metric metric, ValidationReport report) =>
        metric.Kind == MetricKind.Latency && !report.Subject.OnDevice && report.Figures.ContainsKey(metric.Name);

    private static object Variant(ValidationReport report, string name, Corpus? corpus) =>
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
            Verdict = Verdict(report),
            Gates = report.Gates.Select(gate => new
            {
                Words = Words(gate.Result),
                gate.Statement,
                Chance = gate.ChanceOfOther is { } chance ? chance.ToString("P0", CultureInfo.InvariantCulture) : "",
            }),
            Slices = report.Slices.Select(slice => new { Name = $"{slice.By} {slice.Name}", Cells = SliceCells(report, slice) }),
            Worst = WorstQueries.Of(report, corpus),
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
            GateResult.Undecided => "undecided",
            GateResult.NotMeasured => "not measured",
        };
}
