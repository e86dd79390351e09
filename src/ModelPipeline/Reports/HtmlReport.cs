using System.Globalization;
using System.Text;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;
using ModelPipeline.Validation;

namespace ModelPipeline.Reports;

/// <summary>report.html: one file that shows all variants of a model, without scripts and without anything from elsewhere.</summary>
public static class HtmlReport
{
    /// <summary>The same text for the same reports.</summary>
    /// <param name="reports">Of one model, at least one, in the order of models.yaml.</param>
    /// <param name="latency">Of the same artifacts; null leaves the section out.</param>
    public static string Render(IReadOnlyList<ValidationReport> reports, LatencySection? latency = null)
    {
        var subject = reports[0].Subject;
        var shown = Metric.All.Where(metric => reports.Any(report => report.Figures.ContainsKey(metric.Name))).ToArray();
        return Template.Fill("report.html", new Dictionary<string, string>
        {
            ["title"] = Plot.Escape($"{subject.Model} {subject.Version}"),
            ["subtitle"] = Plot.Escape(Subtitle(reports[0])),
            ["notice"] = (reports.Any(report => report.Subject.Simulated)
                ? "<p><span class=\"tag simulated\">simulated</span> Variants with this mark were not run on an NPU. Their figures predict; they are no measurements.</p>"
                : "") + Baselines(reports),
            ["summary"] = Summary(reports, shown),
            ["comparison"] = string.Concat(shown.Where(metric => subject.Task.Headline.Take(2).Append(Metric.SizeMb).Contains(metric.Name))
                .Select(metric => Charts.Comparison(metric, reports))),
            ["toolkit"] = ToolkitSections.Comparison(reports),
            ["latency"] = latency?.Render(reports) ?? "",
            ["variants"] = string.Concat(reports.Select(report => Section(report, Charts.Name(report, reports)))),
            ["glossary"] = string.Concat(shown.Select(metric => $"<dt>{Plot.Escape(metric.Label)}</dt><dd>{Plot.Escape(metric.Description)}</dd>\n")),
        });
    }

    private static string Subtitle(ValidationReport report) =>
        $"{report.Subject.Task.Noun}, validated on {report.Subject.Task.Counted(report.Measured)} of corpus {report.Subject.Corpus}, against fp32 ONNX";

    /// <summary>Whether fp32, to which all is compared, ranks.</summary>
    private static string Baselines(IReadOnlyList<ValidationReport> reports) => string.Concat(reports.DistinctBy(report => report.Subject.Shape)
        .Where(report => report.Baselines is not null)
        .Select(report => $"<p>{Plot.Escape($"At [{report.Subject.Shape.Replace("x", ", ")}]: {report.Baselines!.Statement}")}.</p>\n"));

    /// <summary>A row a metric, a column a variant: narrow enough for a phone.</summary>
    private static string Summary(IReadOnlyList<ValidationReport> reports, IReadOnlyList<Metric> shown)
    {
        var table = new StringBuilder();
        // fp32's figures differ with the length at which passages are cut.
        ValidationReport[] shapes = [.. reports.DistinctBy(report => report.Subject.Shape)];
        Row("th", "", report => Charts.ReferenceName(report, reports), report => Plot.Escape(Charts.Name(report, reports)) + Mark(report));
        Row("td", "Gates", _ => "", Verdict);
        Row("td", "Share of fp32's size", _ => "", report => FormattableString.Invariant($"{100.0 * report.Subject.ArtifactDigest.Size / report.Subject.ReferenceDigest.Size:F0}&thinsp;%"));
        foreach (var metric in shown)
            Row("td", Plot.Escape(metric.Label), report => Cell(metric, report.Reference), report => Cell(metric, report.Figures) + Basis(metric, report));
        return table.ToString();

        void Row(string cell, string label, Func<ValidationReport, string> reference, Func<ValidationReport, string> variant) =>
            table.Append($"<tr><th>{label}</th>").AppendJoin("", shapes.Select(reference).Concat(reports.Select(variant)).Select(text => $"<{cell}>{text}</{cell}>")).Append("</tr>\n");

        static string Cell(Metric metric, IReadOnlyDictionary<string, double> figures) => figures.TryGetValue(metric.Name, out var figure) ? metric.Format(figure) : "-";
    }

