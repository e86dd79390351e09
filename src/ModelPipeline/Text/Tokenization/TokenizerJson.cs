using System.Text.Json;
using ModelPipeline.Core;

namespace ModelPipeline.Text.Tokenization;

/// <summary>The tokenizer.json of the tokenizers library.</summary>
internal static class TokenizerJson
{
    private const int MaxTokens = 2_000_000,
        MaxAdded = 100_000;

    public static TokenizerParts Read(JsonPlace root, TokenizerSettings settings)
    {
        foreach (var section in new[] { "truncation", "padding" })
        {
            if (root.Find(section)?.Find("direction") is { } direction && direction.Text() != "Right")
                throw direction.Refused($"'{direction.Text()}'");
        }
        var normalizer = StepReader.Normalizer(root.Find("normalizer"));
        RequireAgreement(normalizer, root, settings);
        var model = Model(root["model"]);
        var words = StepReader.PreTokenizer(root.Find("pre_tokenizer"));
        if (model is BytePairModel && words is not (ByteLevelPreTokenizer or PreTokenizerSequence { Steps: [.., ByteLevelPreTokenizer] }))
            throw root["model"].Refused("BPE without a pre_tokenizer ByteLevel at its end");
        if (
            words is ByteLevelPreTokenizer { AddPrefixSpace: var prefixed }
            && settings.Find("add_prefix_space") is { } declared
            && declared.Flag() != prefixed
        )
            throw Contrary(declared, root, "pre_tokenizer");
        var added = Added(root.Find("added_tokens"), model);
        var ids = added.ToDictionary(token => token.Content, token => token.Id, StringComparer.Ordinal);
        var padding = root.Find("padding");
        return new TokenizerParts(normalizer, words, model, added, StepReader.Template(root.Find("post_processor")))
        {
            PaddingId = settings.PaddingId(
                token => ids.TryGetValue(token, out var id) || model.Vocabulary.TryGetValue(token, out id) ? id : null,
                root.File,
                padding?.Find("pad_token")?.Text()
            ),
            PaddingType = padding?.Find("pad_type_id")?.Integer() ?? 0,
        };
    }

    private static TokenModel Model(JsonPlace model)
    {
        // Files of tokenizers 0.8 and older have no type; only BPE has merges, only Unigram a list of pieces.
        var type = model.Find("type")?.Text() ?? (model.Find("merges") is null ? "WordPiece" : "BPE");
        switch (type)
        {
            case "WordPiece":
                var options = new WordPieceOptions();
                return new WordPieceModel(
                    Vocabulary(model["vocab"]),
                    new WordPieceOptions(
                        model.Find("unk_token")?.Text() ?? options.Unknown,
                        model.Find("continuing_subword_prefix")?.Text() ?? options.Prefix,
                        model.Find("max_input_chars_per_word") is { } longest ? WordLength(longest) : options.LongestWord
                    ),
                    model.ToString()
                );
            case "BPE":
                foreach (var key in new[] { "unk_token", "continuing_subword_prefix", "end_of_word_suffix" })
                {
                    if (model.Find(key) is { } text && text.Text().Length > 0)
                        throw text.Refused($"'{text.Text()}' of BPE");
                }
                if (model.Find("dropout") is { } dropout && dropout.Number() != 0)
                    throw dropout.Refused("dropout");
                if (model.Flag("byte_fallback", false))
                    throw model["byte_fallback"].Refused("byte_fallback of BPE");
                return new BytePairModel(
                    Vocabulary(model["vocab"]),
                    Merges(model["merges"]),
                    model.Flag("ignore_merges", false),
                    model.ToString()
                );
            case "Unigram":
                var vocabulary = model["vocab"];
                if (vocabulary.Count() > MaxTokens)
                    throw vocabulary.Refused($"more than {MaxTokens} tokens");
                var pieces = vocabulary
                    .Items()
                    .Select(piece =>
                        piece.Items().ToList() is [var token, var score]
                            ? (token.Text(), score.Number())
                            : throw piece.Refused("anything but a token and its score")
                    )
                    .ToList();
                return new UnigramModel(pieces, model["unk_id"].Integer(), model.Flag("byte_fallback", false), model.ToString());
            default:
                throw model["type"].Refused($"the model '{type}'");
        }
    }

