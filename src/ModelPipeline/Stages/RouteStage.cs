using ModelPipeline.Core;
using ModelPipeline.Decision;
using ModelPipeline.Latency;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Onnx;
using ModelPipeline.Tasks;
using ModelPipeline.Validation;

namespace ModelPipeline.Stages;

/// <summary>How the artifacts of all shapes serve the corpus together, each passage by the one of its length.</summary>
public static class RouteStage
{
    /// <param name="build">The model's.</param>
    /// <param name="reports">Of every variant at every shape.</param>
    /// <param name="latency">Of the same.</param>
    /// <param name="context">Of the run.</param>
    /// <returns>One a variant.</returns>
    public static async Task<IReadOnlyList<VariantRouting>> RunAsync(
        ModelBuild build,
        IReadOnlyList<ValidationReport> reports,
        LatencyReport latency,
        StageContext context
    )
    {
        var model = build.Model;
        var order = ScoringOrder.Of(model, build.Corpus(model.Validation.Corpus));
        var cost =
            build.Task == ModelTask.Rerank && latency.Buckets.Any(plan => plan.Truncation.Passages > 0)
                ? await CostAsync(build, order, latency.Lengths.Tokens, reports, context).ConfigureAwait(false)
                : null;
        return
        [
            .. model.Variants.Select(variant =>
            {
                var plan = latency.Buckets.Single(plan => plan.Variant == variant.Name);
                return VariantRouting.Of(
                    plan with
                    {
                        Truncation = plan.Truncation with { Cost = cost },
                    },
                    variant.Gates,
                    model
                        .Shapes.DistinctBy(shape => shape.Sequence)
                        .ToDictionary(
                            shape => shape.Sequence,
                            shape =>
                                reports.Single(report => report.Subject.Variant == variant.Name && report.Subject.Shape == shape.ToString())
                        ),
                    order.Queries,
                    latency.Lengths.Tokens
                );
            }),
        ];
    }

    /// <summary>fp32 on the passages that do not fit the largest shape, whole, beside fp32 as it has them cut.</summary>
    private static async Task<TruncationCost> CostAsync(
        ModelBuild build,
        ScoringOrder order,
        IReadOnlyList<int> tokens,
        IReadOnlyList<ValidationReport> reports,
        StageContext context
    )
    {
        var source = await build.SourceAsync(context).ConfigureAwait(false);
        var tokenizer = await build.TokenizerAsync(context).ConfigureAwait(false);
        var largest = build.Model.Shapes.MaxBy(shape => shape.Sequence);
        float[][] cut =
        [
            .. reports.First(report => report.Subject.Shape == largest.ToString()).Queries.Select(query => query.ReferenceScores.ToArray()),
        ];
        var uncut = await ValidateStage
            .KeptAsync(
                build,
                new ScoreKey(Path.Combine(build.Folder, "validation", $"uncut-{largest}"), "uncut", source.Sha256, largest),
                context,
                () =>
                    Task.Run(
                        () =>
                        {
                            var graph = OnnxModel.Load(source.Path);
                            using var scorer = new ReferenceScorer(graph, source.Answer);
                            var longer = tokens.Index().Where(pair => pair.Item > largest.Sequence).ToArray();
                            var longest = longer.MaxBy(pair => pair.Item);
                            var limit = LongestInput(largest.Sequence, longest.Item, length => Score(longest.Index, length));
                            var scores = new Dictionary<int, float>();
                            foreach (var (index, length) in longer)
                            {
                                context.Cancellation.ThrowIfCancellationRequested();
                                scores[index] = Score(index, Math.Min(length, limit));
                                context.Progress.Report(new StageProgress("score fp32 uncut", scores.Count, longer.Length));
                            }
                            return new UncutScores(limit, scores);

                            float Score(int index, int length) =>
                                scorer.Score(order.Encode(tokenizer, order.Texts[index], length), context.Cancellation)[0];
                        },
                        context.Cancellation
                    )
            )
            .ConfigureAwait(false);
        var next = 0;
        float[][] whole = [.. cut.Select(query => query.Select(score => uncut.Scores.GetValueOrDefault(next++, score)).ToArray())];
        return RerankValidation.Truncated(order.Queries, uncut.ModelTokens, whole, cut);
    }

    /// <summary>The longest input up to <paramref name="wanted"/> that the model runs, by bisection: its positions end somewhere, and the
    /// file does not say where.</summary>
    private static int LongestInput(int works, int wanted, Action<int> run)
    {
        for (var attempt = wanted; works < wanted; attempt = (works + wanted + 1) / 2)
        {
            try
            {
                run(attempt);
                works = attempt;
            }
            catch (PipelineException)
            {
                wanted = attempt - 1;
            }
        }
        return works;
    }

    /// <summary>Content of uncut-*.json.</summary>
    /// <param name="ModelTokens">The longest input that the model takes, or the longest that there is.</param>
    /// <param name="Scores">fp32's, by index of the pair, of those longer than the largest shape.</param>
    private sealed record UncutScores(int ModelTokens, IReadOnlyDictionary<int, float> Scores);
}
