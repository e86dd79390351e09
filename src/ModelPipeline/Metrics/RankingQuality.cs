using ModelPipeline.Text;

namespace ModelPipeline.Metrics;

/// <summary>Quality of one ranking against graded judgements, 0 to 1.</summary>
/// <remarks>
/// A ranking sorts candidates by descending score; tied candidates keep the order of the candidates file, as a stable sort in production
/// does.
/// That order knows nothing of the grades, yet with many ties the figure is partly luck: <see cref="NdcgTieAveraged"/> is the same figure
/// without the luck.
/// </remarks>
public static class RankingQuality
{
    /// <summary>Only the first this many candidates of a ranking count.</summary>
    public const int Depth = 10;

    /// <summary>Indices of the candidates, best first, ties in candidate order.</summary>
    public static int[] Rank(ReadOnlySpan<float> scores)
    {
        var copy = scores.ToArray();
        return [.. Enumerable.Range(0, copy.Length).OrderByDescending(i => copy[i])];
    }

    /// <summary>
    /// NDCG@10 with gain 2^grade - 1 and discount 1 / log2(rank + 1) (Burges et al., "Learning to Rank using Gradient Descent", ICML 2005);
    /// the ideal ranking is that of all judged passages, candidates or not. NaN if no judged passage has a grade above 0.
    /// </summary>
    public static double Ndcg(CorpusQuery query, ReadOnlySpan<float> scores)
    {
        var gains = Gains(query);
        return Dcg(Rank(scores).Select(i => gains[i])) / IdealDcg(query);
    }

    /// <summary>
    /// The mean of <see cref="Ndcg"/> over all orders of tied candidates (McSherry and Najork,
    /// "Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores", ECIR 2008).
    /// </summary>
    public static double NdcgTieAveraged(CorpusQuery query, ReadOnlySpan<float> scores)
    {
        var copy = scores.ToArray();
        var gains = Gains(query);
        var expected = Enumerable
            .Range(0, copy.Length)
            .GroupBy(i => copy[i], i => gains[i])
            .OrderByDescending(tied => tied.Key)
            .SelectMany(tied => Enumerable.Repeat(tied.Average(), tied.Count()));
        return Dcg(expected) / IdealDcg(query);
    }

    /// <summary>
    /// 1 / rank of the first candidate with grade 1 or more (trec_eval's default relevance level), 0 if none is among the first 10.
    /// NaN if no judged passage has a grade above 0.
    /// </summary>
    public static double ReciprocalRank(CorpusQuery query, ReadOnlySpan<float> scores)
    {
        if (!query.Grades.Values.Any(grade => grade > 0))
            return double.NaN;
        var ranking = Rank(scores);
        var first = Array.FindIndex(ranking, i => Grade(query, i) > 0);
        return first is >= 0 and < Depth ? 1.0 / (first + 1) : 0;
    }

    /// <summary>
    /// Share of the judged passages with grade 1 or more, candidates or not, that are among the first <paramref name="depth"/>: trec_eval's
    /// recall_k, 0 to 1. NaN if no judged passage has a grade above 0.
    /// </summary>
    public static double Recall(CorpusQuery query, ReadOnlySpan<float> scores, int depth)
    {
        var relevant = query.Grades.Values.Count(grade => grade > 0);
        return relevant == 0 ? double.NaN : (double)Rank(scores).Take(depth).Count(i => Grade(query, i) > 0) / relevant;
    }

    /// <summary>Share of the first <paramref name="depth"/> candidates of one ranking that are among the first of the other, 0 to 1; of
    /// fewer candidates all count.</summary>
    public static double Overlap(ReadOnlySpan<float> reference, ReadOnlySpan<float> scores, int depth)
    {
        var first = Rank(reference).Take(depth).ToArray();
        return (double)first.Intersect(Rank(scores).Take(depth)).Count() / first.Length;
    }

    private static int Grade(CorpusQuery query, int candidate) => query.Grades.GetValueOrDefault(query.Candidates[candidate]);

    private static double[] Gains(CorpusQuery query) => [.. query.Candidates.Select((_, i) => Gain(Grade(query, i)))];

    private static double Gain(int grade) => Math.Pow(2, grade) - 1;

    private static double IdealDcg(CorpusQuery query) => Dcg(query.Grades.Values.Select(Gain).OrderDescending());

    private static double Dcg(IEnumerable<double> gainsByRank) =>
        gainsByRank.Take(Depth).Select((gain, i) => gain / Math.Log2(i + 2)).Sum();
}
