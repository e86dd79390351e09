using System.Globalization;
using ModelPipeline.Metrics;
using ModelPipeline.Validation;

namespace ModelPipeline.Reports;

/// <summary>The charts of the report, each a figure element.</summary>
internal static class Charts
{
    private const int Bins = 40;

    /// <summary>Every pair's score against fp32's on equal axes: quantization steps show as stripes, a lost ranking as a shapeless
    /// cloud.</summary>
    public static string Scatter(ValidationReport report)
    {
        var points = Pairs(report).ToArray();
        var range = Axis.Around("fp32 score", points.SelectMany(pair => new[] { pair.X, pair.Y }));
        var plot = new Plot(range, range with { Label = report.Subject.Variant + " score" });
        plot.Line("guide", range.Min, range.Min, range.Max, range.Max);
        plot.Dots("dots", points);
        return plot.Render(Invariant($"Score of each of {points.Length:N0} pairs against fp32's; on the line both are equal"));
    }

    /// <summary>fp32's histogram above, the variant's below, and a tick for each distinct score of the variant.</summary>
    public static string Levels(ValidationReport report)
    {
        var points = Pairs(report).ToArray();
        var range = Axis.Around("score (logit)", points.SelectMany(pair => new[] { pair.X, pair.Y }));
        int[] above = Histogram(points.Select(pair => pair.X), range),
            below = Histogram(points.Select(pair => pair.Y), range);
        double top = above.Max(),
            bottom = below.Max();
        var plot = new Plot(range, new(-bottom * 1.25, top * 1.08, "number of pairs") { Hidden = true });
        var width = (range.Max - range.Min) / Bins;
        for (var bin = 0; bin < Bins; bin++)
        {
            plot.Bar("reference", range.Min + bin * width, 0, range.Min + (bin + 0.9) * width, above[bin]);
            plot.Bar("variant", range.Min + bin * width, 0, range.Min + (bin + 0.9) * width, -below[bin]);
        }
        var levels = points.Select(pair => pair.Y).Distinct().Order().ToArray();
        foreach (var level in levels)
            plot.Line("rug", level, -bottom * 1.25, level, -bottom * 1.1);
        return plot.Render(
            Invariant(
                $"Distribution of scores: fp32 above, {report.Subject.Variant} below; ticks mark its {levels.Length:N0} distinct scores"
            )
        );
    }

    /// <summary>A bar a query, sorted: what the variant loses and gains in NDCG@10.</summary>
    public static string NdcgDifferences(ValidationReport report)
    {
        var queries = report
            .Queries.Where(query => query is { Ndcg: not null, ReferenceNdcg: not null })
            .Select(query => (query.Id, Difference: query.Ndcg!.Value - query.ReferenceNdcg!.Value))
            .OrderBy(query => query.Difference)
            .ThenBy(query => query.Id, StringComparer.Ordinal)
            .ToArray();
        var range = Axis.Around("NDCG@10 minus fp32's", [-0.1, 0.1, .. queries.Select(query => query.Difference)]);
        var plot = new Plot(new(0, Math.Max(queries.Length, 1), "queries, from worst to best") { Hidden = true }, range);
        foreach (var (i, (id, difference)) in queries.Index())
            plot.Bar(difference < 0 ? "loss" : "gain", i, 0, i + 0.85, difference, Invariant($"{id}: {difference:+0.000;-0.000;0}"));
        plot.Line("axis", 0, 0, queries.Length, 0);
        int worse = queries.Count(query => query.Difference < 0),
            better = queries.Count(query => query.Difference > 0);
        return plot.Render($"NDCG@10 by query: {worse} worse than fp32, {queries.Length - worse - better} equal, {better} better");
    }

    /// <summary>A bar a text, sorted: the cosine of its embedding to fp32's.</summary>
    public static string Cosines(ValidationReport report)
    {
        var texts = report.Texts.OrderBy(text => text.Cosine).ThenBy(text => text.Id, StringComparer.Ordinal).ToArray();
        var range = Axis.Around("cosine to fp32", [1, 0.9, .. texts.Select(text => text.Cosine)]);
        var plot = new Plot(new(0, texts.Length, "texts, from worst to best") { Hidden = true }, range);
        foreach (var (i, text) in texts.Index())
            plot.Bar("variant", i, range.Min, i + 0.85, text.Cosine, Invariant($"{text.Id}: {text.Cosine:F4}"));
        return plot.Render($"Cosine of each of {texts.Length} embeddings to fp32's");
    }

    /// <summary>One bar for fp32 at each shape and one for each variant; those without the figure are left out.</summary>
    public static string Comparison(Metric metric, IReadOnlyList<ValidationReport> reports)
    {
        (string Name, string Style, double Figure)[] rows =
        [
            .. reports
                .DistinctBy(report => report.Subject.Shape)
                .Where(report => report.Reference.ContainsKey(metric.Name))
                .Select(report => (ReferenceName(report, reports), "reference", report.Reference[metric.Name])),
            .. reports
                .Where(report => report.Figures.ContainsKey(metric.Name))
                .Select(report => (Name(report, reports), "variant", report.Figures[metric.Name])),
        ];
        var axis = Axis.Around(metric.Label, [0, .. rows.Select(row => row.Figure)]);
        var plot = new Plot(axis, new(0, rows.Length, string.Empty) { Hidden = true });
        foreach (var (i, row) in rows.Index())
        {
            var y = rows.Length - i;
            plot.Bar(row.Style, 0, y - 0.45, row.Figure, y - 0.85);
            plot.Note("name", 0, y - 0.45, $"{row.Name}  {metric.Format(row.Figure)}", shiftX: 3, shiftY: -5);
        }
        return plot.Render($"{metric.Label} by variant");
    }