    private static int WordLength(JsonPlace place) =>
        place.Integer() is > 0 and <= 100_000 and var length ? length : throw place.Refused("a length that is not 1 to 100,000");

    /// <summary>Token and id of each key.</summary>
    public static Dictionary<string, int> Vocabulary(JsonPlace place)
    {
        var vocabulary = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var (token, value) in place.Properties())
        {
            if (vocabulary.Count == MaxTokens)
                throw place.Refused($"more than {MaxTokens} tokens");
            vocabulary.Add(token, value.Integer() is >= 0 and < 2 * MaxTokens and var id ? id : throw value.Refused("an id out of range"));
        }
        return vocabulary;
    }

    /// <summary>Pairs by rank: lists of two since tokenizers 0.20, before texts with a space between.</summary>
    private static List<(string, string)> Merges(JsonPlace place)
    {
        if (place.Count() > MaxTokens)
            throw place.Refused($"more than {MaxTokens} merges");
        return
        [
            .. place
                .Items()
                .Select(merge =>
                {
                    if (merge.Value.ValueKind == JsonValueKind.String)
                        return merge.Text().Split(' ') is [var first, var second]
                            ? (first, second)
                            : throw merge.Refused("anything but two tokens with a space between");
                    return merge.Items().ToList() is [var left, var right]
                        ? (left.Text(), right.Text())
                        : throw merge.Refused("anything but two tokens");
                }),
        ];
    }

    /// <summary>Special tokens first, as the reference orders them. Their ids are checked, for the reference takes its own where they
    /// differ.</summary>
    private static List<AddedToken> Added(JsonPlace? found, TokenModel model)
    {
        if (found is not { } place)
            return [];
        if (place.Count() > MaxAdded)
            throw place.Refused($"more than {MaxAdded} added tokens");
        var tokens = new List<(AddedToken Token, bool Special)>();
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        var next = model.Vocabulary.Count;
        foreach (var item in place.Items())
        {
            var token = TokenizerSettings.Token(item, item["id"].Integer());
            if (token.Content.Length == 0)
                throw item.Refused("an empty added token");
            if (!model.Vocabulary.TryGetValue(token.Content, out var expected) && !ids.TryGetValue(token.Content, out expected))
                expected = next++;
            if (expected != token.Id)
            {
                throw new PipelineException(
                    $"{item["id"]}: '{token.Content}' is declared as {token.Id}, but would get {expected} by its place; take the file "
                        + $"from the model's author again."
                );
            }
            if (!ids.TryAdd(token.Content, token.Id))
                throw item.Refused($"'{token.Content}' twice");
            tokens.Add((token, item.Flag("special", false)));
        }
        return [.. tokens.OrderByDescending(token => token.Special).Select(token => token.Token)];
    }

    /// <summary>A tokenizer_config.json that contradicts the normalizer would win in the reference's Python part, and lose in
    /// others.</summary>
    private static void RequireAgreement(Normalizer? normalizer, JsonPlace root, TokenizerSettings settings)
    {
        if (normalizer is not BertNormalizer bert)
            return;
        foreach (
            var (key, value) in new[]
            {
                ("do_lower_case", bert.Lowercase),
                ("strip_accents", bert.StripAccents),
                ("tokenize_chinese_chars", bert.HandleChineseChars),
            }
        )
        {
            if (settings.Find(key) is { } declared && declared.Flag() != value)
                throw Contrary(declared, root, "normalizer");
        }
    }

    private static PipelineException Contrary(JsonPlace declared, JsonPlace root, string section) =>
        new($"{declared}: {declared.Value}, but {root.File} has the contrary in its {section}; make the two agree.");
}
