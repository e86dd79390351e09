using System.Numerics.Tensors;
using ModelPipeline.Core;
using ModelPipeline.Metrics;

namespace ModelPipeline.Tasks;

/// <summary>How an embedder finds passages by queries: the cosine of their vectors puts passages in order.</summary>
internal static class RetrievalValidation
{
    /// <summary>NDCG@10 of each query's candidates, and how many of fp32's nearest passages of the corpus are the nearest still.</summary>
    /// <param name="order">With queries after its passages.</param>
    /// <param name="reference">fp32's, one an element of <see cref="ScoringOrder.Texts"/>.</param>
    /// <param name="embeddings">The variant's, likewise.</param>
    /// <exception cref="PipelineException">A query's vector is all zeros or not finite.</exception>
    public static IReadOnlyDictionary<string, Sample> Measure(
        ScoringOrder order,
        IReadOnlyList<float[]> reference,
        IReadOnlyList<float[]> embeddings
    )
    {
        RequireQueries(order, reference, "fp32");
        RequireQueries(order, embeddings, "the variant");
        var (whole, own) = (Similarities(order, reference), Similarities(order, embeddings));
        var candidates = Candidates(order, embeddings);
        return new Dictionary<string, Sample>
        {
            [Metric.RecallOverlapAt10] = Sample.Mean([
                .. whole.Zip(own, (fp32, variant) => (double?)RankingQuality.Overlap(fp32, variant, RankingQuality.Depth)),
            ]),
            [Metric.NdcgAt10] = Sample.Mean([
                .. order.Queries.Zip(
                    candidates,
                    (query, scores) => RankingQuality.Ndcg(query, scores) is var ndcg && double.IsNaN(ndcg) ? null : (double?)ndcg
                ),
            ]),
        }
            .Where(sample => sample.Value.Units > 0)
            .ToDictionary();
    }

    /// <summary>Cosines of each query to its candidates, [query][candidate].</summary>
    public static IReadOnlyList<float[]> Candidates(ScoringOrder order, IReadOnlyList<float[]> embeddings)
    {
        var places = order.PassageIds.Index().ToDictionary(passage => passage.Item, passage => passage.Index, StringComparer.Ordinal);
        return
        [
            .. order.Queries.Select(
                (query, q) =>
                    query
                        .Candidates.Select(id =>
                            TensorPrimitives.CosineSimilarity<float>(embeddings[order.PassageIds.Count + q], embeddings[places[id]])
                        )
                        .ToArray()
            ),
        ];
    }

    /// <summary>Cosines of each query to all passages, [query][passage].</summary>
    private static float[][] Similarities(ScoringOrder order, IReadOnlyList<float[]> embeddings) =>
        [
            .. embeddings
                .Skip(order.PassageIds.Count)
                .Select(query =>
                    embeddings
                        .Take(order.PassageIds.Count)
                        .Select(passage => TensorPrimitives.CosineSimilarity<float>(query, passage))
                        .ToArray()
                ),
        ];

    private static void RequireQueries(ScoringOrder order, IReadOnlyList<float[]> embeddings, string whose)
    {
        for (var q = 0; q < order.Queries.Count; q++)
        {
            var vector = embeddings[order.PassageIds.Count + q];
            if (!vector.All(float.IsFinite) || vector.All(value => value == 0))
                throw new PipelineException(
                    $"The embedding of query {order.Queries[q].Id} by {whose} is all zeros or not finite: it has no direction."
                );
        }
    }
}
