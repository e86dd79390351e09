using ModelPipeline.Core;

namespace ModelPipeline.Text.Tokenization;

/// <summary>
/// Byte pair encoding (Sennrich et al. 2016): the pair of lowest rank, of equal ones the leftmost, is merged until none is left. n log n in
/// the word's length; Microsoft.ML.Tokenizers' needs more than a minute for a word of a million letters.
/// </summary>
internal sealed class BytePairModel : TokenModel
{
    private readonly Dictionary<(int First, int Second), (int Rank, int Merged)> _merges;
    private readonly Dictionary<char, int> _characters;
    private readonly bool _ignoreMerges;

    /// <param name="merges">Pairs by rank.</param>
    /// <param name="ignoreMerges">A word that is a token is not merged.</param>
    /// <param name="place">Named in errors.</param>
    public BytePairModel(
        IReadOnlyDictionary<string, int> vocabulary,
        IReadOnlyList<(string First, string Second)> merges,
        bool ignoreMerges,
        string place
    )
    {
        (Vocabulary, _ignoreMerges) = (vocabulary, ignoreMerges);
        _characters = vocabulary.Where(token => token.Key.Length == 1).ToDictionary(token => token.Key[0], token => token.Value);
        _merges = new(merges.Count);
        // A pair that is there twice has the later rank.
        foreach (var (rank, (first, second)) in merges.Index())
            _merges[(IdOf(first), IdOf(second))] = (rank, IdOf(first + second));

        int IdOf(string token) =>
            vocabulary.TryGetValue(token, out var id)
                ? id
                : throw new PipelineException($"{place}: the merges need the token '{token}', which the vocabulary lacks.");
    }

    public override IReadOnlyDictionary<string, int> Vocabulary { get; }

    /// <summary>Characters that are no tokens are left out; where words are written as bytes there are none.</summary>
    public override int? UnknownId => null;

    protected override void Tokenize(ReadOnlyMemory<char> word, List<int> ids)
    {
        if (_ignoreMerges && Vocabulary.TryGetValue(word.ToString(), out var whole))
        {
            ids.Add(whole);
            return;
        }
        var symbols = new List<Symbol>(word.Length);
        foreach (var c in word.Span)
        {
            if (_characters.TryGetValue(c, out var id))
                symbols.Add(new Symbol(id, symbols.Count - 1, symbols.Count + 1));
        }
        var row = symbols.ToArray();
        Merge(row);
        for (var at = 0; at < row.Length; at = row[at].Next)
            ids.Add(row[at].Id);
    }

    /// <summary>Merges in place: a merged pair is the left symbol, and the right one is no longer linked.</summary>
    private void Merge(Symbol[] row)
    {
        var candidates = new PriorityQueue<(int At, int Merged), (int Rank, int At)>(row.Length);
        for (var at = 0; at + 1 < row.Length; at++)
            Offer(at);
        while (candidates.TryDequeue(out var candidate, out _))
        {
            var at = candidate.At;
            // Out of date if either side has been merged meanwhile.
            if (
                row[at].Id < 0
                || row[at].Next >= row.Length
                || !_merges.TryGetValue((row[at].Id, row[row[at].Next].Id), out var merge)
                || merge.Merged != candidate.Merged
            )
            {
                continue;
            }
            var right = row[at].Next;
            row[at] = row[at] with { Id = merge.Merged, Next = row[right].Next };
            row[right] = row[right] with { Id = -1 };
            if (row[at].Next < row.Length)
                row[row[at].Next] = row[row[at].Next] with { Previous = at };
            if (row[at].Previous >= 0)
                Offer(row[at].Previous);
            Offer(at);
        }

        void Offer(int at)
        {
            if (row[at].Next < row.Length && _merges.TryGetValue((row[at].Id, row[row[at].Next].Id), out var merge))
                candidates.Enqueue((at, merge.Merged), (merge.Rank, at));
        }
    }

    /// <summary>A token of a word and the places of its neighbours; -1 and the word's length where there is none.</summary>
    private readonly record struct Symbol(int Id, int Previous, int Next);
}
