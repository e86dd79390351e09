using ModelPipeline.Core;
using ModelPipeline.Metrics;

namespace ModelPipeline.Corpora;

/// <summary>BM25 over a collection that is read line by line, twice: memory grows with the queries, not with the passages.</summary>
internal static class PassageSearch
{
    /// <summary>The best passages of each query, best first; equal scores in the order of the file.</summary>
    /// <param name="queries">Text by id.</param>
    /// <param name="passages">Reads the collection.</param>
    /// <param name="most">Passages a query.</param>
    /// <param name="context">Told passages, and ends it.</param>
    public static Dictionary<string, IReadOnlyList<string>> Best(
        IReadOnlyDictionary<string, string> queries,
        Func<string, IEnumerable<ForeignText>> passages,
        int most,
        StageContext context
    )
    {
        // Which queries have a word, and how often.
        var words = new Dictionary<string, List<(int Query, int Times)>>(StringComparer.Ordinal);
        foreach (var (index, text) in queries.Values.Index())
        {
            foreach (var (word, times) in Bm25.Words(text).CountBy(word => word))
                (words.TryGetValue(word, out var having) ? having : words[word] = []).Add((index, times));
        }
        var frequencies = words.Keys.ToDictionary(word => word, _ => 0, StringComparer.Ordinal);
        var (count, length) = (0L, 0L);
        foreach (var passage in passages("count words"))
        {
            var (counts, own) = Counts(passage.Text);
            foreach (var word in counts.Keys)
                frequencies[word]++;
            (count, length) = (count + 1, length + own);
        }
        var mean = Math.Max((double)length / Math.Max(count, 1), double.Epsilon);
        var best = queries.Select(_ => new PriorityQueue<(string Id, long Place, double Score), (double, long)>()).ToArray();
        var place = 0L;
        foreach (var passage in passages("find candidates"))
        {
            var (counts, own) = Counts(passage.Text);
            var scores = new Dictionary<int, double>();
            foreach (var (word, times) in counts)
            {
                var weight = Bm25.Weight(times, own / mean, count, frequencies[word]);
                foreach (var (query, repeated) in words[word])
                    scores[query] = scores.GetValueOrDefault(query) + (repeated * weight);
            }
            foreach (var (query, score) in scores)
            {
                // The worst goes first: a low score, then a late place.
                best[query].Enqueue((passage.Id, place, score), (score, -place));
                if (best[query].Count > most)
                    best[query].Dequeue();
            }
            place++;
        }
        context.Cancellation.ThrowIfCancellationRequested();
        return queries
            .Keys.Zip(
                best,
                (id, found) =>
                    (
                        id,
                        (IReadOnlyList<string>)
                            [
                                .. found
                                    .UnorderedItems.Select(item => item.Element)
                                    .OrderByDescending(item => item.Score)
                                    .ThenBy(item => item.Place)
                                    .Select(item => item.Id),
                            ]
                    )
            )
            .ToDictionary();

        // Of the words that some query has, and the length in all words.
        (Dictionary<string, int> Counts, int Length) Counts(string text)
        {
            var (counts, all) = (new Dictionary<string, int>(StringComparer.Ordinal), 0);
            foreach (var word in Bm25.Words(text))
            {
                all++;
                if (words.ContainsKey(word))
                    counts[word] = counts.GetValueOrDefault(word) + 1;
            }
            return (counts, all);
        }
    }
}
