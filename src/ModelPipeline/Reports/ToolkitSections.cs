using System.Globalization;
using System.Text;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Toolkit;
using ModelPipeline.Validation;

namespace ModelPipeline.Reports;

/// <summary>What report.html says of artifacts that rknn-toolkit2 made.</summary>
internal static class ToolkitSections
{
    /// <summary>Compile reports beside each other, estimated latencies, and what has changed since the last release; empty without such artifacts.</summary>
    public static string Comparison(IReadOnlyList<ValidationReport> reports)
    {
        var compiled = reports.Where(report => report.Toolkit is not null).Select(report => (Name: Charts.Name(report, reports), Toolkit: report.Toolkit!)).ToList();
        if (compiled.Count == 0)
            return "";
        var section = new StringBuilder("<h2>Compiled for the NPU</h2>\n<div class=\"scroll\"><table>\n");
        Row("", each => Plot.Escape(each.Name), "th");
        Row("Compiler", each => Plot.Escape(each.Toolkit.Compile.Compiler ?? "unknown"));
        Row("Layers", each => Number(each.Toolkit.Compile.Layers, 0));
        Row("Operators on the CPU", each => Plot.Escape(string.Join(", ", each.Toolkit.Compile.CpuOperators)));
        Row("Cycles, million", each => Number(each.Toolkit.Compile.Cycles / 1e6, 2));
        Row("Traffic, MB", each => Number(each.Toolkit.Compile.TrafficKb / 1024.0, 1));
        Row("Weight memory, MB", each => Number(each.Toolkit.Compile.WeightKb / 1000, 2));
        Row("Internal memory, MB", each => Number(each.Toolkit.Compile.InternalKb / 1000, 2));
        if (compiled.Any(each => each.Toolkit.Estimate is not null))
            Row("Latency, ms <span class=\"tag simulated\">estimate</span>", each => each.Toolkit.Estimate is { } estimate ? Plot.Escape(estimate.Range) : "-");
        section.Append("</table></div>\n<p class=\"muted\">From the toolkit's log. Cycles are 0 for operators that the compiler does not model: attention, norms, layout.</p>\n");
        foreach (var (name, toolkit) in compiled.Where(each => each.Toolkit.Estimate is not null))
            section.Append($"<p class=\"muted\">{Plot.Escape($"{name}: estimated, not measured: {toolkit.Estimate!.Basis}. The interval holds 90 %.")}</p>\n");
        foreach (var (name, toolkit) in compiled.Where(each => each.Toolkit.Release is not null))
            section.Append(Changes(name, toolkit.Release!));
        return section.ToString();

        void Row(string label, Func<(string Name, ToolkitFindings Toolkit), string> cell, string tag = "td") =>
            section.Append($"<tr><th>{label}</th>").AppendJoin("", compiled.Select(each => $"<{tag}>{cell(each)}</{tag}>")).Append("</tr>\n");
    }

    /// <summary>One artifact: other opinions of it, its fp16 parts, its worst tensors and a plan against them.</summary>
    public static string Of(ValidationReport report)
    {
        if (report.Toolkit is not { } toolkit)
            return "";
        var section = new StringBuilder();
        if (toolkit.Notes.Int8Outputs.Count > 0)
            section.Append($"<p>{Plot.Escape($"{string.Join(", ", toolkit.Notes.Int8Outputs)}: int8, at most 256 values, so passages may tie.")}</p>\n");
        if (toolkit.Notes.Fp16.Count > 0)
            section.Append(List("In fp16, in the toolkit's names", toolkit.Notes.Fp16));
        if (toolkit.Opinions.Count > 0)
            section.Append(Opinions(report, toolkit.Opinions));
        if (toolkit.Notes.Worst.Count > 0)
            section.Append(Worst(toolkit.Notes));
        return section.ToString();
    }

    /// <summary>The validated scores, and below them those of others for the same texts.</summary>
    private static string Opinions(ValidationReport report, IReadOnlyList<Opinion> opinions)
    {
        Metric[] metrics = [.. report.Subject.Task.Headline.Select(Metric.Named)];
        var section = new StringBuilder("<h3>Other opinions</h3>\n<div class=\"scroll\"><table>\n<tr><th>Scores of</th>");
        section.AppendJoin("", metrics.Select(metric => $"<th>{Plot.Escape(metric.Label)}</th>")).Append("<th>Kendall tau to this variant</th></tr>\n");
        Row($"this variant on {report.Subject.Device}", report.Figures, null);
        foreach (var opinion in opinions)
            Row(opinion.Source, opinion.Figures, opinion.TauToVariant);
        return section.Append("</table></div>\n").ToString();

        void Row(string source, IReadOnlyDictionary<string, double> figures, double? tau) => section.Append($"<tr><td>{Plot.Escape(source)}</td>")
            .AppendJoin("", metrics.Select(metric => $"<td>{Number(figures.TryGetValue(metric.Name, out var figure) ? figure : null, metric.Decimals)}</td>"))
            .Append($"<td>{Number(tau, 3)}</td></tr>\n");
    }

    private static string Worst(ToolkitNotes notes)
    {
        var section = new StringBuilder("<h3>Worst tensors</h3>\n<div class=\"scroll\"><table>\n");
        section.Append("<tr><th>Tensor of the toolkit</th><th>Operator</th><th>Cosine, layer alone</th><th>Distance, layer alone</th><th>Cosine so far</th></tr>\n");
        foreach (var layer in notes.Worst)
            section.Append($"<tr><td>{Plot.Escape(layer.Name)}</td><td>{Plot.Escape(layer.Operator)}</td><td>{Number(layer.SingleCosine, 5)}</td><td>{Number(layer.SingleDistance, 3)}</td><td>{Number(layer.EntireCosine, 5)}</td></tr>\n");
        section.Append("</table></div>\n<p class=\"muted\">By the toolkit's accuracy analysis on one calibration sample.</p>\n");
        section.Append(notes.SuggestedFp16.Count > 0
            ? List("A plan against them, for the variant's fp16 list in models.yaml", notes.SuggestedFp16)
            : "<p>None of them needs fp16.</p>\n");
        return section.ToString();
    }

    private static string Changes(string name, ReleaseComparison release)
    {
        var section = new StringBuilder($"<h3>{Plot.Escape($"{name} since {release.Version}")}</h3>\n");
        if (release.Changes.Count == 0)
            return section.Append("<p>The compile report is the same.</p>\n").ToString();
        section.Append($"<div class=\"scroll\"><table>\n<tr><th>Figure</th><th>{Plot.Escape(release.Version)}</th><th>now</th></tr>\n");
        foreach (var change in release.Changes)
            section.Append($"<tr><td>{Plot.Escape(change.Name)}</td><td>{Plot.Escape(change.Before)}</td><td>{Plot.Escape(change.After)}</td></tr>\n");
        return section.Append("</table></div>\n").ToString();
    }

    private static string List(string title, IEnumerable<string> lines)
    {
        var items = string.Concat(lines.Select(line => $"<li><code>{Plot.Escape(line)}</code></li>\n"));
        return items == "" ? "" : $"<h3>{Plot.Escape(title)}</h3>\n<ul>\n{items}</ul>\n";
    }

    private static string Number(double? value, int decimals) => value is { } number ? number.ToString("N" + decimals, CultureInfo.InvariantCulture) : "-";
}
