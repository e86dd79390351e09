using System.Text.Json;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Inspection;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;

namespace ModelPipeline.Proposals;

/// <summary>What config.json says of a model besides its sizes.</summary>
/// <param name="Type">model_type, such as bert; empty if it is not said.</param>
/// <param name="Architecture">The first, such as BertForSequenceClassification; empty if it is not said.</param>
/// <param name="Labels">Names of id2label by id; empty if it has none.</param>
/// <param name="Positions">max_position_embeddings; null if it is not said.</param>
internal sealed record ConfigFacts(string Type, string Architecture, IReadOnlyList<string> Labels, int? Positions)
{
    /// <summary>Kinds whose position table keeps rows for padding and what is before it.</summary>
    private static readonly string[] PositionsBehindPadding = ["roberta", "xlm-roberta", "camembert", "mpnet"];

    private const int PaddingRows = 2;

    /// <summary>Tokens that the positions reach for; null if nothing is said.</summary>
    public int? Tokens => PositionsBehindPadding.Contains(Type) ? Positions - PaddingRows : Positions;

    /// <exception cref="PipelineException">The file is no JSON object.</exception>
    public static ConfigFacts Read(string path)
    {
        using var document = SettingsFile.Parse(path);
        var root = document.RootElement;
        return new ConfigFacts(
            SettingsFile.Text(root, "model_type") ?? "",
            root.TryGetProperty("architectures", out var list) && list.ValueKind == JsonValueKind.Array
                ? list.EnumerateArray().Select(name => name.ValueKind == JsonValueKind.String ? name.GetString()! : "").FirstOrDefault("")
                : "",
            root.TryGetProperty("id2label", out var labels) && labels.ValueKind == JsonValueKind.Object
                ?
                [
                    .. labels
                        .EnumerateObject()
                        .OrderBy(label => int.TryParse(label.Name, out var id) ? id : int.MaxValue)
                        .Select(label => label.Value.ToString()),
                ]
                : [],
            SettingsFile.Number(root, "max_position_embeddings")
        );
    }
}

/// <summary>One of the files with settings that lie beside a model.</summary>
internal static class SettingsFile
{
    /// <summary>More than any has.</summary>
    public const long MaxBytes = 1 << 20;

    /// <exception cref="PipelineException">The file is no JSON object.</exception>
    public static JsonDocument Parse(string path)
    {
        try
        {
            var document = JsonDocument.Parse(File.ReadAllBytes(path));
            if (document.RootElement.ValueKind == JsonValueKind.Object)
                return document;
            document.Dispose();
            throw new PipelineException($"{path}: expected a JSON object; take the file from the model's author again.");
        }
        catch (JsonException e)
        {
            throw new PipelineException($"{path}: not JSON: {e.Message}; take the file from the model's author again.", inner: e);
        }
    }

    public static string? Text(JsonElement owner, string key) =>
        owner.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    /// <summary>A whole number above 0; null for anything else, as the 1e30 that stands for no limit.</summary>
    public static int? Number(JsonElement owner, string key) =>
        owner.TryGetProperty(key, out var value)
        && value.ValueKind == JsonValueKind.Number
        && value.TryGetInt32(out var number)
        && number > 0
            ? number
            : null;
}

/// <summary>What a sentence-transformers model wants before its texts, by config_sentence_transformers.json.</summary>
/// <param name="Prefixes">Null if it wants nothing.</param>
/// <param name="Others">Names of prompts that are neither for queries nor for passages.</param>
internal sealed record PromptFacts(TextPrefixes? Prefixes, IReadOnlyList<string> Others)
{
    private static readonly string[] OfQueries = ["query", "retrieval.query", "search_query", "s2p_query"],
        OfPassages = ["passage", "document", "retrieval.passage", "search_document", "corpus"];

    public static PromptFacts None { get; } = new(null, []);

    /// <exception cref="PipelineException">The file is no JSON object.</exception>
    public static PromptFacts Read(string path)
    {
        using var document = SettingsFile.Parse(path);
        if (!document.RootElement.TryGetProperty("prompts", out var prompts) || prompts.ValueKind != JsonValueKind.Object)
            return None;
        var usual = SettingsFile.Text(document.RootElement, "default_prompt_name") is { } name ? SettingsFile.Text(prompts, name) : null;
        var query = First(OfQueries) ?? usual ?? "";
        var passage = First(OfPassages) ?? usual ?? "";
        return new PromptFacts(
            query.Length + passage.Length > 0 ? new TextPrefixes(query, passage) : null,
            [.. prompts.EnumerateObject().Select(prompt => prompt.Name).Except(OfQueries).Except(OfPassages)]
        );

        string? First(string[] names) => names.Select(each => SettingsFile.Text(prompts, each)).FirstOrDefault(text => text is not null);
    }
}

/// <summary>The tokenizer's files as models.yaml declares them.</summary>
/// <param name="Files">By key of models.yaml: vocab or file first.</param>
/// <param name="Kind">What they are, for people.</param>
internal sealed record TokenizerFacts(IReadOnlyList<(string Key, SourceSpec Source)> Files, string Kind);

/// <summary>The corpus that the entry names.</summary>
/// <param name="Name">Of models.yaml.</param>
/// <param name="Described">Where it comes from, a clause.</param>
/// <param name="IsJudged">It has qrels.</param>
internal sealed record CorpusFacts(string Name, string Described, bool IsJudged);

/// <summary>How long the corpus' texts are in this model's tokens, and how many there are.</summary>
/// <param name="Units">Queries or texts over which figures are means.</param>
internal sealed record LengthFacts(int Median, int Share99, int Longest, int Count, int Units)
{
    /// <param name="tokens">Of the texts that were counted; at least one.</param>
    /// <param name="texts">In all.</param>
    /// <param name="units">See <see cref="Units"/>.</param>
    public static LengthFacts Of(IEnumerable<int> tokens, int texts, int units)
    {
        int[] sorted = [.. tokens.Order()];
        return new(sorted[sorted.Length / 2], sorted[Math.Min(sorted.Length - 1, sorted.Length * 99 / 100)], sorted[^1], texts, units);
    }
}

/// <summary>All that was found out about a model that models.yaml does not have yet.</summary>
internal sealed record ModelFacts
{
    /// <summary>Where it is from, for people.</summary>
    public required string Origin { get; init; }

    /// <summary>What it will be called.</summary>
    public required string Name { get; init; }
    public required SourceSpec Source { get; init; }
    public required TokenizerFacts Tokenizer { get; init; }

    /// <summary>Of the ONNX file.</summary>
    public required IReadOnlyList<ValueInfo> Outputs { get; init; }

    /// <summary>Null without config.json.</summary>
    public ConfigFacts? Config { get; init; }

    /// <summary>Null without modules.json and 1_Pooling/config.json.</summary>
    public SentenceTransformersFiles? Sentence { get; init; }
    public PromptFacts Prompts { get; init; } = PromptFacts.None;

    /// <summary>Most tokens that any of its files allows; null if none says so.</summary>
    public int? MostTokens { get; init; }

    /// <summary>SPDX identifier; null if it is not said.</summary>
    public string? Licence { get; init; }

    /// <summary>rknn-toolkit2 is set up here.</summary>
    public bool HasToolkit { get; init; }

    /// <summary>Statements for people, in the order in which they were found.</summary>
    public IReadOnlyList<string> Found { get; init; } = [];
}
