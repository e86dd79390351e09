using System.Text.RegularExpressions;
using System.Xml.Linq;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Reports;
using ModelPipeline.Tasks;
using ModelPipeline.Tests.Validation;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.Reports;

public partial class HtmlReportTests
{
    [Fact]
    public void The_same_reports_make_the_same_page_also_when_read_back_from_their_files()
    {
        var page = HtmlReport.Render(SampleReports.All);
        Assert.Equal(page, HtmlReport.Render(SampleReports.All));
        var folder = Directory.CreateTempSubdirectory("report-").FullName;
        try
        {
            var path = Path.Combine(folder, "validation.json");
            Assert.Equal(
                page,
                HtmlReport.Render([
                    .. SampleReports.All.Select(report =>
                    {
                        ReportJson.Write(path, report);
                        return ReportJson.Read<ValidationReport>(path);
                    }),
                ])
            );
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void The_page_stands_alone() =>
        Assert.DoesNotMatch("(?i)https?:|<script|<link|<iframe|<img|src=|@import|url\\(", HtmlReport.Render(SampleReports.All));

    [Fact]
    public void The_page_shows_each_gate_and_figure_and_marks_what_is_simulated()
    {
        var page = HtmlReport.Render(SampleReports.All);
        Assert.All(SampleReports.All.SelectMany(report => report.Gates), gate => Assert.Contains(gate.Statement, page));
        Assert.Contains("kendall_tau -0.078 is below its minimum 0.900 by 0.978", page);
        Assert.Contains("latency_p95_ms not measured: needs a device", page);
        Assert.Contains("ticks mark its 184 distinct scores", page);
        Assert.Contains("<th>int8_normal <span class=\"tag simulated\">simulated</span></th>", page);
        var measured = HtmlReport.Render([
            SampleReports.Of("fp16", 4_397_502, ModelPipeline.Manifest.Backend.Rknn, ModelPipeline.Manifest.DeviceKind.Ssh, p95: 42),
        ]);
        Assert.DoesNotContain("<span class=\"tag simulated\">", measured);
        Assert.Contains("latency_p95_ms 42.0 is within its maximum 100.0 by 58.0", measured);
        Assert.Contains("<td>42.0</td>", measured);
        var here = HtmlReport.Render([SampleReports.Of("fp16", 4_397_502, Backend.Onnx, p95: 42)]);
        Assert.Contains("<td>42.0 <span class=\"tag simulated\">not on a device</span></td>", here);
    }

    [Fact]
    public void Every_chart_is_well_formed_and_draws_within_its_box()
    {
        var charts = Figures().Matches(HtmlReport.Render(SampleReports.All)).Select(match => XElement.Parse(match.Value)).ToArray();
        // Three comparisons, and three charts for each of three variants.
        Assert.Equal(12, charts.Length);
        foreach (var rectangle in charts.Descendants("rect"))
        {
            Assert.InRange((double)rectangle.Attribute("x")! + (double)rectangle.Attribute("width")!, 0, 460);
            Assert.InRange((double)rectangle.Attribute("y")! + (double)rectangle.Attribute("height")!, 0, 320);
        }
        var dots = charts.Descendants("path").First(path => (string)path.Attribute("class")! == "dots");
        Assert.Equal(1070, dots.Attribute("d")!.Value.Count(letter => letter == 'M'));
    }

    /// <summary>Cut at another length, fp32 has other figures.</summary>
    [Fact]
    public void Several_shapes_have_a_reference_each()
    {
        var report = SampleReports.All[0];
        var other = report with
        {
            Subject = report.Subject with { Shape = "1x64" },
            Reference = new Dictionary<string, double>(report.Reference) { [Metric.NdcgAt10] = 0.123 },
        };
        var page = HtmlReport.Render([report, other]);
        Assert.Contains("<th>fp32 1x128</th><th>fp32 1x64</th><th>fp16 1x128", page);
        Assert.Contains("<td>0.763</td><td>0.123</td><td>0.763</td>", page);
        Assert.Contains("fp32 1x64  0.123", page);
        Assert.DoesNotContain("fp32 1x128", HtmlReport.Render([report]));
    }

    [Fact]
    public void Names_are_escaped()
    {
        var report = SampleReports.All[0];
        var page = HtmlReport.Render([
            report with
            {
                Subject = report.Subject with { Model = "<b>&\"'", Variant = "</svg><script>", Device = "{{title}}" },
            },
        ]);
        Assert.DoesNotContain("<script>", page);
        Assert.DoesNotContain("<b>&", page);
        Assert.Contains("&lt;b&gt;&amp;&quot;", page);
        Assert.Contains("run on {{title}}", page);
    }

    [Fact]
    public void Embedders_and_odd_sizes_have_a_page_too()
    {
        var subject = SampleReports.All[0].Subject with { Task = ModelTask.Embed };
        var embedder = ValidationReport.Of(
            subject,
            [],
            new(ModelTask.Embed, [], new Dictionary<string, string> { ["a"] = "", ["b"] = "" }),
            [
                [1, 0],
                [0, 1],
            ],
            [
                [1, 0],
                [0.6f, 0.8f],
            ]
        );
        Assert.Contains("Cosine of each of 2 embeddings", HtmlReport.Render([embedder]));
        var single = ValidationReport.Of(
            SampleReports.All[0].Subject,
            [],
            Order("p"),
            [
                [1],
            ],
            [
                [1],
            ]
        );
        Assert.Contains("0 worse than fp32, 1 equal, 0 better", HtmlReport.Render([single]));
        var huge = ValidationReport.Of(
            SampleReports.All[0].Subject,
            [],
            Order("p", "r"),
            [
                [1e20f],
                [1e20f],
            ],
            [
                [1e20f],
                [1e20f],
            ]
        );
        Assert.DoesNotContain("NaN", HtmlReport.Render([huge]));

        static ScoringOrder Order(params string[] candidates) =>
            new(
                ModelTask.Rerank,
                [new("q", "what", candidates, new Dictionary<string, int> { ["p"] = 1 })],
                new Dictionary<string, string>()
            );
    }

    [GeneratedRegex("<figure>.*?</figure>", RegexOptions.Singleline)]
    private static partial Regex Figures();
}
