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
        // Two tradeoffs, three comparisons, and three charts for each of three variants.
        Assert.Equal(14, charts.Length);
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
        Assert.Contains("<td>0.763</td><td>0.123</td><td>0.763<span class=\"note\">", page);
        Assert.Contains("fp32 1x64  0.123", page);
        Assert.DoesNotContain("fp32 1x128", HtmlReport.Render([report]));
    }

    [Fact]
    public void The_decision_comes_first_and_each_figure_has_its_interval()
    {
        var page = HtmlReport.Render(SampleReports.All, new() { Advice = "Run <this>." });
        var opening = page[page.IndexOf("<h1>", StringComparison.Ordinal)..page.IndexOf("<figure>", StringComparison.Ordinal)];
        Assert.Contains("<p class=\"advice\">Run &lt;this&gt;.</p>", opening);
        var (int8, tau) = (SampleReports.All[1], Metric.Named(Metric.KendallTau));
        var interval = int8.Intervals.Figures[Metric.KendallTau];
        Assert.Contains(
            $"<span>{tau.Format(int8.Figures[Metric.KendallTau])}</span>"
                + $"<span class=\"note\">{tau.Format(interval.Low)} to {tau.Format(interval.High)}</span>",
            opening
        );
        Assert.Contains("drop ", opening);
        // Every cell says what it is where the table is shown as cards.
        Assert.DoesNotContain("<td>", opening);
    }

    [Fact]
    public void The_queries_that_lose_most_are_shown_with_their_text_and_both_orders()
    {
        var corpus = new ModelPipeline.Text.Corpus(
            "sample",
            TinyScores.Queries,
            TinyScores
                .Queries.SelectMany(query => query.Candidates)
                .Distinct()
                .ToDictionary(id => id, id => id == TinyScores.Queries[0].Candidates[0] ? new string('x', 3) + " & more" : $"text of {id}")
        );
        var report = SampleReports.Of("int8_unmasked_normal", 2_732_811);
        var page = HtmlReport.Render([report], new() { Corpus = corpus });
        var worst = report.Queries.MinBy(query => query.Ndcg - query.ReferenceNdcg)!;
        var query = TinyScores.Queries.Single(each => each.Id == worst.Id);
        var section = page[page.IndexOf("<section", StringComparison.Ordinal)..page.IndexOf("</section>", StringComparison.Ordinal)];
        Assert.Contains($"<h4>{System.Net.WebUtility.HtmlEncode(query.Text)}</h4>", section);
        Assert.Equal(2, section.Split("<ol").Length - 1);
        Assert.Equal(20, section.Split("<li>").Length - 1);
        // The first of fp32's order, and what the variant did with it.
        var first = RankingQuality.Rank([.. worst.ReferenceScores])[0];
        var rank = Array.IndexOf(RankingQuality.Rank([.. worst.Scores]), first);
        Assert.Contains($"text of {query.Candidates[first]} <span", section);
        if (rank > 0)
            Assert.Contains($", down {rank}</span>", section);
        Assert.Equal(3, page.Split("<section").Length - 1);
    }

    /// <summary>WCAG 2.2, 1.4.3: 4.5 to 1 for text, in light, dark and print.</summary>
    [Fact]
    public void Text_has_contrast_enough_on_page_and_panel()
    {
        var themes = Theme()
            .Matches(HtmlReport.Render(SampleReports.All))
            .Select(theme =>
                Colour().Matches(theme.Value).ToDictionary(match => match.Groups[1].Value, match => Luminance(match.Groups[2].Value))
            )
            .ToList();
        Assert.Equal(3, themes.Count);
        var pairs =
            from theme in themes
            from background in new[] { "page", "panel" }
            from text in new[] { "text", "muted", "good", "bad", "open" }
            select (Text: text, Background: background, Ratio: Contrast(theme[text], theme[background]));
        Assert.All(pairs, pair => Assert.True(pair.Ratio >= 4.5, $"{pair.Text} on {pair.Background}"));

        static double Contrast(double one, double other) => (Math.Max(one, other) + 0.05) / (Math.Min(one, other) + 0.05);

        static double Luminance(string colour)
        {
            var digits = colour.Length == 3 ? string.Concat(colour.Select(digit => $"{digit}{digit}")) : colour;
            double[] channels =
            [
                .. Convert
                    .FromHexString(digits)
                    .Select(value => value / 255.0)
                    .Select(c => c <= 0.04045 ? c / 12.92 : Math.Pow((c + 0.055) / 1.055, 2.4)),
            ];
            return (0.2126 * channels[0]) + (0.7152 * channels[1]) + (0.0722 * channels[2]);
        }
    }

    /// <summary>What scrolls can be reached and is named; what is a card where there is no room names its cells.</summary>
    [Fact]
    public void No_table_is_cut_where_there_is_no_room()
    {
        var page = HtmlReport.Render(SampleReports.All);
        foreach (Match table in Table().Matches(page))
        {
            if (table.Groups["class"].Value.Contains("cards", StringComparison.Ordinal))
                Assert.DoesNotMatch("<td(?! data-label=)", table.Value);
            else
                Assert.NotEqual("", table.Groups["label"].Value);
        }
        Assert.DoesNotMatch("<div class=\"scroll\">", page);
    }

    [GeneratedRegex(@":root \{[^}]*\}")]
    private static partial Regex Theme();

    [GeneratedRegex("--([a-z]+): #([0-9a-f]{6}|[0-9a-f]{3});")]
    private static partial Regex Colour();

    [GeneratedRegex(
        "(?<before>(aria-label=\"(?<label>[^\"]*)\">)?\\s*)<table( class=\"(?<class>[^\"]*)\")?>.*?</table>",
        RegexOptions.Singleline
    )]
    private static partial Regex Table();

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
