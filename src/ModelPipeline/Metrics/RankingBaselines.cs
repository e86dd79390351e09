using System.Text.Json.Serialization;
using ModelPipeline.Core;
using ModelPipeline.Text;

namespace ModelPipeline.Metrics;

/// <summary>Whether fp32 ranks better than chance. Undecided: there are too few queries to tell.</summary>
public enum RankingVerdict
{
    Ranks,
    DoesNotRank,
    Undecided,
}

/// <summary>fp32's ranking beside those that need no model: NDCG@10, 0 to 1, mean over the queries.</summary>
/// <param name="Fp32">The source model's; null if it gives none.</param>
/// <param name="Bm25">By the words of query and passage alone.</param>
/// <param name="RandomOrders">The mean over all orders of the same candidates.</param>
/// <param name="Queries">That have a candidate better than another: the others say nothing.</param>
/// <param name="Verdict">By paired bootstrap of fp32 against random orders.</param>
/// <param name="Statement">All of this as a sentence without its full stop.</param>
public sealed record RankingBaselines(
    double? Fp32,
    double? Bm25,
    double? RandomOrders,
    int Queries,
    RankingVerdict Verdict,
    string Statement
)
{
    /// <summary>With fewer queries, chance can do what a model does.</summary>
    public const int FewestQueries = 20;

    /// <summary>So many that all go the wrong way tell that a model ranks backwards: chance does so once in 64.</summary>
    private const int FewestBackwards = 6;

    private const int Resamples = 10_000;
    private const ulong Seed = 42;

    /// <summary>Share of resamples in which fp32 may be no better and still counts as better: one side of 95 %.</summary>
    private const double Level = 0.025;

    /// <summary>fp32 is worse than BM25.</summary>
    [JsonIgnore]
    public bool IsWorseThanBm25 => Fp32 < Bm25;

    /// <summary>Compares by the judgements of the queries.</summary>
    /// <param name="corpus">Gives passages to BM25.</param>
    /// <param name="queries">Those that were scored.</param>
    /// <param name="scores">fp32's, [query][candidate]; null, with the reason, if it has none.</param>
    /// <param name="why">Why there are no scores; a clause.</param>
    public static RankingBaselines Measure(
        Corpus corpus,
        IReadOnlyList<CorpusQuery> queries,
        IReadOnlyList<float[]>? scores,
        string why = ""
    )
    {
        if (!queries.Any(query => query.Grades.Values.Any(grade => grade > 0)))
            return new(
                null,
                null,
                null,
                0,
                RankingVerdict.Undecided,
                $"corpus '{corpus.Name}' has no judgements, so nothing tells how well fp32 ranks, only whether variants order as it does"
            );
        var bm25 = new Bm25(corpus.Passages);
        double[] byWords = [.. queries.Select(query => RankingQuality.NdcgTieAveraged(query, bm25.Score(query)))];
        double[] byChance = [.. queries.Select(query => RankingQuality.NdcgTieAveraged(query, new float[query.Candidates.Count]))];
        var (words, chance) = (Mean(byWords), Mean(byChance));
        if (scores is null)
            return new(
                null,
                Figure.Round(words),
                Figure.Round(chance),
                0,
                RankingVerdict.Undecided,
                $"NDCG@10 of fp32 is not defined: {why}"
            );
        double[] own = [.. queries.Select((query, i) => RankingQuality.Ndcg(query, scores[i]))];
        double[] gains = [.. own.Zip(byChance, (a, b) => a - b).Where((gain, i) => double.IsFinite(gain) && IsOpen(queries[i]))];
        var verdict = Judge(gains);
        var statement = FormattableString.Invariant($"NDCG@10 of fp32 {Mean(own):F3}, of BM25 {words:F3}, of random orders {chance:F3}");
        if (verdict == RankingVerdict.DoesNotRank)
            statement += FormattableString.Invariant(
                $": over {gains.Length} queries fp32 is not better than chance (paired bootstrap, {1 - Level:P1})"
            );
        if (verdict == RankingVerdict.Undecided)
            statement += FormattableString.Invariant(
                $": {gains.Length} queries are too few to tell whether fp32 ranks, {FewestQueries} are needed"
            );
        return new(Figure.Round(Mean(own)), Figure.Round(words), Figure.Round(chance), gains.Length, verdict, statement);
    }

    /// <summary>The means of as many gains drawn with replacement; fp32 ranks if all but the lowest of them are above 0. Few queries tell
    /// only of a model that ranks backwards, whose means are all but the highest below 0.</summary>
    private static RankingVerdict Judge(double[] gains)
    {
        if (gains.Length < FewestBackwards)
            return RankingVerdict.Undecided;
        var random = new SplitMix64(Seed);
        var noBetter = 0;
        for (var i = 0; i < Resamples; i++)
        {
            var sum = 0.0;
            for (var drawn = 0; drawn < gains.Length; drawn++)
                sum += gains[random.Between(0, gains.Length - 1)];
            if (sum <= 0)
                noBetter++;
        }
        if (gains.Length < FewestQueries)
            return noBetter > (1 - Level) * Resamples ? RankingVerdict.DoesNotRank : RankingVerdict.Undecided;
        return noBetter < Level * Resamples ? RankingVerdict.Ranks : RankingVerdict.DoesNotRank;
    }

    /// <summary>Its candidates differ in grade, so that orders differ in NDCG.</summary>
    private static bool IsOpen(CorpusQuery query) =>
        query.Candidates.Select(id => query.Grades.GetValueOrDefault(id)).Distinct().Count() > 1;

    private static double? Mean(IEnumerable<double> values) => values.Where(double.IsFinite).Select(value => (double?)value).Average();
}
