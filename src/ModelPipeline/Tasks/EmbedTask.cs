using ModelPipeline.Inspection;
using ModelPipeline.Metrics;
using ModelPipeline.Text;

namespace ModelPipeline.Tasks;

/// <summary>An encoder: a vector a text.</summary>
internal sealed class EmbedTask : ModelTask
{
    public override string Name => "embed";

    public override string Noun => "Embedder";

    public override string HubTag => "sentence-similarity";

    public override string Description => "An embedder that turns a text into a vector; similar texts have a large cosine.";

    public override string Row => "`[CLS] text [SEP]`";

    internal override string Usage(Answer? answer)
    {
        if (answer is null)
            return "Pool the output over the tokens whose mask is 1.";
        var scaled = answer.Normalize ? ", scaled to length 1" : "";
        return answer.Pooling is { } pooling
            ? $"The embedding is {TokenPooling.Named(pooling).Words} in `{answer.Output}`{scaled}."
            : $"The embedding is `{answer.Output}`{(scaled.Length > 0 ? scaled : " as it is")}.";
    }

    public override string Variable => "EMBED";

    public override bool TakesPairs => false;

    public override IReadOnlyList<string> Metrics =>
        [Metric.CosineMean, Metric.CosineMin, Metric.SimilaritySpearman, Metric.RecallOverlapAt10, Metric.NdcgAt10];

    public override IReadOnlyList<string> Headline => [Metric.CosineMean, Metric.SimilaritySpearman, Metric.CosineMin];

    internal override FirstGates FirstGates => new(Metric.CosineMean, 0.995, 0.9, null);

    internal override Answer? Choose(OutputChoice choice, InspectionNotes notes) => EmbedAnswer.Choose(choice, notes);

    internal override TaskFigures Measure(ScoringOrder order, IReadOnlyList<float[]> reference, IReadOnlyList<float[]> outputs)
    {
        var passages = order.PassageIds.Count;
        var figures = EmbeddingValidation.Measure(order.PassageIds, [.. reference.Take(passages)], [.. outputs.Take(passages)]);
        return reference.Count == passages ? figures : figures.With(RetrievalValidation.Measure(order, reference, outputs));
    }

    /// <summary>Candidates by the cosine of their vectors to the query's.</summary>
    internal override bool Ranks => true;

    internal override RankingBaselines? Baselines(Corpus corpus, ScoringOrder order, IReadOnlyList<float[]> reference) =>
        reference.Count == order.PassageIds.Count
            ? RankingBaselines.Measure(
                corpus,
                order.Queries,
                null,
                "without pooling, a query and a passage are not compared by one vector each"
            )
            : RankingBaselines.Measure(corpus, order.Queries, RetrievalValidation.Candidates(order, reference));

    public override string Counted(TaskFigures figures) => FormattableString.Invariant($"{figures.Texts.Count:N0} texts");
}
