using System.Globalization;
using ModelPipeline.Metrics;
using ModelPipeline.Toolkit;
using ModelPipeline.Validation;

namespace ModelPipeline.Reports;

/// <summary>What report.html says of artifacts that rknn-toolkit2 made.</summary>
internal static class ToolkitSections
{
    /// <summary>Compile reports beside each other, estimated latencies, and what has changed since the last release; empty without such
    /// artifacts.</summary>
    public static string Comparison(IReadOnlyList<ValidationReport> reports)
    {
        var compiled = reports
            .Where(report => report.Toolkit is not null)
            .Select(report => (Name: Charts.Name(report, reports), Toolkit: report.Toolkit!))
            .ToList();
        return compiled.Count == 0
            ? ""
            : Template.Html(
                "report-compiled.html",
                new
                {
                    Artifacts = compiled.Select(each => new { each.Name, Range = each.Toolkit.Estimate?.Range ?? "-" }),
                    Estimates = compiled
                        .Where(each => each.Toolkit.Estimate is not null)
                        .Select(each => new { each.Name, each.Toolkit.Estimate!.Basis }),
                    Releases = compiled
                        .Where(each => each.Toolkit.Release is not null)
                        .Select(each => new
                        {
                            each.Name,
                            each.Toolkit.Release!.Version,
                            each.Toolkit.Release.Changes,
                        }),
                    Rows = new[]
                    {
                        Row("Compiler", compile => compile.Compiler ?? "unknown"),
                        Row("Layers", compile => Number(compile.Layers, 0)),
                        Row("Operators on the CPU", compile => string.Join(", ", compile.CpuOperators)),
                        Row("Attentions fused", compile => compile.Attentions is { } all ? $"{compile.FusedAttentions} of {all}" : "-"),
                        Row("Cycles, million", compile => Number(compile.Cycles / 1e6, 2)),
                        Row("Traffic, MB", compile => Number(compile.TrafficKb / 1024.0, 1)),
                        Row("Weight memory, MB", compile => Number(compile.WeightKb / 1000, 2)),
                        Row("Internal memory, MB", compile => Number(compile.InternalKb / 1000, 2)),
                    },
                }
            );

        object Row(string label, Func<CompileSummary, string> cell) =>
            new { Label = label, Cells = compiled.Select(each => cell(each.Toolkit.Compile)) };
    }

    /// <summary>One artifact: other opinions of it, its fp16 parts, its worst tensors and a plan against them.</summary>
    public static string Of(ValidationReport report)
    {
        if (report.Toolkit is not { } toolkit)
            return "";
        Metric[] metrics = [.. report.Subject.Task.Headline.Select(Metric.Named)];
        return Template.Html(
            "report-artifact.html",
            new
            {
                Int8Outputs = string.Join(", ", toolkit.Notes.Int8Outputs),
                toolkit.Notes.Fp16,
                Labels = metrics.Select(metric => metric.Label),
                // The validated scores, and below them those of others for the same texts.
                Opinions = toolkit.Opinions.Count == 0
                    ? []
                    : toolkit
                        .Opinions.Select(opinion => Opinion(opinion.Source, opinion.Figures, opinion.TauToVariant))
                        .Prepend(Opinion($"this variant on {report.Subject.Device}", report.Figures, null)),
                Worst = toolkit.Notes.Worst.Select(layer =>
                    new[]
                    {
                        layer.Name,
                        layer.Operator,
                        Number(layer.SingleCosine, 5),
                        Number(layer.SingleDistance, 3),
                        Number(layer.EntireCosine, 5),
                    }
                ),
                toolkit.Notes.SuggestedFp16,
            }
        );

        object Opinion(string source, IReadOnlyDictionary<string, double> figures, double? tau) =>
            new
            {
                Source = source,
                Figures = metrics.Select(metric =>
                    Number(figures.TryGetValue(metric.Name, out var figure) ? figure : null, metric.Decimals)
                ),
                Tau = Number(tau, 3),
            };
    }

    private static string Number(double? value, int decimals) =>
        value is { } number ? number.ToString("N" + decimals, CultureInfo.InvariantCulture) : "-";
}
