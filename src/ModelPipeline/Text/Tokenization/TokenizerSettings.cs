using ModelPipeline.Core;

namespace ModelPipeline.Text.Tokenization;

/// <summary>tokenizer_config.json and special_tokens_map.json, of which either may be missing.</summary>
internal sealed class TokenizerSettings
{
    private const int MaxAdded = 100_000;

    private readonly JsonPlace? _config;
    private readonly JsonPlace? _map;

    private TokenizerSettings(JsonPlace? config, JsonPlace? map) => (_config, _map) = (config, map);

    /// <exception cref="PipelineException">Besides broken files: padding or truncation on the left.</exception>
    public static TokenizerSettings Read(TokenizerFiles files)
    {
        var settings = new TokenizerSettings(
            files.Config is { } config ? JsonPlace.Read(config) : null,
            files.SpecialTokens is { } map ? JsonPlace.Read(map) : null
        );
        foreach (var key in new[] { "padding_side", "truncation_side" })
        {
            if (settings.Find(key) is { } side && side.Text() != "right")
                throw side.Refused($"'{side.Text()}'");
        }
        return settings;
    }

    /// <summary>tokenizer_class without its Fast; null if it is not said.</summary>
    public string? Class
    {
        get
        {
            var name = Find("tokenizer_class")?.Text();
            return name?.EndsWith("Fast", StringComparison.Ordinal) == true ? name[..^4] : name;
        }
    }

    /// <exception cref="PipelineException">tokenizer_class is there and none of <paramref name="known"/>: another class makes other rows of
    /// the same vocabulary.</exception>
    public void RequireClass(params ReadOnlySpan<string> known)
    {
        if (Class is { } name && !known.Contains(name))
            throw new PipelineException(
                $"{Find("tokenizer_class")}: '{name}' is not supported without its tokenizer.json; declare that as file."
            );
    }

    /// <summary>A key of tokenizer_config.json that is there and not null.</summary>
    public JsonPlace? Find(string key) => _config?.Find(key);

    /// <summary>Content of a special token such as pad_token: tokenizer_config.json's, else special_tokens_map.json's.</summary>
    public string? Special(string name) => (_config?.Find(name) ?? _map?.Find(name)) is { } token ? ContentOf(token) : null;

    /// <summary>added_tokens_decoder of tokenizer_config.json, where ids are keys; null if there is none.</summary>
    public IReadOnlyList<AddedToken>? Added()
    {
        if (_config?.Find("added_tokens_decoder") is not { } declared)
            return null;
        var tokens = new List<AddedToken>();
        foreach (var (key, value) in declared.Properties())
        {
            if (!int.TryParse(key, out var id) || tokens.Count == MaxAdded)
                throw value.Refused(tokens.Count == MaxAdded ? $"more than {MaxAdded} added tokens" : $"the id '{key}'");
            tokens.Add(Token(value, id));
        }
        return tokens;
    }

    /// <summary>The flags of a special token that is declared as an object; null if it is not.</summary>
    public AddedToken? Declared(string name, int id) =>
        (_map?.Find(name) ?? _config?.Find(name)) is { Value.ValueKind: System.Text.Json.JsonValueKind.Object } token
            ? Token(token, id)
            : null;

    public static AddedToken Token(JsonPlace place, int id) =>
        new(
            place["content"].Text(),
            id,
            place.Flag("normalized", true),
            place.Flag("lstrip", false),
            place.Flag("rstrip", false),
            place.Flag("single_word", false)
        );

    /// <summary>The id of a token that has to be there.</summary>
    /// <param name="place">Where the vocabulary is from.</param>
    public int PaddingId(Func<string, int?> idOf, string place, string? otherwise = null)
    {
        var token =
            Special("pad_token")
            ?? otherwise
            ?? throw new PipelineException(
                $"{place}: which token pads is not said; declare its tokenizer_config.json or special_tokens_map.json, with pad_token."
            );
        return idOf(token) ?? throw new PipelineException($"{place}: the padding token '{token}' is not in the vocabulary.");
    }

    private static string ContentOf(JsonPlace token) =>
        token.Value.ValueKind == System.Text.Json.JsonValueKind.Object ? token["content"].Text() : token.Text();
}
