using ModelPipeline.Core;

namespace ModelPipeline.Text.Tokenization;

/// <summary>All that turns texts into rows, as some files declare it.</summary>
/// <param name="Normalizer">Null changes nothing.</param>
/// <param name="PreTokenizer">Null leaves texts whole.</param>
/// <param name="Added">In the order in which equal spellings count.</param>
internal sealed record TokenizerParts(
    Normalizer? Normalizer,
    PreTokenizer? PreTokenizer,
    TokenModel Model,
    IReadOnlyList<AddedToken> Added,
    RowTemplate Template
)
{
    public required int PaddingId { get; init; }

    /// <summary>Token type of padding.</summary>
    public int PaddingType { get; init; }

    /// <summary>Reads files of any kind.</summary>
    /// <exception cref="PipelineException">A file is broken, or asks for what cannot be reproduced; the message names file and
    /// key.</exception>
    public static TokenizerParts Read(TokenizerFiles files, TokenizerOptions options)
    {
        var settings = TokenizerSettings.Read(files);
        switch (TokenizerFile.KindOf(files.Vocabulary))
        {
            case TokenizerFileKind.SentencePiece:
                Refuse(files.Merges, "merges.txt belongs to a vocab.json");
                RefuseOptions(options, files.Vocabulary);
                return SentencePieceFile.Read(files.Vocabulary, settings);
            case TokenizerFileKind.Text:
                Refuse(files.Merges, "merges.txt belongs to a vocab.json");
                return BertVocabulary.Read(files.Vocabulary, settings, options);
            case TokenizerFileKind.Json:
                RefuseOptions(options, files.Vocabulary);
                var root = JsonPlace.Read(files.Vocabulary);
                if (root.Find("model") is { Value.ValueKind: System.Text.Json.JsonValueKind.Object })
                {
                    Refuse(files.Merges, "a tokenizer.json has its merges in it");
                    return TokenizerJson.Read(root, settings);
                }
                var merges =
                    files.Merges
                    ?? throw new PipelineException($"{files.Vocabulary}: a vocab.json needs its merges.txt; declare it as merges.");
                return RobertaVocabulary.Read(root, merges, settings);
        }
        throw new InvalidOperationException();
    }

    private static void Refuse(string? path, string why)
    {
        if (path is not null)
            throw new PipelineException($"{path}: {why}; leave it out.");
    }

    private static void RefuseOptions(TokenizerOptions options, string path)
    {
        if (options != new TokenizerOptions())
            throw new PipelineException(
                $"{path}: lowercase, strip_accents and tokenize_chinese_chars are for a vocab.txt; this file has its own, so leave them "
                    + $"out and declare it as file."
            );
    }
}