    /// <summary>A time that was not taken on a board is none, and says so wherever it is shown.</summary>
    private static string Basis(Metric metric, ValidationReport report) =>
        metric.Kind != MetricKind.Latency || report.Subject.OnDevice || !report.Figures.ContainsKey(metric.Name) ? "" : " <span class=\"tag simulated\">not on a device</span>";

    private static string Mark(ValidationReport report) => report.Subject.Simulated ? " <span class=\"tag simulated\">simulated</span>" : "";

    private static string Verdict(ValidationReport report)
    {
        var counts = report.Gates.GroupBy(gate => gate.Result).OrderByDescending(group => group.Key == GateResult.Failed).ThenBy(group => group.Key);
        return report.Gates.Count == 0 ? "none" : string.Join(" ", counts.Select(group => Tag(group.Key, $"{group.Count()} {Words(group.Key)}")));
    }

    private static string Section(ValidationReport report, string name)
    {
        var subject = report.Subject;
        var section = new StringBuilder($"<h2>{Plot.Escape(name)}{Mark(report)}</h2>\n");
        var precision = subject.Precision.ToString().ToLowerInvariant();
        var what = FormattableString.Invariant(
            $"{subject.Artifact}, {subject.ArtifactDigest.Size:N0} bytes, {precision} at [{subject.Shape.Replace("x", ", ")}], run on {subject.Device}");
        section.Append($"<p class=\"muted\">{Plot.Escape(what)}</p>\n");
        if (report.Gates.Count > 0)
        {
            section.Append("<div class=\"scroll\"><table>\n<tr><th>Gate</th><th class=\"words\">Outcome</th></tr>\n");
            foreach (var gate in report.Gates)
                section.Append($"<tr><td>{Tag(gate.Result, Words(gate.Result))}</td><td class=\"words\">{Plot.Escape(gate.Statement)}</td></tr>\n");
            section.Append("</table></div>\n");
        }
        section.Append(ToolkitSections.Of(report));
        section.Append("<div class=\"charts\">\n");
        if (report.Queries.Count > 0)
            section.Append(Charts.Scatter(report)).Append(Charts.Levels(report)).Append(Charts.NdcgDifferences(report));
        if (report.Texts.Count > 0)
            section.Append(Charts.Cosines(report));
        section.Append("</div>\n");
        if (report.Queries.Count > 0)
            section.Append(QueryTable(report.Queries));
        return section.ToString();
    }

    private static string QueryTable(IReadOnlyList<QueryFigures> queries)
    {
        var table = new StringBuilder("<details><summary>Query by query, largest loss first</summary><div class=\"scroll\"><table>\n");
        table.Append("<tr><th>Query</th><th>NDCG@10 fp32</th><th>NDCG@10</th><th>Kendall tau</th><th>Same first</th><th>Tied pairs</th><th>Max difference</th><th>Mean difference</th></tr>\n");
        foreach (var query in queries.OrderBy(query => query.Ndcg - query.ReferenceNdcg ?? 0).ThenBy(query => query.Id, StringComparer.Ordinal))
        {
            table.Append(CultureInfo.InvariantCulture, $"<tr><td>{Plot.Escape(query.Id)}</td><td>{query.ReferenceNdcg:F3}</td><td>{query.Ndcg:F3}</td>");
            table.Append(CultureInfo.InvariantCulture, $"<td>{query.KendallTau:F3}</td><td>{(query.Top1Agrees ? "yes" : "no")}</td>");
            table.Append(CultureInfo.InvariantCulture, $"<td>{query.TiedPairs}</td><td>{query.MaxDifference:F4}</td><td>{query.MeanDifference:F4}</td></tr>\n");
        }
        return table.Append("</table></div></details>\n").ToString();
    }

    private static string Tag(GateResult result, string text) => $"<span class=\"tag {Words(result).Replace(' ', '_')}\">{text}</span>";

    private static string Words(GateResult result) => result switch
    {
        GateResult.Passed => "passed",
        GateResult.Failed => "failed",
        GateResult.NotMeasured => "not measured",
    };
}
