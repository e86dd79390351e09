using ModelPipeline.Chips;
using ModelPipeline.Core;
using ModelPipeline.Devices;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Onnx;
using ModelPipeline.Planning;
using ModelPipeline.Tasks;

namespace ModelPipeline.Stages;

/// <summary>Which shapes, precision and core plan serve the model's corpus best, estimated before anything is built.</summary>
public static class PlanStage
{
    /// <summary>Lengths of shapes are multiples of this.</summary>
    private const int Step = 32;

    /// <summary>Shapes at most: more bring little, and the table has to fit a console.</summary>
    private const int MostShapes = 6;

    /// <summary>Passages a run that are looked at.</summary>
    private static readonly int[] Batches = [1, 2, 4];

    /// <summary>A table of this many rows or fewer is none of positions.</summary>
    private const int FewestPositions = 16;

    internal static string PathOf(ModelBuild build) => Path.Combine(build.Folder, "plan", "plan.json");

    /// <summary>The plan that was made of this version of the model; null without one.</summary>
    internal static PlanReport? Kept(ModelBuild build) =>
        File.Exists(PathOf(build)) && ReportJson.Read<PlanReport>(PathOf(build)) is var plan && plan.Version == build.Model.Version
            ? plan
            : null;

    /// <summary>Writes plan.json; with <c>shapes: auto</c> the best plan is frozen in models.lock.json, too.</summary>
    /// <exception cref="PipelineException">The model has no NPU variant, or nothing is known of its chip.</exception>
    public static async Task<PlanReport> RunAsync(ModelBuild build, StageContext context)
    {
        var model = build.Model;
        var variants = model.Variants.Where(variant => variant.Backend != Backend.Onnx).ToArray();
        if (variants.Length == 0)
            throw new PipelineException(
                $"{model.Name}: there is nothing to plan: no variant is for an NPU. Add one with backend rknn.",
                PipelineException.ConfigurationError
            );
        var order = ScoringOrder.Of(model, build.Corpus(model.Validation.Corpus));
        var tokenizer = await build.TokenizerAsync(context).ConfigureAwait(false);
        var source = OnnxModel.Load((await build.SourceAsync(context).ConfigureAwait(false)).Path);
        var tokens = order.Texts.Select(text => ScoringOrder.Count(tokenizer, text)).ToArray();
        var chip = variants[0].Target;
        var question = new PlanQuestion(
            tokens,
            model.Latency.Passages,
            Candidates(source, tokens),
            [.. variants.Select(variant => variant.Precision).Distinct().OrderBy(precision => precision)],
            [.. CorePlan.Of(Chip.Named(chip)).Select(plan => new PlannedCores(plan.Name, plan.Contexts.Count, plan.CoresEach))]
        )
        {
            InOneFile =
            [
                .. variants
                    .GroupBy(variant => variant.Precision)
                    .Where(each => each.All(variant => variant.OneFile))
                    .Select(each => each.Key),
            ],
            Batches = [.. Batches.Where(batch => batch <= model.Latency.Passages)],
            MostShapes = MostShapes,
            MostDiskMb = model.Plan.DiskMb,
            MostMemoryMb = model.Plan.MemoryMb,
        };
        var work = GraphWork.Of(source);
        var report = Make(model, Estimates.Of(build, work), question, work, chip);
        var costs = await CostsAsync(build, report, order, question, context).ConfigureAwait(false);
        report = report with { Best = report.Best is { } best ? Costed(best) : null, Front = [.. report.Front.Select(Costed)] };
        Directory.CreateDirectory(Path.GetDirectoryName(PathOf(build))!);
        ReportJson.Write(PathOf(build), report);
        if (model.ShapesAreAuto && report.Best is { } plan)
            build.Freeze(new([.. plan.Shapes.Select(length => new InputShape(plan.Batch, length))], plan.Precision, plan.CorePlan));
        return report;

        ServingPlan Costed(ServingPlan plan) => plan with { Cost = costs.GetValueOrDefault(plan.Shapes[^1]) };
    }

    /// <summary>The plan without what cutting costs.</summary>
    internal static PlanReport Make(ModelSpec model, LatencyModel estimates, PlanQuestion question, ModelWork work, string chip)
    {
        var typical = question.Tokens.Order().ElementAt(question.Tokens.Count / 2);
        var estimate =
            estimates.Estimate(work.At(new InputShape(1, typical)), new RunPlace(chip, question.Precisions[0]), model.Name)
            ?? throw new PipelineException(
                $"{model.Name}: no latency was ever measured on {chip}, by others or here, so none can be estimated. Measure on a board, "
                    + $"or plan for rk3588, rk3576, rk3566 or rk3568."
            );
        var plans = PlanSearch.Plans(
            question,
            work,
            (shape, precision, cores) => estimates.Milliseconds(work.At(shape), new RunPlace(chip, precision) { Cores = cores })
        );
        return new PlanReport
        {
            Model = model.Name,
            Version = model.Version,
            Chip = chip,
            Basis = estimate.Basis,
            Low = Math.Round(estimate.Low / estimate.Milliseconds, 3),
            High = Math.Round(estimate.High / estimate.Milliseconds, 3),
            Passages = question.Passages,
            Lengths =
            [
                .. question
                    .Tokens.GroupBy(length => (length + Step - 1) / Step * Step)
                    .OrderBy(bin => bin.Key)
                    .Select(bin => new LengthCount(bin.Key, bin.Count())),
            ],
            CpuRequestMs = chip == "rk3588" ? Math.Round(question.Passages * Cpu(estimates, work, question.Tokens, model), 3) : null,
            Best = PlanSearch.Best(plans, question.Precisions),
            Front = PlanSearch.Front(plans),
        };
    }

