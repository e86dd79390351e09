using System.Globalization;
using System.Text;
using ModelPipeline.Decision;
using ModelPipeline.Latency;
using ModelPipeline.Metrics;
using ModelPipeline.Validation;

namespace ModelPipeline.Reports;

/// <summary>
/// The part of the report on latency and length buckets. Only what a device measured is in it: times of a simulator are no figures, and would
/// make another page of every run.
/// </summary>
/// <param name="Latency">Of the session.</param>
/// <param name="Routings">Of the variants in it.</param>
public sealed record LatencySection(LatencyReport Latency, IReadOnlyList<VariantRouting> Routings)
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    /// <param name="reports">Of the variants at every shape.</param>
    internal string Render(IReadOnlyList<ValidationReport> reports)
    {
        var section = new StringBuilder("<h2>Latency</h2>\n");
        section.Append(Latency.OnDevice ? Measured() : $"<p>{Tag("not_measured", Gate.NeedsDevice)} What {Plot.Escape(Latency.Device)} took is in latency.json and satisfies no gate.</p>\n");
        section.Append("<h3>Length buckets</h3>\n<p class=\"muted\">A passage goes to the smallest shape that takes it, with its query and the special tokens. ");
        section.Append(Cut(Routings[0])).Append("</p>\n<div class=\"charts\">\n").Append(LatencyCharts.Lengths(Latency.Lengths.Tokens, Routings.MaxBy(routing => routing.Buckets.Count)!.Buckets));
        foreach (var routing in Routings.Where(routing => routing.Expected.Count > 0 && routing.Buckets.Count > 1))
            section.Append(LatencyCharts.Buckets(routing, Latency.Passages));
        section.Append("</div>\n").Append(BucketTable(reports)).Append(RoutedTable());
        return section.ToString();
    }

    private string Measured()
    {
        var (machine, device) = (Latency.Machine, Latency.Device);
        string[] facts = [machine.Platform, .. machine.Soc.Take(1), .. Versions(machine.Driver, "NPU driver"), .. Versions(machine.Runtime, "runtime")];
        var text = new StringBuilder($"<p class=\"muted\">Measured on {Plot.Escape($"{device} ({string.Join(", ", facts)})")} after warm-up, with 95&thinsp;% bootstrap intervals. ");
        text.Append($"A request is {Latency.Passages} passages. Times of a passage are the runtime's; a request lasts from its first passage's start to its last one's end.</p>\n");
        foreach (var note in Latency.Notes)
            text.Append($"<p>{Tag("not_measured", "note")} {Plot.Escape(note)}</p>\n");
        foreach (var (artifact, doubt) in All().SelectMany(artifact => artifact.Doubts.Select(doubt => (artifact, doubt))))
            text.Append($"<p>{Tag("not_measured", "doubtful")} {Plot.Escape($"{Name(artifact)}: {doubt}")}</p>\n");
        text.Append("<div class=\"charts\">\n").Append(LatencyCharts.Passages([.. All().Where(Counts)])).Append(LatencyCharts.Requests([.. All().Where(Counts)], Latency.Passages)).Append("</div>\n");
        text.Append("<div class=\"scroll\"><table>\n<tr><th>Artifact</th><th class=\"words\">Core plan</th><th>p50, ms</th><th>p95</th><th>p99</th><th>Mean</th>");
        text.Append($"<th>{Latency.Passages} passages, mean</th><th>p95</th><th>Share of fp32's p50</th></tr>\n");
        foreach (var artifact in All())
            Rows(text, artifact);
        return text.Append("</table></div>\n").ToString();

        static IEnumerable<string> Versions(string version, string of) => version.Length == 0 ? [] : [$"{of} {version}"];
    }

    private static void Rows(StringBuilder text, ArtifactLatency artifact)
    {
        if (!Counts(artifact))
        {
            var why = artifact.NotMeasured.Length > 0 ? artifact.NotMeasured : Gate.NeedsDevice;
            text.Append($"<tr><td>{Plot.Escape(Name(artifact))}</td><td class=\"words\" colspan=\"8\">{Plot.Escape(why)}</td></tr>\n");
            return;
        }
        foreach (var (i, plan) in artifact.Plans.Index())
        {
            var (passage, request) = (plan.Passage.Figures, plan.Request.Figures);
            text.Append($"<tr><td>{(i == 0 ? Plot.Escape(Name(artifact)) : "")}</td><td class=\"words\">{Plot.Escape(plan.Plan)}</td>");
            text.Append($"<td>{Interval(passage.P50)}</td><td>{Interval(passage.P95)}</td><td>{Interval(passage.P99)}</td><td>{Interval(passage.Mean)}</td>");
            text.Append($"<td>{Interval(request.Mean)}</td><td>{Interval(request.P95)}</td><td>{(i == 0 ? artifact.RatioToFp32?.ToString("F2", Invariant) : "")}</td></tr>\n");
        }
    }

    /// <summary>What each bucket is given, and what fp32 itself loses to cutting at its length.</summary>
    private string BucketTable(IReadOnlyList<ValidationReport> reports)
    {
        var table = new StringBuilder("<div class=\"scroll\"><table>\n<tr><th>Variant</th><th class=\"words\">Artifact</th><th>Tokens</th><th>Passages</th><th>Share</th><th>fp32's NDCG@10 if all were cut there</th></tr>\n");
        foreach (var routing in Routings)
        {
            foreach (var bucket in routing.Buckets)
            {
                var whole = reports.First(report => report.Subject.Variant == routing.Variant && report.Subject.Shape.EndsWith($"x{bucket.MaxTokens}", StringComparison.Ordinal)).Reference;
                table.Append(Invariant, $"<tr><td>{Plot.Escape(routing.Variant)}</td><td class=\"words\">{Plot.Escape(bucket.Artifact)}</td><td>to {bucket.MaxTokens}</td>");
                table.Append(Invariant, $"<td>{bucket.Passages:N0}</td><td>{100 * bucket.Share:F1}&thinsp;%</td><td>{Shown(whole, Metric.NdcgAt10)}</td></tr>\n");
            }
        }
        return table.Append("</table></div>\n").ToString();
    }

    /// <summary>Variants of several shapes as they serve the corpus together.</summary>
    private string RoutedTable()
    {
        var several = Routings.Where(routing => routing.Buckets.Count > 1).ToArray();
        if (several.Length == 0)
            return "";
        var table = new StringBuilder("<h3>Served by length</h3>\n<div class=\"scroll\"><table>\n<tr><th>Variant</th><th>NDCG@10</th><th>Kendall tau to fp32 at the largest</th>");
        table.Append($"<th class=\"words\">Core plan</th><th>A passage, ms</th><th>at the largest</th><th>{Latency.Passages} passages, ms</th><th>at the largest</th><th class=\"words\">Gates</th></tr>\n");
        foreach (var routing in several)
        {
            var fastest = routing.Expected.MinBy(expected => expected.RequestMs);
            string[] times = fastest is null ? ["-", "-", "-", "-", "-"] :
                [fastest.Plan, .. new[] { fastest.PassageMs, fastest.LargestPassageMs, fastest.RequestMs, fastest.LargestRequestMs }.Select(time => time.ToString("F1", Invariant))];
            table.Append($"<tr><td>{Plot.Escape(routing.Variant)}</td><td>{Shown(routing.Figures, Metric.NdcgAt10)}</td><td>{Shown(routing.Figures, Metric.KendallTau)}</td>");
            table.Append($"<td class=\"words\">{Plot.Escape(times[0])}</td>").AppendJoin("", times[1..].Select(time => $"<td>{time}</td>"));
            table.Append($"<td class=\"words\">{Plot.Escape(string.Join("; ", routing.Gates.Select(gate => gate.Statement)))}</td></tr>\n");
        }
        return table.Append("</table></div>\n").ToString();
    }

    private static string Cut(VariantRouting routing)
    {
        if (routing.Truncation is not { Passages: > 0 } cut)
            return "None of the passages is longer than the largest.";
        var text = string.Create(Invariant, $"{100 * cut.Share:F1}&thinsp;% of the passages are longer than the largest and lose {cut.MeanTokensCut:F0} tokens on average, {cut.MaxTokensCut} at most.");
        return cut.Cost is not { } cost ? text : text + string.Create(Invariant,
            $" With passages of up to {cost.ModelTokens} tokens whole, fp32's NDCG@10 is {cost.WholeNdcg:F3}; cut, it is {cost.CutNdcg:F3} (Kendall tau {cost.KendallTau:F3} between the two, scores change by {cost.MaxScoreDifference:F2} at most).");
    }

    private IEnumerable<ArtifactLatency> All() => Latency.Reference.Concat(Latency.Artifacts);

    private static bool Counts(ArtifactLatency artifact) => artifact.OnDevice && artifact.Plans.Count > 0;

    internal static string Name(ArtifactLatency artifact) => $"{artifact.Variant} {artifact.Shape}";

    private static string Shown(IReadOnlyDictionary<string, double> figures, string metric) => figures.TryGetValue(metric, out var figure) ? Metric.Named(metric).Format(figure) : "-";

    private static string Interval(Estimate estimate) => string.Create(Invariant, $"{estimate.Value:F1} <span class=\"muted\">{estimate.Low:F1}&ndash;{estimate.High:F1}</span>");

    private static string Tag(string style, string text) => $"<span class=\"tag {style}\">{text}</span>";
}
