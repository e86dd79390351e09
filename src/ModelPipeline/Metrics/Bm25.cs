using System.Text;
using ModelPipeline.Text;

namespace ModelPipeline.Metrics;

/// <summary>
/// The ranking that every search engine has without a model: Okapi BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework:
/// BM25 and Beyond", 2009)
/// with Lucene's settings and never negative idf: for each word of the query, ln(1 + (N - n + 0.5) / (n + 0.5)) * f / (f + k1 (1 - b + b
/// length / mean length)), k1 1.2, b 0.75; N passages, n of them with the word, f times in this one.
/// </summary>
/// <remarks>Words are runs of letters, marks and digits in lower case, without stemming or stop words; each ideograph is a word.</remarks>
internal sealed class Bm25
{
    private const double K1 = 1.2,
        B = 0.75;

    private readonly Dictionary<string, Dictionary<string, int>> passages;
    private readonly Dictionary<string, int> lengths;
    private readonly Dictionary<string, int> frequencies;
    private readonly double meanLength;

    /// <param name="texts">All passages by id: idf and the mean length are theirs.</param>
    public Bm25(IReadOnlyDictionary<string, string> texts)
    {
        passages = texts.ToDictionary(
            text => text.Key,
            text => Words(text.Value).CountBy(word => word).ToDictionary(StringComparer.Ordinal),
            StringComparer.Ordinal
        );
        lengths = passages.ToDictionary(passage => passage.Key, passage => passage.Value.Values.Sum(), StringComparer.Ordinal);
        frequencies = passages.Values.SelectMany(words => words.Keys).CountBy(word => word).ToDictionary(StringComparer.Ordinal);
        meanLength = Math.Max(lengths.Values.DefaultIfEmpty().Average(), double.Epsilon);
    }

    /// <summary>A score for each candidate of the query, in their order.</summary>
    public float[] Score(CorpusQuery query)
    {
        string[] words = [.. Words(query.Text)];
        return [.. query.Candidates.Select(id => (float)words.Sum(word => Weight(word, id)))];
    }

    private double Weight(string word, string id)
    {
        if (!passages[id].TryGetValue(word, out var count))
            return 0;
        return Weight(count, lengths[id] / meanLength, passages.Count, frequencies[word]);
    }

    /// <summary>What one word of a query adds.</summary>
    /// <param name="count">Times that the passage has it, at least one.</param>
    /// <param name="length">The passage's words, as a share of the mean.</param>
    /// <param name="passages">In the collection.</param>
    /// <param name="having">Passages with the word.</param>
    public static double Weight(int count, double length, long passages, int having)
    {
        var idf = Math.Log(1 + ((passages - having + 0.5) / (having + 0.5)));
        return idf * count / (count + (K1 * (1 - B + (B * length))));
    }

    /// <summary>Of a text, in their order.</summary>
    public static IEnumerable<string> Words(string text)
    {
        var word = new StringBuilder();
        foreach (var rune in text.EnumerateRunes())
        {
            var isIdeograph = rune.Value is >= 0x2E80 and <= 0x9FFF or >= 0xF900 and <= 0xFAFF or >= 0x20000 and <= 0x3FFFF;
            var isPart =
                Rune.IsLetterOrDigit(rune)
                || Rune.GetUnicodeCategory(rune)
                    is System.Globalization.UnicodeCategory.NonSpacingMark
                        or System.Globalization.UnicodeCategory.SpacingCombiningMark;
            if ((!isPart || isIdeograph) && word.Length > 0)
            {
                yield return word.ToString();
                word.Clear();
            }
            if (isPart && isIdeograph)
                yield return rune.ToString();
            else if (isPart)
                word.Append(Rune.ToLowerInvariant(rune).ToString());
        }
        if (word.Length > 0)
            yield return word.ToString();
    }
}
