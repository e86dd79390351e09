using System.Globalization;
using System.Text;
using ModelPipeline.Core;

namespace ModelPipeline.Text.Tokenization;

/// <summary>
/// Unigram (Kudo 2018): of all ways to cut a word into tokens the one of the highest sum of scores, by Viterbi's algorithm in the order and
/// precision of the reference tokenizer, which is not SentencePiece's. Linear in the word's length.
/// </summary>
internal sealed class UnigramModel : TokenModel
{
    /// <summary>A character that no token is costs this more than the worst token.</summary>
    private const double UnknownPenalty = 10;

    private readonly TokenTrie _tokens;
    private readonly double[] _scores;
    private readonly double _unknownScore;
    private readonly int _unknown;

    /// <summary>Ids of the 256 tokens of bytes; null if unknown characters are not written as bytes.</summary>
    private readonly int[]? _bytes;

    /// <param name="pieces">Token and score by id.</param>
    /// <param name="unknown">Id of unknown characters.</param>
    /// <param name="byteFallback">Unknown characters become tokens of their bytes.</param>
    /// <param name="place">Named in errors.</param>
    public UnigramModel(IReadOnlyList<(string Token, double Score)> pieces, int unknown, bool byteFallback, string place)
    {
        var vocabulary = new Dictionary<string, int>(pieces.Count, StringComparer.Ordinal);
        foreach (var (id, (token, _)) in pieces.Index())
        {
            if (token.Length == 0 || !vocabulary.TryAdd(token, id))
                throw new PipelineException($"{place}: token {id}, '{token}', is empty or there twice; every token has one id.");
        }
        if (unknown < 0 || unknown >= pieces.Count)
            throw new PipelineException($"{place}: the unknown token's id is {unknown}, expected 0 to {pieces.Count - 1}.");
        (Vocabulary, _unknown) = (vocabulary, unknown);
        _tokens = new TokenTrie(pieces.Index().Select(piece => (piece.Item.Token, piece.Index)));
        _scores = [.. pieces.Select(piece => piece.Score)];
        _unknownScore = _scores.Min() - UnknownPenalty;
        if (byteFallback)
        {
            _bytes =
            [
                .. Enumerable
                    .Range(0, 256)
                    .Select(b =>
                        vocabulary.TryGetValue(string.Create(CultureInfo.InvariantCulture, $"<0x{b:X2}>"), out var id)
                            ? id
                            : throw new PipelineException($"{place}: byte_fallback needs 256 tokens of bytes, but <0x{b:X2}> is missing.")
                    ),
            ];
        }
    }

    public override IReadOnlyDictionary<string, int> Vocabulary { get; }

    public override int? UnknownId => _unknown;

    protected override void Tokenize(ReadOnlyMemory<char> word, List<int> ids)
    {
        var ends = BestEnds(word.Span);
        var first = ids.Count;
        var end = word.Length;
        while (end > 0)
        {
            var (start, id) = (ends[end].Start, ends[end].Id);
            if (id != _unknown)
            {
                ids.Add(id);
            }
            else
            {
                // Unknown characters in a row are one token.
                while (start > 0 && ends[start].Id == _unknown)
                    start = ends[start].Start;
                AddUnknown(word.Span[start..end], ids);
            }
            end = start;
        }
        ids.Reverse(first, ids.Count - first);
    }

    /// <summary>For each place in the word, the last token of the best cut that ends there.</summary>
    private End[] BestEnds(ReadOnlySpan<char> word)
    {
        var ends = new End[word.Length + 1];
        Array.Fill(ends, new End(double.NaN, -1, _unknown));
        ends[0] = default;
        var start = 0;
        while (start < word.Length)
        {
            var before = ends[start].Score;
            var length = char.IsHighSurrogate(word[start]) && start + 1 < word.Length ? 2 : 1;
            var single = false;
            int end = start,
                node = TokenTrie.Root;
            while (end < word.Length && (node = _tokens.Step(node, word[end])) >= 0)
            {
                end++;
                if (_tokens.Value(node) is >= 0 and var id)
                {
                    Offer(ref ends[end], new End(_scores[id] + before, start, id));
                    single |= end == start + length;
                }
            }
            if (!single)
                Offer(ref ends[start + length], new End(_unknownScore + before, start, _unknown));
            start += length;
        }
        return ends;
    }

    private static void Offer(ref End current, End candidate)
    {
        if (current.Start < 0 || candidate.Score > current.Score)
            current = candidate;
    }

    /// <summary>Appends, last first, what stands for unknown text.</summary>
    private void AddUnknown(ReadOnlySpan<char> text, List<int> ids)
    {
        if (Vocabulary.TryGetValue(text.ToString(), out var token))
        {
            ids.Add(token);
        }
        else if (_bytes is not null)
        {
            var bytes = Encoding.UTF8.GetBytes(text.ToString());
            for (var i = bytes.Length - 1; i >= 0; i--)
                ids.Add(_bytes[bytes[i]]);
        }
        else
        {
            ids.Add(_unknown);
        }
    }

    /// <summary>A token that ends at some place.</summary>
    /// <param name="Score">Sum of the scores of the cut up to its end.</param>
    /// <param name="Start">Where it starts; -1 while none is known.</param>
    private readonly record struct End(double Score, int Start, int Id);
}
