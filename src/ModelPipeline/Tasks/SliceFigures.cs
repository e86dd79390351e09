using ModelPipeline.Metrics;
using ModelPipeline.Text;

namespace ModelPipeline.Tasks;

/// <summary>What a part of the texts says about a variant: good on average may be bad on the long ones.</summary>
/// <param name="By">What it is a part by: <see cref="Length"/> or <see cref="Query"/>.</param>
/// <param name="Name">Which part: "65 to 128 tokens".</param>
/// <param name="Pairs">In it.</param>
/// <param name="Reference">fp32's figures, by metric name.</param>
/// <param name="Figures">The variant's.</param>
/// <param name="Intervals">Of the variant's.</param>
public sealed record SliceFigures(
    string By,
    string Name,
    int Pairs,
    IReadOnlyDictionary<string, double> Reference,
    IReadOnlyDictionary<string, double> Figures,
    Intervals Intervals
)
{
    /// <summary>By the tokens of a passage with its query, uncut.</summary>
    public const string Length = "length";

    /// <summary>By the words of the query.</summary>
    public const string Query = "query";

    /// <summary>Upper ends of all slices but the last.</summary>
    private static readonly int[] Tokens = [64, 128, 256, 512],
        Words = [4, 8];

    /// <summary>
    /// A reranker's parts: of each query the candidates of like length, ranked among themselves and judged by their own ideal order; and
    /// the queries of like length.
    /// </summary>
    /// <param name="queries">All.</param>
    /// <param name="tokens">Of every pair, in their order; empty if unknown, and then there are no parts by length.</param>
    /// <param name="reference">fp32's scores, [query][candidate].</param>
    /// <param name="scores">The variant's, likewise.</param>
    /// <returns>Those that have a query with at least two candidates, ascending.</returns>
    public static IReadOnlyList<SliceFigures> Of(
        IReadOnlyList<CorpusQuery> queries,
        IReadOnlyList<int> tokens,
        IReadOnlyList<float[]> reference,
        IReadOnlyList<float[]> scores
    )
    {
        var all = new Scored(queries, reference, scores);
        int[] starts = [0, .. queries.Select(query => query.Candidates.Count)];
        for (var i = 1; i < starts.Length; i++)
            starts[i] += starts[i - 1];
        var byLength =
            tokens.Count == 0
                ? []
                : Parts(Tokens).Select(part => all.Part(Length, $"{part.Name} tokens", (q, c) => part.Has(tokens[starts[q] + c])));
        var byQuery = Parts(Words).Select(part => all.Part(Query, $"{part.Name} words", (q, _) => part.Has(WordsOf(queries[q]))));
        return [.. byLength.Concat(byQuery).OfType<SliceFigures>()];
    }

    private static int WordsOf(CorpusQuery query) => query.Text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Length;

    private static IEnumerable<(string Name, Func<int, bool> Has)> Parts(int[] ends)
    {
        var low = 0;
        foreach (var end in ends)
        {
            var first = low + 1;
            yield return (first == 1 ? $"up to {end}" : $"{first} to {end}", size => size >= first && size <= end);
            low = end;
        }
        yield return ($"more than {low}", size => size > low);
    }

    private sealed record Scored(IReadOnlyList<CorpusQuery> Queries, IReadOnlyList<float[]> Reference, IReadOnlyList<float[]> Scores)
    {
        /// <summary>The pairs that are asked for; null if no query has two of them.</summary>
        public SliceFigures? Part(string by, string name, Func<int, int, bool> has)
        {
            var kept = Queries
                .Select((query, q) => (Query: q, Candidates: Enumerable.Range(0, query.Candidates.Count).Where(c => has(q, c)).ToArray()))
                .Where(part => part.Candidates.Length > 1)
                .ToList();
            if (kept.Count == 0)
                return null;
            CorpusQuery[] queries = [.. kept.Select(part => Restricted(Queries[part.Query], part.Candidates))];
            float[][] reference = [.. kept.Select(part => Array.ConvertAll(part.Candidates, c => Reference[part.Query][c]))],
                scores = [.. kept.Select(part => Array.ConvertAll(part.Candidates, c => Scores[part.Query][c]))];
            var (whole, own) = (
                RerankValidation.Measure(queries, reference, reference),
                RerankValidation.Measure(queries, reference, scores)
            );
            return new(
                by,
                name,
                kept.Sum(part => part.Candidates.Length),
                whole.Figures,
                own.Figures,
                Bootstrap.Of(own.Samples, whole.Samples)
            );
        }

        private static CorpusQuery Restricted(CorpusQuery query, int[] candidates)
        {
            string[] ids = [.. candidates.Select(c => query.Candidates[c])];
            return query with
            {
                Candidates = ids,
                Grades = ids.Where(query.Grades.ContainsKey).ToDictionary(id => id, id => query.Grades[id]),
            };
        }
    }
}
