using System.Text;
using Microsoft.ML.Tokenizers;
using ModelPipeline.Core;

namespace ModelPipeline.Text.Tokenization;

/// <summary>What WordPiece is told besides its vocabulary.</summary>
/// <param name="Prefix">Of tokens that do not begin a word.</param>
/// <param name="LongestWord">Words of more code points are unknown as a whole.</param>
internal sealed record WordPieceOptions(string Unknown = "[UNK]", string Prefix = "##", int LongestWord = 100);

/// <summary>WordPiece: the longest token that fits, from left to right; a word with a part that none fits is unknown.</summary>
internal sealed class WordPieceModel : TokenModel
{
    private readonly WordPieceTokenizer _library;
    private readonly int _longestWord;

    /// <param name="vocabulary">Ids from 0 on, without a gap.</param>
    /// <param name="place">Named in errors.</param>
    public WordPieceModel(IReadOnlyDictionary<string, int> vocabulary, WordPieceOptions options, string place)
    {
        if (!vocabulary.TryGetValue(options.Unknown, out var unknown))
            throw new PipelineException($"{place}: the vocabulary lacks the unknown token '{options.Unknown}'.");
        (Vocabulary, UnknownId, _longestWord) = (vocabulary, unknown, options.LongestWord);
        var lines = new StringBuilder();
        foreach (var (index, (token, id)) in vocabulary.OrderBy(token => token.Value).Index())
        {
            if (id != index)
                throw new PipelineException($"{place}: no token has id {index}; expected ids from 0 to {vocabulary.Count - 1}.");
            if (token.AsSpan().ContainsAny('\r', '\n') || token.Length == 0)
                throw new PipelineException($"{place}: token {id} is empty or has a line break; no word piece does.");
            lines.Append(token).Append('\n');
        }
        _library = WordPieceTokenizer.Create(
            new MemoryStream(Encoding.UTF8.GetBytes(lines.ToString())),
            new Microsoft.ML.Tokenizers.WordPieceOptions
            {
                PreTokenizer = null,
                Normalizer = null,
                UnknownToken = options.Unknown,
                ContinuingSubwordPrefix = options.Prefix,
                // Code points are counted here; the library counts UTF-16 units.
                MaxInputCharsPerWord = 2 * options.LongestWord,
            }
        );
    }

    public override IReadOnlyDictionary<string, int> Vocabulary { get; }

    public override int? UnknownId { get; }

    protected override void Tokenize(ReadOnlyMemory<char> word, List<int> ids)
    {
        var length = 0;
        foreach (var _ in word.Span.EnumerateRunes())
        {
            if (++length > _longestWord)
                break;
        }
        if (length > _longestWord)
            ids.Add(UnknownId!.Value);
        else
            ids.AddRange(_library.EncodeToIds(word.Span, considerPreTokenization: false, considerNormalization: false));
    }
}
