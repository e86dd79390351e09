using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Text.Tokenization;

namespace ModelPipeline.Text;

/// <summary>
/// Turns single texts and (query, passage) pairs into model inputs; ids, types and mask equal the reference tokenizer's. Immutable, safe to
/// share between threads.
/// </summary>
public sealed class PairTokenizer
{
    private readonly TokenizerParts _parts;
    private readonly TextPrefixes _prefixes;
    private readonly AddedTokens? _exact;
    private readonly AddedTokens? _normalized;

    private PairTokenizer(TokenizerParts parts, TextPrefixes? prefixes)
    {
        (_parts, _prefixes) = (parts, prefixes ?? new TextPrefixes());
        var spellings = parts.Added.Where(token => token.Normalized).Select(token => (token, Normalize(token.Content))).ToList();
        if (spellings.FirstOrDefault(token => token.Item2.Length == 0).token is { } nothing)
            throw new PipelineException(
                $"The added token '{nothing.Content}' is nothing once it is normalized, which is not supported; declare it with "
                    + $"normalized false."
            );
        _normalized = spellings.Count > 0 ? new AddedTokens(spellings) : null;
        var exact = parts.Added.Where(token => !token.Normalized).Select(token => (token, token.Content)).ToList();
        _exact = exact.Count > 0 ? new AddedTokens(exact) : null;
        VocabularySize = 1 + parts.Model.Vocabulary.Values.Concat(parts.Added.Select(token => token.Id)).Max();
    }

    /// <summary>Ids are 0 to this, exclusive.</summary>
    public int VocabularySize { get; }

    public int PaddingId => _parts.PaddingId;

    /// <summary>The special token that ends a pair's row; padding's if its template has none.</summary>
    public int SeparatorId => _parts.Template.Pair.LastOrDefault(part => part.Specials is { Count: > 0 })?.Specials![^1] ?? PaddingId;

    /// <summary>Reads a vocab.txt of BERT.</summary>
    /// <param name="vocabularyPath">UTF-8 text that holds [PAD], [UNK], [CLS], [SEP] and [MASK].</param>
    /// <param name="lowercase">Lower-case texts and strip their accents, as uncased models expect.</param>
    /// <exception cref="PipelineException">The file is not a vocabulary; the message names the line.</exception>
    public static PairTokenizer Load(string vocabularyPath, bool lowercase) =>
        Load(new TokenizerFiles(vocabularyPath), new TokenizerOptions(lowercase));

    /// <summary>Reads the files of a tokenizer: tokenizer.json, vocab.txt, vocab.json with merges.txt, or a SentencePiece model.</summary>
    /// <exception cref="PipelineException">A file is broken or asks for what cannot be reproduced; the message names file and
    /// key.</exception>
    public static PairTokenizer Load(TokenizerFiles files, TokenizerOptions? options = null, TextPrefixes? prefixes = null) =>
        new(TokenizerParts.Read(files, options ?? new TokenizerOptions()), prefixes);

    /// <summary>As models.yaml declares it.</summary>
    /// <inheritdoc cref="Load(TokenizerFiles, TokenizerOptions, TextPrefixes)"/>
    public static PairTokenizer Load(TokenizerFiles files, TokenizerSpec declared) =>
        Load(files, new TokenizerOptions(declared.Lowercase, declared.StripAccents, declared.TokenizeChineseChars), declared.Prefixes);

    /// <summary>The pair's row with its special tokens, truncated and padded to <paramref name="maxLength"/> tokens.</summary>
    /// <exception cref="PipelineException">Under <see cref="TruncationStrategy.OnlySecond"/> the query leaves no room for any of the
    /// passage.</exception>
    public TokenizedInput Encode(string query, string passage, int maxLength, TruncationStrategy strategy) =>
        Row(Ids(_prefixes.Query + query), Ids(_prefixes.Passage + passage), maxLength, strategy);

    /// <summary>A passage's row with its special tokens, truncated and padded to <paramref name="maxLength"/> tokens.</summary>
    public TokenizedInput Encode(string text, int maxLength) => Row(Ids(_prefixes.Passage + text), maxLength);

    /// <summary>A query's row without a passage, likewise.</summary>
    public TokenizedInput EncodeQuery(string text, int maxLength) => Row(Ids(_prefixes.Query + text), maxLength);

