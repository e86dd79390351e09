using ModelPipeline.Core;

namespace ModelPipeline.Text.Tokenization;

/// <summary>RoBERTa's vocab.json and merges.txt: byte-level BPE.</summary>
internal static class RobertaVocabulary
{
    private const int MaxMerges = 2_000_000;

    private static readonly (string Name, string Usual)[] SpecialTokens =
    [
        ("cls_token", "<s>"),
        ("pad_token", "<pad>"),
        ("sep_token", "</s>"),
        ("unk_token", "<unk>"),
        ("mask_token", "<mask>"),
    ];

    public static TokenizerParts Read(JsonPlace root, string merges, TokenizerSettings settings)
    {
        settings.RequireClass("RobertaTokenizer");
        var vocabulary = TokenizerJson.Vocabulary(root);
        var specials = SpecialTokens.ToDictionary(token => token.Name, token => settings.Special(token.Name) ?? token.Usual);
        foreach (var token in specials.Values)
        {
            if (!vocabulary.ContainsKey(token))
                throw new PipelineException(
                    $"{root.File}: lacks {token}; expected the vocab.json of a RoBERTa model, else declare the model's tokenizer.json."
                );
        }
        var added =
            settings.Added()
            ??
            [
                .. specials.Select(token =>
                    settings.Declared(token.Key, vocabulary[token.Value]) ?? Usual(token.Key, token.Value, vocabulary[token.Value])
                ),
            ];
        if (added.FirstOrDefault(token => !vocabulary.TryGetValue(token.Content, out var id) || id != token.Id) is { } foreign)
            throw new PipelineException(
                $"{root.File}: the added token '{foreign.Content}' with id {foreign.Id} is another there; declare the model's "
                    + $"tokenizer.json instead."
            );
        var prefix = settings.Find("add_prefix_space")?.Flag() ?? false;
        return new TokenizerParts(
            null,
            new ByteLevelPreTokenizer(prefix, new CodePointRegex(ByteLevelPreTokenizer.DefaultPattern, root.File)),
            new BytePairModel(vocabulary, Merges(merges), ignoreMerges: false, merges),
            added,
            RowTemplates.Roberta(vocabulary[specials["cls_token"]], vocabulary[specials["sep_token"]])
        )
        {
            PaddingId = vocabulary[specials["pad_token"]],
        };
    }

    /// <summary>The flags that the reference's RoBERTa has where no file says.</summary>
    private static AddedToken Usual(string name, string content, int id) =>
        name == "mask_token" ? new AddedToken(content, id, LeftStrip: true) : new AddedToken(content, id, Normalized: true);

    /// <summary>One pair a line by rank, behind a line of the version.</summary>
    private static List<(string, string)> Merges(string path)
    {
        var merges = new List<(string, string)>();
        foreach (var (number, line) in TextLines.Read(path))
        {
            if (line.StartsWith("#version", StringComparison.Ordinal) || line.Length == 0)
                continue;
            if (line.Split(' ') is not [var first, var second] || merges.Count == MaxMerges)
                throw new PipelineException($"{path}:{number}: expected two tokens with a space between, and at most {MaxMerges} lines.");
            merges.Add((first, second));
        }
        return merges;
    }
}
