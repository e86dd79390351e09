using System.Globalization;
using Cake.Core.Diagnostics;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Searching;
using ModelPipeline.Stages;
using Spectre.Console;

namespace Build;

/// <summary>What --target=Search prints: what was built, the choice, and its figures on queries that it was not chosen by.</summary>
internal static class SearchTask
{
    /// <summary>Variants of a model that Search is for: those with <c>search</c>, or else every int8.</summary>
    public static IReadOnlyList<VariantSpec> Variants(ModelSpec model)
    {
        var possible = model.Variants.Where(variant => variant.Precision == Precision.W8A8).ToList();
        return possible.Exists(variant => variant.Search is not null)
            ? [.. possible.Where(variant => variant.Search is not null)]
            : possible;
    }

    public static async Task RunAsync(BuildContext context, ModelBuild build, VariantSpec variant)
    {
        var report = await context.StageAsync(stage => SearchStage.RunAsync(build, variant, stage));
        var objective = Metric.Named(report.Objective);
        var table = new Table()
            .RoundedBorder()
            .Title(Markup.Escape($"Built for {report.Model}:{report.Variant} at {report.Shape}, by {report.ScoredBy}"))
            .Caption(
                Markup.Escape(
                    $"{objective.Label} on {report.Parts.Confirm} items that the search over {report.Tried.Count} recipes had not seen. "
                        + $"*: none is better in accuracy, size and time at once. ms: of a passage on one core, "
                        + $"estimated but for the board's."
                )
            );
        table.AddColumn("Recipe", column => column.PadLeft(0).PadRight(0));
        foreach (var name in new[] { objective.Brief, "MB", "ms", "" })
            table.AddColumn(name, column => column.NoWrap().RightAligned().PadLeft(0).PadRight(0));
        foreach (var built in report.Built)
            table.AddRow(
                Markup.Escape(built.Recipe.Text + (built.IsWritten ? " (as written)" : "") + Broken(built)),
                built.Figures.TryGetValue(report.Objective, out var figure) ? objective.Format(figure) : "",
                built.Mb.ToString("0.00", CultureInfo.InvariantCulture),
                built.Ms is { } ms ? ms.ToString("0.0", CultureInfo.InvariantCulture) + (built.OnDevice ? " board" : "") : "",
                built.OnFront ? "*" : ""
            );
        AnsiConsole.Write(table);
        context.Log.Information("{0}", report.Rule);
        context.Log.Information("{0}:{1}: {2}", report.Model, report.Variant, report.Choice!.Text);
        context.Log.Information(
            "On {0} other items: {1}; as written: {2}",
            report.Parts.Report,
            Figures(build, objective, report.Figures),
            Figures(build, objective, report.WrittenFigures)
        );
        if (report.CalibratedOn > 0)
            context.Log.Information("  calibration has {0} of these texts, too", report.CalibratedOn);
        context.Log.Information(
            "{0}",
            variant.Search is null
                ? "Nothing was frozen: give the variant 'search: {}' to have it built so, or write the recipe into models.yaml"
                : "models.lock.json has it: runs from now on build this recipe"
        );
        context.Outputs.Add(Path.Combine(build.Folder, "search", variant.Name, "search.json"));
    }

    private static string Broken(BuiltRecipe built) => built.Breaks.Count == 0 ? "" : $" (breaks {string.Join(", ", built.Breaks)})";

    private static string Figures(ModelBuild build, Metric objective, IReadOnlyDictionary<string, double> figures) =>
        string.Join(
            ", ",
            figures
                .Select(figure => (Metric: Metric.Named(figure.Key), figure.Value))
                .Where(figure => build.Task.Headline.Contains(figure.Metric.Name) || figure.Metric == objective)
                .Select(figure => $"{figure.Metric.Brief} {figure.Metric.Format(figure.Value)}")
        );
}
