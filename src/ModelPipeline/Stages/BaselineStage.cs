using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;

namespace ModelPipeline.Stages;

/// <summary>Whether the source model ranks at all: its own ranking beside BM25's and chance.</summary>
internal static class BaselineStage
{
    public const string FileName = "ranking.json";

    /// <summary>Before anything long is built: fp32's ranking at the largest length, told and written beside inspect.json. The scores are
    /// kept for validation.</summary>
    /// <exception cref="PipelineException">Over enough queries, it is not better than random orders.</exception>
    public static async Task CheckAsync(ModelBuild build, StageContext context)
    {
        if (!build.Task.Ranks)
            return;
        var shape = build.LongestShape;
        var texts = await ScoredTexts.OfAsync(build, shape, context).ConfigureAwait(false);
        var reference = await ValidateStage.ReferenceAsync(build, shape, texts, context).ConfigureAwait(false);
        var baselines = await RunAsync(build, shape, texts.Order, reference, context).ConfigureAwait(false);
        ReportJson.Write(Path.Combine(build.Folder, "prepared", FileName), baselines);
        Tell(build.Model, shape, baselines, context);
    }

    /// <summary>fp32's ranking at a shape.</summary>
    /// <returns>Null for a task that ranks nothing.</returns>
    /// <exception cref="PipelineException">Over enough queries, it is not better than random orders.</exception>
    public static async Task<RankingBaselines?> RunAsync(
        ModelBuild build,
        InputShape shape,
        ScoringOrder order,
        IReadOnlyList<float[]> reference,
        StageContext context
    )
    {
        var source = await build.SourceAsync(context).ConfigureAwait(false);
        var baselines = build.Task.Baselines(build.Corpus(build.Model.Validation.Corpus), order, reference);
        if (baselines?.Verdict == RankingVerdict.DoesNotRank)
        {
            throw new PipelineException(
                $"{build.Model.Name} at {shape}: {baselines.Statement}. What is built of it cannot rank either. Likely causes: another "
                    + $"output or label than the score is read "
                    + $"(it is {source.Answer}; see 'output:'), the vocabulary or 'lowercase' is another model's, the wrong 'pooling' or "
                    + $"'prefixes', an embedder declared as 'task: rerank', "
                    + "or a corpus in another language than the model's.",
                PipelineException.ConfigurationError
            );
        }
        return baselines;
    }

    /// <summary>One line on it.</summary>
    public static void Tell(ModelSpec model, InputShape shape, RankingBaselines? baselines, StageContext context)
    {
        if (baselines is { IsWorseThanBm25: true, Verdict: RankingVerdict.Ranks })
            context.Warning($"{model.Name} at {shape}: {baselines.Statement}: fp32 is worse than BM25, which needs no model");
        else if (baselines is not null)
            context.Info($"{model.Name} at {shape}: {baselines.Statement}");
    }
}
