using System.Globalization;
using ModelPipeline.Core;
using ModelPipeline.Metrics;
using ModelPipeline.Text;

namespace ModelPipeline.Tasks;

/// <summary>What one query says about a variant.</summary>
/// <param name="Id">Query id.</param>
/// <param name="ReferenceNdcg">NDCG@10 of the reference scores, null where the query has no relevant passage.</param>
/// <param name="Ndcg">NDCG@10, null where the query has no relevant passage.</param>
/// <param name="KendallTau">tau-b to the reference, null where the reference gives no order.</param>
/// <param name="Top1Agrees">The same candidate comes first.</param>
/// <param name="TiedPairs">Pairs of candidates with equal scores.</param>
/// <param name="MaxDifference">Largest |score - reference|.</param>
/// <param name="MeanDifference">Mean |score - reference|.</param>
/// <param name="ReferenceScores">The reference's, in candidate order.</param>
/// <param name="Scores">The variant's, in candidate order.</param>
[OneLine]
public sealed record QueryFigures(
    string Id,
    double? ReferenceNdcg,
    double? Ndcg,
    double? KendallTau,
    bool Top1Agrees,
    long TiedPairs,
    double MaxDifference,
    double MeanDifference,
    IReadOnlyList<float> ReferenceScores,
    IReadOnlyList<float> Scores
)
{
    internal QueryFigures Rounded() =>
        this with
        {
            ReferenceNdcg = Figure.Round(ReferenceNdcg),
            Ndcg = Figure.Round(Ndcg),
            KendallTau = Figure.Round(KendallTau),
            MaxDifference = Math.Round(MaxDifference, 6),
            MeanDifference = Math.Round(MeanDifference, 6),
        };
}

/// <summary>Figures of a reranker's scores, by metric name, and their origin query by query.</summary>
public static class RerankValidation
{
    /// <summary>
    /// Measures <paramref name="scores"/> against judgements and against the <paramref name="reference"/> scores (fp32).
    /// Give the reference itself as scores for the reference's own figures.
    /// </summary>
    /// <param name="queries">The test collection, at least one query.</param>
    /// <param name="reference">[query][candidate], in the order of <paramref name="queries"/>.</param>
    /// <param name="scores">[query][candidate], likewise.</param>
    /// <remarks>
    /// Queries without a relevant passage are left out of NDCG and MRR, queries whose reference scores are all equal out of tau.
    /// A query to which the variant gives one score throughout counts as tau 0: it orders nothing.
    /// Figures that no query can give are absent.
    /// </remarks>
    /// <exception cref="PipelineException">A score is NaN or infinite, or scores and candidates differ in number.</exception>
    public static TaskFigures Measure(IReadOnlyList<CorpusQuery> queries, IReadOnlyList<float[]> reference, IReadOnlyList<float[]> scores)
    {
        if (queries.Count == 0)
            throw new PipelineException("The validation corpus has no queries. Give it at least one query with candidates.");
        RequireScores(queries, reference, "fp32");
        RequireScores(queries, scores, "the variant");

        var perQuery = queries.Select((query, i) => MeasureQuery(query, reference[i], scores[i])).ToArray();
        var samples = Samples(queries, reference, scores, perQuery);
        var figures = Figure.Set([
            .. samples.Select(sample => KeyValuePair.Create(sample.Key, (double?)sample.Value.Figure)),
            // Without an order in fp32's scores there is nothing to agree with; a variant that gives one score throughout agrees with
            // nothing.
            KeyValuePair.Create(Metric.Spearman, Agreement(Joined(reference), Joined(scores), RankCorrelation.Spearman)),
            KeyValuePair.Create(Metric.DistinctScores, (double?)Joined(scores).Distinct().Count()),
            KeyValuePair.Create(Metric.MaxScoreDifference, (double?)perQuery.Max(query => query.MaxDifference)),
        ]);
        return new(figures) { Samples = samples, Queries = [.. perQuery.Select(query => query.Rounded())] };
    }

    /// <summary>What cutting passages does to fp32's ranking.</summary>
    /// <param name="queries">The test collection.</param>
    /// <param name="modelTokens">Longest of the whole inputs.</param>
    /// <param name="whole">Scores [query][candidate] of whole passages.</param>
    /// <param name="cut">Likewise of cut ones.</param>
    internal static TruncationCost Truncated(
        IReadOnlyList<CorpusQuery> queries,
        int modelTokens,
        IReadOnlyList<float[]> whole,
        IReadOnlyList<float[]> cut
    )
    {
        var figures = Measure(queries, whole, cut).Figures;
        return new(
            modelTokens,
            Figure.Round(Sample.Mean([.. queries.Zip(whole, (query, scores) => Defined(RankingQuality.Ndcg(query, scores)))]).Figure),
            figures.TryGetValue(Metric.NdcgAt10, out var ndcg) ? ndcg : null,
            figures.GetValueOrDefault(Metric.KendallTau, 1),
            figures[Metric.MaxScoreDifference]
        );
    }

    private static float[] Joined(IReadOnlyList<float[]> scores) => [.. scores.SelectMany(row => row)];

