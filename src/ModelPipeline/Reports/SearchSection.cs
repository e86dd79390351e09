using System.Globalization;
using ModelPipeline.Metrics;
using ModelPipeline.Searching;

namespace ModelPipeline.Reports;

/// <summary>The part of the report on how a variant's int8 was found.</summary>
/// <param name="Search">Content of search.json.</param>
public sealed record SearchSection(SearchReport Search)
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    private Metric Objective => Metric.Named(Search.Objective);

    internal string Render() =>
        Template.Html(
            "report-search.html",
            new
            {
                Search.Variant,
                Search.RankedBy,
                Search.ScoredBy,
                Objective = Objective.Label,
                Search.Parts,
                Search.Rule,
                Tried = Search.Tried.Count,
                Charts = Fronts(),
                Built = Search.Built.Select(built => new
                {
                    built.Recipe.Text,
                    Tags = Tags(built),
                    Cells = new[]
                    {
                        built.Figures.TryGetValue(Search.Objective, out var figure) ? Objective.Format(figure) : "-",
                        built.Mb.ToString("0.00", Invariant),
                        built.Ms is { } ms ? ms.ToString("0.0", Invariant) + (built.OnDevice ? " measured" : "") : "-",
                    },
                }),
                Sensitivity = Search.Sensitivity.Count > 0 ? Sensitivity() : "",
                Classes = Search.Sensitivity.Select(each => new
                {
                    each.Class,
                    each.Remedy,
                    Written = Figure(each.Written),
                    Choice = Figure(each.Choice),
                }),
            }
        );

    private string[] Tags(BuiltRecipe built) =>
        [
            .. built.Recipe == Search.Choice ? ["taken"] : Array.Empty<string>(),
            .. built.IsWritten ? ["as written"] : Array.Empty<string>(),
            .. built.Breaks,
        ];

    private string Figure(double? figure) => figure is { } number ? Objective.Format(number) : "-";

    /// <summary>What was built, by accuracy and size and, where it is estimated, by accuracy and time; the line joins what nothing beats in
    /// both.</summary>
    private IEnumerable<string> Fronts()
    {
        yield return Front("MB", built => built.Mb, "size");
        if (Search.Built.All(built => built.Ms is not null))
            yield return Front("estimated ms", built => built.Ms!.Value, "estimated time");
    }

    private string Front(string label, Func<BuiltRecipe, double> cost, string words)
    {
        var points = Search
            .Built.Where(built => built.Figures.ContainsKey(Search.Objective))
            .Select(built => (Built: built, X: cost(built), Y: built.Figures[Search.Objective]))
            .ToList();
        var y = Axis.Around(Objective.Label, points.Select(point => point.Y));
        var plot = new Plot(Axis.Around(label, points.Select(point => point.X)), y);
        var front = points
            .Where(point => !points.Any(other => other.X <= point.X && other.Built.Loss < point.Built.Loss))
            .OrderBy(point => point.X)
            .ToList();
        foreach (var (from, to) in front.Zip(front.Skip(1)))
            plot.Line("guide", from.X, from.Y, to.X, to.Y);
        plot.Dots("points", points.Select(point => (point.X, point.Y)));
        var middle = (points.Min(point => point.X) + points.Max(point => point.X)) / 2;
        foreach (var point in points.Where(point => Tags(point.Built).Length > 0))
        {
            var (isRight, isTop) = (point.X > middle, point.Y > y.Max - ((y.Max - y.Min) / 15));
            plot.Note(isRight ? "name end" : "name", point.X, point.Y, Tags(point.Built)[0], isRight ? -9 : 9, isTop ? 17 : -6);
        }
        return plot.Render($"{Objective.Label} against {words} of what was built; the line joins what nothing beats in both");
    }

    /// <summary>Two bars a class: in the graph as the variant is written, and as it was chosen.</summary>
    private string Sensitivity()
    {
        const double line = 40;
        var classes = Search.Sensitivity;
        var objective = new SearchObjective(Objective);
        var losses = classes.Select(each => (Written: Loss(each.Written), Choice: Loss(each.Choice))).ToList();
        var axis = Axis.Around(
            objective.LossLabel,
            [0, .. losses.SelectMany(each => new[] { each.Written, each.Choice }).OfType<double>()]
        );
        var plot = new Plot(axis, new(0, classes.Count, string.Empty) { Hidden = true }, (line * classes.Count) + 60);
        foreach (var (i, each) in classes.Index())
        {
            var y = classes.Count - i;
            plot.Note("name", 0, y - 0.45, $"{each.Class}  {Figure(each.Written)}, {Figure(each.Choice)}", shiftX: 3);
            if (losses[i].Written is { } before)
                plot.Bar("reference", 0, y - 0.52, before, y - 0.7);
            if (losses[i].Choice is { } after)
                plot.Bar("variant", 0, y - 0.72, after, y - 0.9);
        }
        return plot.Render($"{objective.LossLabel} if only this is int8: grey in the graph as written, coloured in the chosen one");

        double? Loss(double? figure) => figure is { } number ? objective.Figure(number) : null;
    }
}
