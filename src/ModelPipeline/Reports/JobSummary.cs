using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Validation;

namespace ModelPipeline.Reports;

/// <summary>What GitHub shows of a job: Markdown for GITHUB_STEP_SUMMARY, and annotations at the lines of models.yaml whose gates did not
/// pass.</summary>
public static class JobSummary
{
    /// <summary>The paragraph and the table that the report opens with, in Markdown.</summary>
    /// <param name="reports">Of one model, at least one, in the order of models.yaml.</param>
    /// <param name="advice">Empty before there is one.</param>
    public static string Render(IReadOnlyList<ValidationReport> reports, string advice) =>
        Template.Markdown(
            "job-summary.md",
            new
            {
                Title = $"{reports[0].Subject.Model} {reports[0].Subject.Version}",
                Advice = advice,
                Rows = HtmlReport.Rows(reports, [.. reports.DistinctBy(report => report.Subject.Shape)]),
                Gates = reports.SelectMany(report =>
                    report
                        .Gates.Where(gate => !gate.Result.Holds())
                        .Select(gate => new { Variant = Charts.Name(report, reports), gate.Statement })
                ),
            }
        );

    /// <summary>Workflow commands, one a gate that failed or is undecided.</summary>
    /// <param name="reports">Of any models.</param>
    /// <param name="manifest">Path of models.yaml.</param>
    /// <param name="shown">The same as GitHub knows it: relative to the repository.</param>
    public static IEnumerable<string> Annotations(IEnumerable<ValidationReport> reports, string manifest, string shown) =>
        reports.SelectMany(report =>
            report
                .Gates.Where(gate => !gate.Result.Holds())
                .Select(gate =>
                {
                    var (model, variant) = (report.Subject.Model, report.Subject.Variant);
                    var line = GatePlaces.LineOf(manifest, model, variant, gate.Metric);
                    var place = line is null ? "" : $",line={line}";
                    return $"::error file={Property(shown)}{place},title={Property($"{model} {variant} at {report.Subject.Shape}")}::"
                        + Escaped(gate.Statement);
                })
        );

    /// <summary>As the runner reads commands (actions/toolkit, command.ts).</summary>
    private static string Escaped(string text) => text.Replace("%", "%25").Replace("\r", "%0D").Replace("\n", "%0A");

    private static string Property(string text) => Escaped(text).Replace(":", "%3A").Replace(",", "%2C");
}
