using System.Collections.Concurrent;

namespace ModelPipeline.Text.Tokenization;

/// <summary>Words to ids. Safe to share between threads; short words are remembered.</summary>
internal abstract class TokenModel
{
    private const int LongestRemembered = 48,
        MostRemembered = 1 << 16;

    private readonly ConcurrentDictionary<string, int[]> _known = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, int[]>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    private int _remembered;

    protected TokenModel() => _lookup = _known.GetAlternateLookup<ReadOnlySpan<char>>();

    /// <summary>Tokens of the file's vocabulary, by text.</summary>
    public abstract IReadOnlyDictionary<string, int> Vocabulary { get; }

    /// <summary>Id of what the vocabulary lacks; null if such text is left out.</summary>
    public abstract int? UnknownId { get; }

    /// <summary>Appends the ids of a word that is not empty.</summary>
    public void Append(ReadOnlyMemory<char> word, List<int> ids)
    {
        if (word.Length > LongestRemembered)
        {
            Tokenize(word, ids);
            return;
        }
        if (!_lookup.TryGetValue(word.Span, out var known))
        {
            var found = new List<int>();
            Tokenize(word, found);
            known = [.. found];
            if (_remembered < MostRemembered && _lookup.TryAdd(word.Span, known))
                Interlocked.Increment(ref _remembered);
        }
        ids.AddRange(known);
    }

    protected abstract void Tokenize(ReadOnlyMemory<char> word, List<int> ids);
}