    private static Dictionary<string, Sample> Samples(
        IReadOnlyList<CorpusQuery> queries,
        IReadOnlyList<float[]> reference,
        IReadOnlyList<float[]> scores,
        QueryFigures[] perQuery
    )
    {
        double[] pairs = [.. scores.Select(row => (double)row.Length)];
        var samples = new Dictionary<string, Sample>
        {
            [Metric.NdcgAt10] = Sample.Mean([.. perQuery.Select(query => query.Ndcg)]),
            [Metric.NdcgAt10TieAveraged] = Mean((query, own) => RankingQuality.NdcgTieAveraged(query, own)),
            [Metric.MrrAt10] = Mean((query, own) => RankingQuality.ReciprocalRank(query, own)),
            [Metric.RecallAt5] = Mean((query, own) => RankingQuality.Recall(query, own, 5)),
            [Metric.RecallAt10] = Mean((query, own) => RankingQuality.Recall(query, own, 10)),
            [Metric.KendallTau] = Sample.Mean([.. perQuery.Select(query => query.KendallTau)]),
            [Metric.Top1Agreement] = Sample.Mean([.. perQuery.Select(query => (double?)(query.Top1Agrees ? 1 : 0))]) with
            {
                IsShare = true,
            },
            [Metric.Top3Agreement] = Sample.Mean([
                .. reference.Zip(scores, (whole, own) => (double?)RankingQuality.Overlap(whole, own, 3)),
            ]),
            [Metric.TiedPairs] = Sample.Mean([.. perQuery.Select(query => (double?)query.TiedPairs)]) with { Form = SampleForm.Total },
            [Metric.MeanScoreDifference] = new([.. reference.Zip(scores, (whole, own) => own.Zip(whole, Difference).Sum()!.Value)], pairs),
            [Metric.WithinQueryResidual] = new(ScoreResidual.Squares(reference, scores), pairs) { Form = SampleForm.RootMean },
        };
        if (Spearman() is { } spearman)
            samples[Metric.Spearman] = spearman;
        // Figures that no query gives.
        return samples.Where(sample => sample.Value.Units > 0).ToDictionary();

        Sample Mean(Func<CorpusQuery, float[], double> quality) =>
            Sample.Mean([.. queries.Select((query, i) => Defined(quality(query, scores[i])))]);

        Sample? Spearman()
        {
            var (whole, own) = (Joined(reference), Joined(scores));
            if (Agreement(whole, own, RankCorrelation.Spearman) is not { } rho || own.Distinct().Count() < 2)
                return null;
            var influences = RankCorrelation.SpearmanInfluences(
                Array.ConvertAll(whole, score => (double)score),
                Array.ConvertAll(own, score => (double)score)
            );
            var next = 0;
            double[] sums = [.. scores.Select(row => (rho * row.Length) + influences.AsSpan(next..(next += row.Length)).ToArray().Sum())];
            return new(sums, pairs);
        }
    }

    private static QueryFigures MeasureQuery(CorpusQuery query, float[] reference, float[] scores)
    {
        var differences = scores.Zip(reference, Difference).ToArray();
        return new(
            query.Id,
            Defined(RankingQuality.Ndcg(query, reference)),
            Defined(RankingQuality.Ndcg(query, scores)),
            Agreement(reference, scores, RankCorrelation.KendallTauB),
            RankingQuality.Rank(reference)[0] == RankingQuality.Rank(scores)[0],
            RankCorrelation.TiedPairs<float>(scores),
            differences.Max()!.Value,
            differences.Average()!.Value,
            reference,
            scores
        );
    }

    private delegate double Correlation(ReadOnlySpan<float> x, ReadOnlySpan<float> y);

    private static double? Agreement(float[] reference, float[] scores, Correlation correlation)
    {
        if (reference.Distinct().Count() < 2)
            return null;
        return scores.Distinct().Count() < 2 ? 0 : correlation(reference, scores);
    }

    private static double? Difference(float score, float reference) => Math.Abs((double)score - reference);

    private static double? Defined(double value) => double.IsNaN(value) ? null : value;

    private static void RequireScores(IReadOnlyList<CorpusQuery> queries, IReadOnlyList<float[]> scores, string whose)
    {
        if (scores.Count != queries.Count)
            throw new PipelineException(
                $"Scores of {whose} cover {scores.Count} queries, the corpus has {queries.Count}. Score every query of the corpus."
            );
        for (var q = 0; q < queries.Count; q++)
        {
            var (id, _, passages, _) = queries[q];
            if (passages.Count == 0)
                throw new PipelineException($"Query {id} has no candidate passages. Give it at least one in the candidates file.");
            if (scores[q].Length != passages.Count)
                throw new PipelineException(
                    $"Query {id} has {passages.Count} candidates but {scores[q].Length} scores of {whose}. Score every candidate."
                );
            var bad = Array.FindIndex(scores[q], score => !float.IsFinite(score));
            if (bad >= 0)
            {
                throw new PipelineException(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"Score of {whose} for query {id}, passage {passages[bad]} is {scores[q][bad]}, not a finite number. The model "
                            + $"overflows on this pair: check its attention mask constant and precision."
                    )
                );
            }
        }
    }
}