    /// <summary>Mean of a passage at its own length.</summary>
    private static double Cpu(LatencyModel estimates, ModelWork work, IReadOnlyList<int> tokens, ModelSpec model)
    {
        var int8 = model.Variants.Any(variant => variant is { Backend: Backend.Onnx, Precision: Precision.W8A8 });
        var place = new RunPlace("rk3588", int8 ? Precision.W8A8 : Precision.Fp32) { Cpu = true };
        return tokens
                .CountBy(length => length)
                .Sum(length => length.Value * estimates.Milliseconds(work.At(new InputShape(1, length.Key)), place)) / tokens.Count;
    }

    /// <summary>Multiples of 32 up to the longest passage, or to where the model's positions end.</summary>
    private static IReadOnlyList<int> Candidates(OnnxModel source, IReadOnlyList<int> tokens)
    {
        var positions = source
            .Graph.Nodes.Where(node => node.OpType == "Gather")
            .Select(node =>
                source.Graph.Initializers.TryGetValue(node.Inputs[0], out var table) && table.Rank == 2 ? table.Shape[0] : long.MaxValue
            )
            .Where(rows => rows > FewestPositions)
            .DefaultIfEmpty(long.MaxValue)
            .Min();
        var steps = Math.Min((tokens.Max() + Step - 1) / Step, (int)Math.Min(positions / Step, int.MaxValue));
        return [.. Enumerable.Range(1, Math.Max(1, steps)).Select(step => step * Step)];
    }

    /// <summary>What cutting at the largest shape of each plan costs fp32's ranking, by its tokens.</summary>
    private static async Task<Dictionary<int, TruncationCost>> CostsAsync(
        ModelBuild build,
        PlanReport report,
        ScoringOrder order,
        PlanQuestion question,
        StageContext context
    )
    {
        int[] largest = [.. report.Front.Where(plan => plan.CutShare > 0).Select(plan => plan.Shapes[^1]).Distinct().Order()];
        if (build.Task != ModelTask.Rerank || largest.Length == 0)
            return [];
        var costs = new Dictionary<int, TruncationCost>();
        var all = await ScoresAsync(build, order, question, null, context).ConfigureAwait(false);
        var whole = order.ByQuery(question.Tokens.Select((_, index) => new[] { all[index] }));
        var longest = Math.Min(question.Tokens.Max(), question.Candidates[^1]);
        foreach (var limit in largest)
        {
            var scores = await ScoresAsync(build, order, question, limit, context).ConfigureAwait(false);
            var cut = order.ByQuery(question.Tokens.Select((_, index) => new[] { scores.GetValueOrDefault(index, all[index]) }));
            costs[limit] = RerankValidation.Truncated(order.Queries, longest, whole, cut);
        }
        return costs;
    }

    /// <summary>fp32's score of every pair whole, or of the pairs longer than a limit cut to it, by index; kept for later runs.</summary>
    private static async Task<Dictionary<int, float>> ScoresAsync(
        ModelBuild build,
        ScoringOrder order,
        PlanQuestion question,
        int? limit,
        StageContext context
    )
    {
        var source = await build.SourceAsync(context).ConfigureAwait(false);
        var tokenizer = await build.TokenizerAsync(context).ConfigureAwait(false);
        var (tokens, longest) = (question.Tokens, question.Candidates[^1]);
        var name = limit is { } to ? $"cut-{to}" : "whole";
        return await ValidateStage
            .KeptAsync(
                build,
                new ScoreKey(Path.Combine(build.Folder, "plan", name), name, source.Sha256, new InputShape(1, limit ?? longest)),
                context,
                () =>
                    Task.Run(
                        () =>
                        {
                            var graph = OnnxModel.Load(source.Path);
                            using var scorer = new ReferenceScorer(graph, source.Answer);
                            var scores = new Dictionary<int, float>();
                            foreach (var (index, length) in tokens.Index().Where(pair => limit is null || pair.Item > limit))
                            {
                                context.Cancellation.ThrowIfCancellationRequested();
                                var row = order.Encode(tokenizer, order.Texts[index], Math.Min(length, limit ?? longest));
                                scores[index] = scorer.Score(row, context.Cancellation)[0];
                                context.Progress.Report(new StageProgress($"score fp32 {name}", index + 1, tokens.Count));
                            }
                            return scores;
                        },
                        context.Cancellation
                    )
            )
            .ConfigureAwait(false);
    }
}