    /// <summary>Tokens of a query alone, with special tokens and without truncation.</summary>
    public int CountQuery(string text) => Ids(_prefixes.Query + text).Count + RowTemplate.Added(_parts.Template.Single);

    /// <summary>Tokens of the whole pair, or of a single text, with special tokens and without truncation.</summary>
    public int Count(string text, string? passage = null) =>
        passage is null
            ? Ids(_prefixes.Passage + text).Count + RowTemplate.Added(_parts.Template.Single)
            : Ids(_prefixes.Query + text).Count + Ids(_prefixes.Passage + passage).Count + RowTemplate.Added(_parts.Template.Pair);

    /// <summary>The row of ids that stand for a query and a passage.</summary>
    /// <exception cref="PipelineException">As of <see cref="Encode(string, string, int, TruncationStrategy)"/>.</exception>
    internal TokenizedInput Row(List<int> first, List<int> second, int maxLength, TruncationStrategy strategy)
    {
        var added = RowTemplate.Added(_parts.Template.Pair);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxLength, added);
        var (firstLength, secondLength) = Truncate(first.Count, second.Count, maxLength - added, strategy);
        return Assemble(_parts.Template.Pair, maxLength, first[..firstLength], second[..secondLength]);
    }

    private TokenizedInput Row(List<int> ids, int maxLength)
    {
        var added = RowTemplate.Added(_parts.Template.Single);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxLength, added);
        return Assemble(_parts.Template.Single, maxLength, ids[..Math.Min(ids.Count, maxLength - added)], []);
    }

    /// <summary>Ids of a text without special tokens of its row.</summary>
    internal List<int> Ids(string text)
    {
        var ids = new List<int>(text.Length / 3 + 8);
        var words = new List<ReadOnlyMemory<char>>(text.Length / 4 + 8);
        foreach (var (raw, token) in Split(_exact, ReferenceCharacters.WellFormed(text)))
        {
            if (token is { } id)
                ids.Add(id);
            else
                AddNormalized(Normalize(raw.ToString()), words, ids);
        }
        return ids;
    }

    private void AddNormalized(string text, List<ReadOnlyMemory<char>> words, List<int> ids)
    {
        foreach (var (part, token) in Split(_normalized, text))
        {
            if (token is { } id)
            {
                ids.Add(id);
                continue;
            }
            words.Clear();
            if (_parts.PreTokenizer is { } split)
                split.Split(part, words);
            else
                words.Add(part);
            foreach (var word in words)
                _parts.Model.Append(word, ids);
        }
    }

    private static List<TextPiece> Split(AddedTokens? tokens, string text)
    {
        if (text.Length == 0)
            return [];
        return tokens is null ? [new TextPiece(text.AsMemory(), null)] : tokens.Split(text.AsMemory());
    }

    private string Normalize(string text) => _parts.Normalizer?.Apply(text) ?? text;

    /// <summary>Token counts that fit in <paramref name="room"/>. Longest first shortens the longer text down to the shorter, then both; an
    /// odd token goes to the longer, or to the second.</summary>
    private static (int First, int Second) Truncate(int first, int second, int room, TruncationStrategy strategy)
    {
        if (first + second <= room)
            return (first, second);
        if (strategy == TruncationStrategy.OnlySecond)
        {
            return first < room
                ? (first, room - first)
                : throw new PipelineException(
                    $"A query of {first} tokens leaves no room for its passage in {room} beside the special tokens; "
                        + "use truncation longest_first, a longer sequence or shorter queries."
                );
        }
        var shorter = Math.Min(Math.Min(first, second), room / 2);
        return first > second ? (room - shorter, shorter) : (shorter, room - shorter);
    }

    private TokenizedInput Assemble(IReadOnlyList<TemplatePart> template, int maxLength, List<int> first, List<int> second)
    {
        var (ids, types, mask, length) = (new long[maxLength], new long[maxLength], new long[maxLength], 0);
        foreach (var part in template)
        {
            var start = length;
            foreach (var id in part.Specials ?? (part.Text == 0 ? first : second))
                ids[length++] = id;
            types.AsSpan(start, length - start).Fill(part.Type);
        }
        mask.AsSpan(0, length).Fill(1);
        ids.AsSpan(length).Fill(PaddingId);
        types.AsSpan(length).Fill(_parts.PaddingType);
        return new TokenizedInput(ids, mask, types, length);
    }
}
