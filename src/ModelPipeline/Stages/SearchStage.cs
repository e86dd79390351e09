using System.Diagnostics;
using System.Globalization;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Searching;
using ModelPipeline.Tasks;

namespace ModelPipeline.Stages;

/// <summary>
/// The int8 of a variant that comes closest to fp32, within the limits of its <c>search</c>: the emulation compares recipes on more and
/// more of one part of the validation's queries, the best are built as the variant's backend builds and compared on a second part, and
/// what is shown of the choice comes from a third. Whatever was scored is kept: an interrupted search goes on where it stopped.
/// </summary>
public static class SearchStage
{
    /// <summary>Items that recipes are first compared on, and by how much they grow from round to round.</summary>
    private const int LeastItems = 6;
    private const double Factor = 2.5;

    /// <summary>Recipes of the last round of a halving.</summary>
    private const int KeptOfRound = 2;

    internal static string FolderOf(ModelBuild build, VariantSpec variant) => Path.Combine(build.Folder, "search", variant.Name);

    /// <summary>Writes search.json, and freezes the choice in models.lock.json if the variant has <c>search</c>.</summary>
    /// <param name="build">Of the model.</param>
    /// <param name="variant">w8a8, backend rknn or simulator, one shape a file.</param>
    /// <param name="context">Of the run.</param>
    /// <exception cref="PipelineException">
    /// No recipe keeps to the limits, the validation has too few queries, or a build failed.
    /// </exception>
    public static async Task<SearchReport> RunAsync(ModelBuild build, VariantSpec variant, StageContext context)
    {
        var spec = variant.Search ?? new();
        var written = variant.Written ?? Int8Recipe.Of(variant);
        var objective = SearchObjective.Of(build.Task, spec);
        var shape = build.LargestShape;
        var whole = ScoringOrder.Of(build.Model, build.Corpus(build.Model.Validation.Corpus));
        var parts = SearchParts.Of(build.Task, whole, build.Corpus(build.Model.Validation.Corpus));
        var scores = await RecipeScores.OpenAsync(build, written.Over(variant), shape, whole, context).ConfigureAwait(false);

        var (tried, best) = await EmulatedAsync().ConfigureAwait(false);
        var built = new List<BuiltRecipe>();
        foreach (var recipe in best.Take(spec.Builds).Append(written).Distinct())
            built.Add(await BuiltAsync(recipe).ConfigureAwait(false));
        var judged = RecipeChoice.Judged(built, spec);
        var report = new SearchReport
        {
            Model = build.Model.Name,
            Version = build.Model.Version,
            Variant = variant.Name,
            Shape = shape.ToString(),
            Objective = objective.Metric.Name,
            ScoredBy = variant.Backend == Backend.Rknn ? $"simulator of rknn-toolkit2 {variant.Toolkit}" : "emulation",
            Parts = new(parts.Search.Items, parts.Confirm.Items, parts.Report.Items),
            CalibratedOn = scores.CalibratedOn(parts.Report.Texts),
            Tried = tried,
            Built = judged,
            Rule = RecipeChoice.Rule,
        };
        if (RecipeChoice.Of(judged) is { } choice)
            report = report with
            {
                Choice = choice.Recipe,
                Figures = await ReportedAsync(choice.Recipe).ConfigureAwait(false),
                WrittenFigures = await ReportedAsync(written).ConfigureAwait(false),
            };
        var path = Path.Combine(FolderOf(build, variant), "search.json");
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        ReportJson.Write(path, report);
        if (report.Choice is null)
            throw new PipelineException(
                $"{build.Model.Name}:{variant.Name}: none of {judged.Count} built recipes keeps to the limits; the closest to fp32 has "
                    + $"{string.Join(" and ", judged.MinBy(each => each.Loss)!.Breaks)}. See {path}; raise 'search.builds' or the limits."
            );
        scores.Sweep(report.Choice);
        if (variant.Search is not null)
            build.Freeze(variant, report.Choice);
        return report;

        async Task<(IReadOnlyList<TriedRecipe> Tried, IReadOnlyList<Int8Recipe> Best)> EmulatedAsync()
        {
            var space = new RecipeSpace(written, spec);
            var (clock, figures, order) = (
                Stopwatch.StartNew(),
                new Dictionary<Int8Recipe, (int Items, double Loss)>(),
                new List<Int8Recipe>()
            );
            var isOver = false;
            IReadOnlyList<Int8Recipe> candidates = [.. space.Starts.Concat(space.Neighbours(space.Whole)).Distinct()];
            Int8Recipe? leader = null;
            while (candidates.Count > 0)
            {
                order.AddRange(candidates.Except(order));
                var rungs = SuccessiveHalving.Rungs(candidates.Count, KeptOfRound, LeastItems, parts.Search.Items, Factor);
                var ranked = await SuccessiveHalving.RunAsync(candidates, rungs, LossAsync).ConfigureAwait(false);
                var (first, loss) = ranked[0];
                if (double.IsNaN(loss) || first == leader)
                    break;
                leader = first;
                context.Info(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{variant.Name}: {objective.Metric.Name} {objective.Metric.Format(objective.Figure(loss))} by emulation on "
                            + $"{figures[first].Items} items, best of {figures.Count} recipes: {first.Text}"
                    )
                );
                if (isOver)
                    break;
                candidates = [first, .. space.Neighbours(first).Where(other => !figures.ContainsKey(other))];
                if (candidates.Count == 1)
                    break;
            }
            var best = figures.OrderByDescending(each => each.Value.Items).ThenBy(each => each.Value.Loss).ToList();
            return (
                [.. best.Select(each => new TriedRecipe(each.Key.Text, each.Value.Items, objective.Figure(each.Value.Loss)))],
                [.. best.Select(each => each.Key)]
            );

            async Task<double> LossAsync(Int8Recipe recipe, int items)
            {
                // The first two are always looked at: the whole recipe, and the variant as it is written.
                isOver |= clock.Elapsed > TimeSpan.FromMinutes(spec.Minutes) && figures.Count > 1;
                if (isOver)
                    return figures.TryGetValue(recipe, out var known) ? known.Loss : double.NaN;
                context.Progress.Report(new StageProgress($"search {variant.Name}", figures.Count, order.Count));
                var part = parts.Search.First(items);
                var outputs = await scores.EmulatedAsync(recipe, part.Texts, context).ConfigureAwait(false);
                var reference = await scores.ReferenceAsync(part.Texts, context).ConfigureAwait(false);
                var loss = objective.Loss(build.Task.Measure(part.Order, reference, outputs).Figures);
                figures[recipe] = (part.Items, loss);
                return loss;
            }
        }

        async Task<BuiltRecipe> BuiltAsync(Int8Recipe recipe)
        {
            var trial = await scores.BuiltAsync(recipe, parts.Confirm.Texts, context).ConfigureAwait(false);
            var figures = await MeasureAsync(parts.Confirm, trial).ConfigureAwait(false);
            return new(recipe, figures, trial.Mb, trial.Ms) { Loss = objective.Loss(figures), IsWritten = recipe == written };
        }

        async Task<IReadOnlyDictionary<string, double>> ReportedAsync(Int8Recipe recipe) =>
            await MeasureAsync(parts.Report, await scores.BuiltAsync(recipe, parts.Report.Texts, context).ConfigureAwait(false))
                .ConfigureAwait(false);

        async Task<IReadOnlyDictionary<string, double>> MeasureAsync(SearchPart part, RecipeTrial trial) =>
            build.Task.Measure(part.Order, await scores.ReferenceAsync(part.Texts, context).ConfigureAwait(false), trial.Outputs).Figures;
    }
}
