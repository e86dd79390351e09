using System.Text;
using Microsoft.ML.Tokenizers;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Text;

/// <summary>BERT WordPiece tokenizer for (query, passage) pairs and single texts; ids equal the reference tokenizer's. Safe to share between threads.</summary>
public sealed class PairTokenizer
{
    /// <summary>Largest acceptable vocabulary in characters; the largest BERT vocabularies, of half a million tokens, have some five million.</summary>
    private const int MaxVocabularyLength = 1 << 24;

    private readonly BertTokenizer _wordPiece;
    private readonly bool _lowercase;

    private PairTokenizer(BertTokenizer wordPiece, int vocabularySize, bool lowercase) =>
        (_wordPiece, VocabularySize, _lowercase) = (wordPiece, vocabularySize, lowercase);

    /// <summary>Ids are 0 to this, exclusive.</summary>
    public int VocabularySize { get; }

    public int SeparatorId => _wordPiece.SeparatorTokenId;
    public int ClassificationId => _wordPiece.ClassificationTokenId;
    public int PaddingId => _wordPiece.PaddingTokenId;
    public int UnknownId => _wordPiece.UnknownTokenId;

    /// <summary>Reads a vocab.txt: one token a line, its id the line's index from 0.</summary>
    /// <param name="vocabularyPath">UTF-8 text that holds [PAD], [UNK], [CLS], [SEP] and [MASK].</param>
    /// <param name="lowercase">Lower-case texts and strip their accents, as uncased models expect.</param>
    /// <exception cref="PipelineException">The file is not a vocabulary; the message names the line.</exception>
    public static PairTokenizer Load(string vocabularyPath, bool lowercase)
    {
        var tokens = new Dictionary<string, int>(StringComparer.Ordinal);
        var canonical = new StringBuilder();
        foreach (var (number, token) in TextLines.Read(vocabularyPath))
        {
            if (token.Length == 0 || token.Contains('\r'))
                throw new PipelineException($"{vocabularyPath}:{number}: an empty token or a stray carriage return; expected one token a line.");
            if (canonical.Length + token.Length > MaxVocabularyLength)
                throw new PipelineException($"{vocabularyPath}:{number}: longer than {MaxVocabularyLength} characters; expected the vocab.txt of a BERT model.");
            if (!tokens.TryAdd(token, number))
                throw new PipelineException($"{vocabularyPath}:{number}: token '{token}' is on line {tokens[token]} already; every token has one id.");
            canonical.Append(token).Append('\n');
        }
        var missing = BertWords.SpecialTokens.Where(token => !tokens.ContainsKey(token)).ToList();
        if (missing.Count > 0)
            throw new PipelineException($"{vocabularyPath}: lacks {string.Join(", ", missing)}; expected the vocab.txt of a BERT model.");

        var wordPiece = BertTokenizer.Create(new MemoryStream(Encoding.UTF8.GetBytes(canonical.ToString())), new BertOptions
        {
            // BertWords does this part, and bounds words in code points where the library counts UTF-16 units.
            ApplyBasicTokenization = false,
            LowerCaseBeforeTokenization = false,
            SplitOnSpecialTokens = false,
            MaxInputCharsPerWord = 2 * BertWords.MaxWordRunes,
        });
        return new PairTokenizer(wordPiece, tokens.Count, lowercase);
    }

    /// <summary>[CLS] query [SEP] passage [SEP], truncated and padded to <paramref name="maxLength"/> tokens.</summary>
    /// <exception cref="PipelineException">Under <see cref="TruncationStrategy.OnlySecond"/> the query leaves no room for any of the passage.</exception>
    public TokenizedInput Encode(string query, string passage, int maxLength, TruncationStrategy strategy)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxLength, 3);
        var (first, second) = (Ids(query), Ids(passage));
        var (firstLength, secondLength) = Truncate(first.Count, second.Count, maxLength - 3, strategy);
        return Assemble(maxLength, first, firstLength, second, secondLength);
    }

    /// <summary>Tokens of the whole pair, or of a single text, with [CLS] and [SEP]s and without truncation.</summary>
    public int Count(string text, string? passage = null) => passage is null ? Ids(text).Count + 2 : Ids(text).Count + Ids(passage).Count + 3;

    /// <summary>[CLS] text [SEP], truncated and padded to <paramref name="maxLength"/> tokens.</summary>
    public TokenizedInput Encode(string text, int maxLength)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxLength, 2);
        var ids = Ids(text);
        return Assemble(maxLength, ids, Math.Min(ids.Count, maxLength - 2), second: null, secondLength: 0);
    }

    private IReadOnlyList<int> Ids(string text) =>
        _wordPiece.EncodeToIds(BertWords.Split(text, _lowercase), addSpecialTokens: false, considerNormalization: false);

    /// <summary>Token counts that fit in <paramref name="room"/>. Longest first shortens the longer text down to the shorter, then both; an odd token goes to the longer, or to the second.</summary>
    private static (int First, int Second) Truncate(int first, int second, int room, TruncationStrategy strategy)
    {
        if (first + second <= room)
            return (first, second);
        if (strategy == TruncationStrategy.OnlySecond)
        {
            return first < room
                ? (first, room - first)
                : throw new PipelineException(
                    $"A query of {first} tokens leaves no room for its passage in {room + 3}; use truncation longest_first, a longer sequence or shorter queries.");
        }
        var shorter = Math.Min(Math.Min(first, second), room / 2);
        return first > second ? (room - shorter, shorter) : (shorter, room - shorter);
    }

    private TokenizedInput Assemble(int maxLength, IReadOnlyList<int> first, int firstLength, IReadOnlyList<int>? second, int secondLength)
    {
        var ids = new long[maxLength];
        var types = new long[maxLength];
        var length = 0;
        ids[length++] = ClassificationId;
        for (var i = 0; i < firstLength; i++)
            ids[length++] = first[i];
        ids[length++] = SeparatorId;
        if (second is not null)
        {
            var start = length;
            for (var i = 0; i < secondLength; i++)
                ids[length++] = second[i];
            ids[length++] = SeparatorId;
            types.AsSpan(start, length - start).Fill(1);
        }
        ids.AsSpan(length).Fill(PaddingId);
        var mask = new long[maxLength];
        mask.AsSpan(0, length).Fill(1);
        return new TokenizedInput(ids, mask, types, length);
    }
}
