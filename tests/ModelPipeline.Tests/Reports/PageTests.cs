using ModelPipeline.Reports;
using ModelPipeline.Tests.EndToEnd;
using ModelPipeline.Tests.Validation;

namespace ModelPipeline.Tests.Reports;

/// <summary>report.html as readers have it.</summary>
[Collection(QuickRuns.Name)]
public sealed class PageTests(QuickRun finished) : IDisposable
{
    private readonly TemporaryFolder folder = new();

    /// <summary>A short one with gates of every verdict.</summary>
    private static string Failing =>
        HtmlReport.Render([.. SampleReports.All.Select(report => report with { Queries = [.. report.Queries.Take(5)] })]);

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task The_sample_report_is_right_on_any_screen_and_by_keyboard()
    {
        using var workspace = finished.Copy();
        Assert.Equal("", await PageCheck.RunAsync(workspace.Built("validation/report.html")));
    }

    [Fact]
    public async Task So_is_one_whose_gates_fail_or_are_open() =>
        Assert.Equal("", await PageCheck.RunAsync(folder.Write("report.html", Failing)));

    [Theory]
    [InlineData("--muted:", "--muted: #ddd; --was:", "color-contrast")]
    [InlineData("<html lang=\"en\">", "<html>", "html-has-lang")]
    [InlineData("<div class=\"scroll\" tabindex=\"0\"", "<div class=\"scroll\"", "cannot be reached by keyboard")]
    [InlineData("<h2>All figures</h2>", "<h2>All figures</h2><table style=\"width: 2000px\"><tr><td>x</td></tr></table>", "is cut")]
    public async Task The_check_would_find_a_fault(string right, string wrong, string finding)
    {
        var page = Failing;
        Assert.Contains(right, page);
        Assert.Contains(finding, await PageCheck.RunAsync(folder.Write("report.html", page.Replace(right, wrong)), "360", "light"));
    }
}
