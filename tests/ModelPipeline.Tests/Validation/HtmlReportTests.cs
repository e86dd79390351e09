using ModelPipeline.Validation.Html;

namespace ModelPipeline.Tests.Validation;

public class HtmlReportTests
{
    [Fact]
    public void Write_it()
    {
        File.WriteAllText("/tmp/report.html", HtmlReport.Render(Reports.All));
    }
}
