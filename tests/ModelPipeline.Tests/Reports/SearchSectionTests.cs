using System.Text.RegularExpressions;
using System.Xml.Linq;
using ModelPipeline.Manifest;
using ModelPipeline.Reports;
using ModelPipeline.Searching;

namespace ModelPipeline.Tests.Reports;

/// <summary>What the report tells of a search.</summary>
public sealed partial class SearchSectionTests
{
    private static readonly Int8Recipe Written = Int8Recipe.Of(
        new VariantSpec
        {
            Name = "int8",
            Backend = Backend.Rknn,
            Precision = Precision.W8A8,
            Rewrites = ["families"],
            Gates = [],
        }
    );

    private static readonly Int8Recipe Choice = Written with { Rewrites = ["families", "norm-copy"] };

    [Theory]
    [InlineData("within_query_residual", "Residual within queries", 0.9, 0.1)]
    [InlineData("cosine_mean", "1 - Cosine, mean", 0.9, 0.99)]
    public void It_shows_the_front_and_what_hurts(string objective, string axis, double written, double chosen)
    {
        var page = new SearchSection(Report(objective, written, chosen)).Render();

        var charts = Figures().Matches(page).Select(match => XElement.Parse(match.Value)).ToList();
        Assert.Equal(3, charts.Count);
        Assert.All(charts.Take(2), chart => Assert.Single(chart.Descendants("path"), path => (string?)path.Attribute("class") == "guide"));
        var bars = charts[2].Descendants("rect").Select(bar => ((string)bar.Attribute("class")!, (double)bar.Attribute("width")!)).ToList();
        Assert.Equal(["reference", "variant", "variant"], bars.Select(bar => bar.Item1));
        Assert.True(bars[0].Item2 > 5 * bars[1].Item2, "the longer bar is farther from fp32");
        Assert.Contains(axis, charts[2].Value, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("<span class=\"tag passed\">taken</span>", page);
        Assert.Contains("<span class=\"tag \">as written</span> <span class=\"tag \">38.00 MB of 37.6</span>", page);
        Assert.Contains("<td>GELU</td>", page);
    }

    private static SearchReport Report(string objective, double written, double chosen) =>
        new()
        {
            Model = "m",
            Version = "1.0.0",
            Variant = "int8",
            Shape = "1x128",
            Objective = objective,
            RankedBy = "the emulation",
            ScoredBy = "the emulation",
            Parts = new(8, 4, 4),
            CalibratedOn = 0,
            Tried = [new(Choice.Text, 8, chosen), new(Written.Text, 8, written)],
            Built =
            [
                Built(Choice, 37, 5, objective, chosen),
                Built(Written, 36, 4, objective, written) with
                {
                    IsWritten = true,
                    Breaks = ["38.00 MB of 37.6"],
                },
            ],
            Rule = RecipeChoice.Rule,
            Choice = Choice,
            Sensitivity = [new("GELU", "hidden-split", written, chosen), new("weights", "", null, chosen)],
        };

    private static BuiltRecipe Built(Int8Recipe recipe, double mb, double ms, string objective, double figure) =>
        new(recipe, new Dictionary<string, double> { [objective] = figure }, mb, ms)
        {
            Loss = new SearchObjective(ModelPipeline.Metrics.Metric.Named(objective)).Figure(figure),
            IsWritten = false,
        };

    [GeneratedRegex("<figure>.*?</figure>", RegexOptions.Singleline)]
    private static partial Regex Figures();
}
