using ModelPipeline.Inspection;
using ModelPipeline.Metrics;
using ModelPipeline.Text;

namespace ModelPipeline.Tasks;

/// <summary>A cross-encoder: one logit a pair of query and passage.</summary>
internal sealed class RerankTask : ModelTask
{
    public override string Name => "rerank";

    public override string Noun => "Reranker";

    public override string HubTag => "text-ranking";

    public override string Description =>
        "A cross-encoder that scores how well a passage answers a query: one logit a pair, the higher the better.";

    public override string Row => "`[CLS] query [SEP] passage [SEP]`";

    internal override string Usage(Answer? answer) =>
        answer switch
        {
            { Difference: [var plus, var minus] } =>
                $"A pair's score is number {plus} of `{answer.Output}` minus number {minus}, counted from 0: sort passages by it, "
                    + $"descending.",
            { Label: > 0 and var label } =>
                $"A pair's score is number {label} of `{answer.Output}`, counted from 0: sort passages by it, descending.",
            { Label: not null } => $"A pair's score is the first float of `{answer.Output}`: sort passages by it, descending.",
            _ => "The output is one float a pair: sort passages by it, descending.",
        };

    public override string Variable => "RERANK";

    public override bool TakesPairs => true;

    public override IReadOnlyList<string> Metrics =>
        [
            Metric.NdcgAt10,
            Metric.NdcgAt10TieAveraged,
            Metric.MrrAt10,
            Metric.RecallAt5,
            Metric.RecallAt10,
            Metric.KendallTau,
            Metric.Spearman,
            Metric.Top1Agreement,
            Metric.Top3Agreement,
            Metric.TiedPairs,
            Metric.DistinctScores,
            Metric.MaxScoreDifference,
            Metric.MeanScoreDifference,
            Metric.WithinQueryResidual,
        ];

    public override IReadOnlyList<string> Headline => [Metric.NdcgAt10, Metric.KendallTau];

    internal override FirstGates FirstGates => new(Metric.KendallTau, 0.95, 0.8, Metric.NdcgAt10);

    internal override Answer? Choose(OutputChoice choice, InspectionNotes notes) => RerankAnswer.Choose(choice, notes);

    internal override TaskFigures Measure(ScoringOrder order, IReadOnlyList<float[]> reference, IReadOnlyList<float[]> outputs) =>
        RerankValidation.Measure(order.Queries, order.ByQuery(reference), order.ByQuery(outputs));

    internal override bool Ranks => true;

    internal override IReadOnlyList<SliceFigures> Slices(
        ScoringOrder order,
        IReadOnlyList<float[]> reference,
        IReadOnlyList<float[]> outputs
    ) => SliceFigures.Of(order.Queries, order.Tokens, order.ByQuery(reference), order.ByQuery(outputs));

    internal override RankingBaselines? Baselines(Corpus corpus, ScoringOrder order, IReadOnlyList<float[]> reference) =>
        RankingBaselines.Measure(corpus, order.Queries, order.ByQuery(reference));

    public override string Counted(TaskFigures figures) =>
        FormattableString.Invariant(
            $"{figures.Queries.Count:N0} queries with {figures.Queries.Sum(query => query.Scores.Count):N0} candidates"
        );
}
