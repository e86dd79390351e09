using ModelPipeline.Core;

namespace ModelPipeline.Text.Tokenization;

/// <summary>BERT's vocab.txt: one token a line, its id the line's index from 0.</summary>
internal static class BertVocabulary
{
    /// <summary>Largest acceptable vocabulary in characters; the largest BERT vocabularies, of half a million tokens, have some five
    /// million.</summary>
    private const int MaxVocabularyLength = 1 << 24;

    private static readonly string[] SpecialTokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

    public static TokenizerParts Read(string path, TokenizerSettings settings, TokenizerOptions options)
    {
        settings.RequireClass("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer");
        var tokens = new Dictionary<string, int>(StringComparer.Ordinal);
        var length = 0;
        foreach (var (number, token) in TextLines.Read(path))
        {
            if (token.Length == 0 || token.Contains('\r'))
                throw new PipelineException($"{path}:{number}: an empty token or a stray carriage return; expected one token a line.");
            if (length + token.Length > MaxVocabularyLength)
                throw new PipelineException(
                    $"{path}:{number}: longer than {MaxVocabularyLength} characters; expected the vocab.txt of a BERT model."
                );
            if (!tokens.TryAdd(token, tokens.Count))
                throw new PipelineException(
                    $"{path}:{number}: token '{token}' is on line {tokens[token] + 1} already; every token has one id."
                );
            length += token.Length + 1;
        }
        var specials = SpecialTokens
            .Zip(["pad_token", "unk_token", "cls_token", "sep_token", "mask_token"], (usual, name) => settings.Special(name) ?? usual)
            .ToList();
        var missing = specials.Where(token => !tokens.ContainsKey(token)).ToList();
        if (missing.Count > 0)
            throw new PipelineException($"{path}: lacks {string.Join(", ", missing)}; expected the vocab.txt of a BERT model.");

        var added = settings.Added() ?? [.. specials.Select(token => new AddedToken(token, tokens[token]))];
        if (added.FirstOrDefault(token => !tokens.TryGetValue(token.Content, out var id) || id != token.Id) is { } foreign)
            throw new PipelineException(
                $"{path}: the added token '{foreign.Content}' with id {foreign.Id} is not on line {foreign.Id + 1}; declare the model's "
                    + $"tokenizer.json instead."
            );
        return new TokenizerParts(
            Normalizer(settings, options),
            new BertPreTokenizer(),
            new WordPieceModel(tokens, new WordPieceOptions(specials[1]), path),
            added,
            RowTemplates.Bert(tokens[specials[2]], tokens[specials[3]])
        )
        {
            PaddingId = tokens[specials[0]],
        };
    }

    private static BertNormalizer Normalizer(TokenizerSettings settings, TokenizerOptions options)
    {
        var lowercase = Choose("do_lower_case", options.Lowercase) ?? true;
        return new BertNormalizer(
            CleanText: true,
            HandleChineseChars: Choose("tokenize_chinese_chars", options.TokenizeChineseChars) ?? true,
            StripAccents: Choose("strip_accents", options.StripAccents) ?? lowercase,
            Lowercase: lowercase
        );

        bool? Choose(string key, bool? option)
        {
            var declared = settings.Find(key);
            if (declared is { } place && option is { } wanted && place.Flag() != wanted)
                throw new PipelineException($"{place}: {place.Value}, but models.yaml says the contrary; leave it out there.");
            return option ?? declared?.Flag();
        }
    }
}
