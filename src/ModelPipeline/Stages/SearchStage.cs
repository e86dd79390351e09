using System.Globalization;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Quantization;
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
    /// <summary>Builds that score the report part: that of the choice, and of the variant as it is written.</summary>
    private const int Reported = 2;

    /// <summary>On which what int8 costs is told by class of tensors.</summary>
    private const int SensitivityItems = 10;

    private const string Emulation = "the emulation";
    private const string CpuRuntime = "ONNX Runtime";

    /// <summary>Content of search.json; null if there is none of this version of the model.</summary>
    internal static SearchReport? Kept(ModelBuild build, VariantSpec variant) =>
        PathOf(build, variant) is var path
        && File.Exists(path)
        && ReportJson.Read<SearchReport>(path) is var report
        && report.Version == build.Model.Version
            ? report
            : null;

    private static string PathOf(ModelBuild build, VariantSpec variant) => Path.Combine(FolderOf(build, variant), "search.json");

    internal static string FolderOf(ModelBuild build, VariantSpec variant) => Path.Combine(build.Folder, "search", variant.Name);

    /// <summary>Writes search.json, and freezes the choice in models.lock.json if the variant has <c>search</c>.</summary>
    /// <param name="build">Of the model.</param>
    /// <param name="variant">w8a8; of an NPU one shape a file.</param>
    /// <param name="context">Of the run.</param>
    /// <exception cref="PipelineException">
    /// No recipe keeps to the limits, the validation has too few queries, or a build failed.
    /// </exception>
    public static async Task<SearchReport> RunAsync(ModelBuild build, VariantSpec variant, StageContext context)
    {
        var spec = variant.Search ?? new();
        var written = variant.Written ?? Int8Recipe.Of(variant);
        var objective = SearchObjective.Of(build.Task, spec);
        var forCpu = variant.Backend == Backend.Onnx;
        var rankedBy = forCpu ? CpuRuntime : Emulation;
        var shape = build.LargestShape;
        var whole = ScoringOrder.Of(build.Model, build.Corpus(build.Model.Validation.Corpus));
        var parts = SearchParts.Of(build.Task, whole, build.Corpus(build.Model.Validation.Corpus));
        var scores = await RecipeScores.OpenAsync(build, written.Over(variant), shape, whole, context).ConfigureAwait(false);

        var budget = new SearchBudget(TimeSpan.FromMinutes(spec.Minutes), RecipeScores.Lanes(variant), TimeProvider.System);
        // The variant as it is written first: how long that takes is kept back for each of the others.
        var built = new List<BuiltRecipe>(await BuiltAsync([written], null).ConfigureAwait(false));
        var search = await EmulatedAsync().ConfigureAwait(false);
        foreach (var batch in search.Finalists.Where(each => each != written).Take(spec.Builds).Chunk(budget.Lanes))
        {
            if (built.Count > 1 && !budget.Leaves(batch.Length + Reported))
                break;
            built.AddRange(await BuiltAsync(batch, LeaveOut).ConfigureAwait(false));
        }
        var judged = RecipeChoice.Judged(built, spec);
        if (variant.Backend == Backend.Rknn && build.DeviceOf(variant).IsBoard)
            judged = RecipeChoice.Judged(await TimedAsync(judged).ConfigureAwait(false), spec);
        var report = new SearchReport
        {
            Model = build.Model.Name,
            Version = build.Model.Version,
            Variant = variant.Name,
            Shape = shape.ToString(),
            Objective = objective.Metric.Name,
            RankedBy = rankedBy,
            ScoredBy = variant.Backend switch
            {
                Backend.Rknn => $"the simulator of rknn-toolkit2 {variant.Toolkit}",
                Backend.Simulator => Emulation,
                Backend.Onnx => CpuRuntime,
            },
            Parts = new(parts.Search.Items, parts.Confirm.Items, parts.Report.Items),
            CalibratedOn = scores.CalibratedOn(parts.Report.Texts),
            Tried = [.. search.Ranked.Select(each => new TriedRecipe(each.Recipe.Text, each.Items, objective.Figure(each.Loss)))],
            Built = judged,
            Rule = RecipeChoice.Rule,
        };
        if (RecipeChoice.Of(judged) is { } choice)
        {
            var reported = await MeasuredAsync([.. new[] { choice.Recipe, written }.Distinct()], parts.Report, null).ConfigureAwait(false);
            report = report with
            {
                Choice = choice.Recipe,
                Figures = reported[0].Figures,
                WrittenFigures = reported[^1].Figures,
                Sensitivity = forCpu ? [] : await SensitivityAsync(choice.Recipe).ConfigureAwait(false),
            };
        }
        var path = PathOf(build, variant);
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

        async Task<RecipeSearch> EmulatedAsync()
        {
            var search = new RecipeSearch(
                new(written, spec, StepsAlone: forCpu),
                parts.Search.Items,
                LossAsync,
                () => !budget.Leaves(spec.Builds + Reported)
            );
            await search
                .RunAsync(
                    (compared, known) => context.Progress.Report(new StageProgress($"search {variant.Name}", compared, known)),
                    leader => context.Info(Said(leader, search.Ranked.Count))
                )
                .ConfigureAwait(false);
            return search;
        }

        async Task<double> LossAsync(Int8Recipe recipe, int items)
        {
            var part = parts.Search.First(items);
            var outputs = await scores.EmulatedAsync(recipe, part.Texts, context).ConfigureAwait(false);
            var reference = await scores.ReferenceAsync(part.Texts, context).ConfigureAwait(false);
            return objective.Loss(build.Task.Measure(part.Order, reference, outputs).Figures);
        }

        async Task<IReadOnlyList<ClassSensitivity>> SensitivityAsync(Int8Recipe choice)
        {
            var part = parts.Search.First(SensitivityItems);
            var reference = await scores.ReferenceAsync(part.Texts, context).ConfigureAwait(false);
            var (before, after) = (await OfAsync(written).ConfigureAwait(false), await OfAsync(choice).ConfigureAwait(false));
            return
            [
                .. after
                    .Concat(before)
                    .DistinctBy(each => each.Class.Name)
                    .Select(each => new ClassSensitivity(
                        each.Class.Name,
                        each.Class.Remedy,
                        Figure(before, each.Class.Name),
                        Figure(after, each.Class.Name)
                    ))
                    .OrderByDescending(each => objective.Figure(each.Written ?? each.Choice ?? 0)),
            ];

            Task<IReadOnlyList<(TensorClass Class, List<float[]> Outputs)>> OfAsync(Int8Recipe recipe) =>
                scores.SensitivityAsync(recipe, part.Texts, context);

            double? Figure(IReadOnlyList<(TensorClass Class, List<float[]> Outputs)> of, string name) =>
                of.FirstOrDefault(each => each.Class.Name == name) is { Outputs: { } outputs }
                && build.Task.Measure(part.Order, reference, outputs).Figures.TryGetValue(objective.Metric.Name, out var figure)
                    ? figure
                    : null;
        }

        string Said(RankedRecipe leader, int of) =>
            string.Create(
                CultureInfo.InvariantCulture,
                $"{variant.Name}: {objective.Metric.Name} {objective.Metric.Format(objective.Figure(leader.Loss))} by {rankedBy} on "
                    + $"{leader.Items} items, best of {of} recipes after {budget.Elapsed.TotalMinutes:0.0} minutes: {leader.Recipe.Text}"
            );

        // One recipe that a toolkit chokes on says nothing of the others.
        void LeaveOut(Int8Recipe recipe, PipelineException error) =>
            context.Warning($"{variant.Name}: left out: {recipe.Text}: {error.Message}");

        async Task<IReadOnlyList<BuiltRecipe>> BuiltAsync(IReadOnlyList<Int8Recipe> recipes, Action<Int8Recipe, PipelineException>? failed)
        {
            var measured = await budget.BuildAsync(() => MeasuredAsync(recipes, parts.Confirm, failed)).ConfigureAwait(false);
            foreach (var each in measured)
                context.Info(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{variant.Name}: {objective.Metric.Name} {objective.Metric.Format(objective.Figure(each.Loss))} as built, "
                            + $"{each.Mb:0.00} MB, after {budget.Elapsed.TotalMinutes:0.0} minutes: {each.Recipe.Text}"
                    )
                );
            return measured;
        }

        // A board's time is worth its minute only where the other limits are kept.
        async Task<IReadOnlyList<BuiltRecipe>> TimedAsync(IReadOnlyList<BuiltRecipe> judged)
        {
            var times = await scores
                .TimedAsync([.. judged.Where(each => each.Breaks.Count == 0).Select(each => each.Recipe)], parts.Confirm.Texts, context)
                .ConfigureAwait(false);
            return
            [
                .. judged.Select(each =>
                    times.TryGetValue(each.Recipe, out var ms) ? each with { Ms = Math.Round(ms, 3), OnDevice = true } : each
                ),
            ];
        }

        async Task<IReadOnlyList<BuiltRecipe>> MeasuredAsync(
            IReadOnlyList<Int8Recipe> recipes,
            SearchPart part,
            Action<Int8Recipe, PipelineException>? failed
        )
        {
            var trials = await scores.BuiltAsync(recipes, part.Texts, failed, context).ConfigureAwait(false);
            var reference = await scores.ReferenceAsync(part.Texts, context).ConfigureAwait(false);
            return
            [
                .. recipes
                    .Zip(trials)
                    .Where(each => each.Second is not null)
                    .Select(each => Measured(each.First, each.Second!, reference, part)),
            ];
        }

        BuiltRecipe Measured(Int8Recipe recipe, RecipeTrial trial, List<float[]> reference, SearchPart part)
        {
            var figures = build.Task.Measure(part.Order, reference, trial.Outputs).Figures;
            return new(recipe, figures, trial.Mb, trial.Ms) { Loss = objective.Loss(figures), IsWritten = recipe == written };
        }
    }
}