    /// <summary>The most telling figure of each variant against what it costs: the time of a passage if a device measured all, and the
    /// size; the line joins those that nothing beats in both, bars are 95 % intervals.</summary>
    public static IEnumerable<string> Tradeoffs(IReadOnlyList<ValidationReport> reports)
    {
        Metric[] judged = [.. reports[0].Subject.Task.Headline.Take(2).Select(Metric.Named)];
        Metric size = Metric.Named(Metric.SizeMb),
            time = Metric.Named(Metric.LatencyP50Ms);
        var timed = reports.All(report => report.Subject.OnDevice && report.Figures.ContainsKey(time.Name));
        return judged
            .Where(metric => reports.All(report => report.Figures.ContainsKey(metric.Name)))
            .SelectMany(metric => new[] { timed ? time : null, size }.OfType<Metric>().Select(cost => Tradeoff(metric, cost, reports)));
    }

    private static string Tradeoff(Metric metric, Metric cost, IReadOnlyList<ValidationReport> reports)
    {
        var points = reports
            .Select(report =>
            {
                var (low, high) = Ends(metric, report);
                return (Name: Name(report, reports), X: report.Figures[cost.Name], Y: report.Figures[metric.Name], Low: low, High: high);
            })
            .ToList();
        // fp32 as the file that it is; a metric that compares with it has 1 or 0 there, and no figure.
        points.AddRange(
            reports
                .DistinctBy(report => report.Subject.Shape)
                .Where(report => report.Reference.ContainsKey(cost.Name) && report.Reference.ContainsKey(metric.Name))
                .Select(report =>
                {
                    var figure = report.Reference[metric.Name];
                    return (ReferenceName(report, reports), report.Reference[cost.Name], figure, figure, figure);
                })
        );
        var x = Axis.Around(cost.Label, [0, .. points.Select(point => point.X)]);
        var y = Axis.Around(metric.Label, points.SelectMany(point => new[] { point.Low, point.High, point.Y }));
        var plot = new Plot(x, y);
        var best = points
            .Where(point => !points.Any(other => other.X <= point.X && other.Y >= point.Y && (other.X < point.X || other.Y > point.Y)))
            .OrderBy(point => point.X)
            .ToList();
        foreach (var (from, to) in best.Zip(best.Skip(1)))
            plot.Line("guide", from.X, from.Y, to.X, to.Y);
        foreach (var (i, point) in points.OrderByDescending(point => point.Y).Index())
        {
            plot.Line("interval", point.X, point.Low, point.X, point.High);
            var isTop = point.Y > y.Max - ((y.Max - y.Min) / 15);
            var isRight = point.X > (x.Min + x.Max) / 2;
            plot.Note(isRight ? "name end" : "name", point.X, point.Y, point.Name, isRight ? -9 : 9, i % 2 == 0 && !isTop ? -5 : 17);
        }
        plot.Dots("points", points.Select(point => (point.X, point.Y)));
        var bars = metric.ComparesWithFp32 ? "95 % intervals" : "95 % intervals of the difference to fp32";
        return plot.Render($"{metric.Label} against {cost.Label}; bars are {bars}, the line joins what nothing beats in both");
    }

    private static (double Low, double High) Ends(Metric metric, ValidationReport report)
    {
        var figure = report.Figures[metric.Name];
        if (metric.ComparesWithFp32)
            return report.Intervals.Figures.TryGetValue(metric.Name, out var own) ? (own.Low, own.High) : (figure, figure);
        return report.Intervals.Drops.TryGetValue(metric.Name, out var drop) && report.Reference.TryGetValue(metric.Name, out var whole)
            ? (whole - drop.High, whole - drop.Low)
            : (figure, figure);
    }

    /// <summary>The variant's name, with its shape where the report has several.</summary>
    internal static string Name(ValidationReport report, IReadOnlyList<ValidationReport> reports) =>
        reports.Count(other => other.Subject.Variant == report.Subject.Variant) > 1
            ? $"{report.Subject.Variant} {report.Subject.Shape}"
            : report.Subject.Variant;

    /// <summary>fp32, with the shape where the report has several.</summary>
    internal static string ReferenceName(ValidationReport report, IReadOnlyList<ValidationReport> reports) =>
        reports.All(other => other.Subject.Shape == report.Subject.Shape) ? "fp32" : $"fp32 {report.Subject.Shape}";

    private static IEnumerable<(double X, double Y)> Pairs(ValidationReport report) =>
        report.Queries.SelectMany(query =>
            query.ReferenceScores.Zip(query.Scores, (reference, score) => ((double)reference, (double)score))
        );

    private static int[] Histogram(IEnumerable<double> values, Axis range)
    {
        var counts = new int[Bins];
        foreach (var value in values)
            counts[Math.Clamp((int)((value - range.Min) / (range.Max - range.Min) * Bins), 0, Bins - 1)]++;
        return counts;
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
