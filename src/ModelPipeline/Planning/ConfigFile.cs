using System.Text.Json;
using ModelPipeline.Core;

namespace ModelPipeline.Planning;

/// <summary>What a config.json says of a model before anything else of it is there.</summary>
/// <param name="Name">model_type.</param>
/// <param name="Encoder">Sizes.</param>
/// <param name="Risks">What may cost a build or its speed, one sentence each.</param>
public sealed record ConfigFile(string Name, EncoderShape Encoder, IReadOnlyList<string> Risks)
{
    private const int MostBytes = 1 << 20;
    private const int Largest = 1 << 24;

    /// <summary>Reads the file as transformers writes it, with the names of BERT or of DistilBERT.</summary>
    /// <exception cref="PipelineException">It is no encoder's config.json.</exception>
    public static ConfigFile Read(string path)
    {
        try
        {
            using var stream = File.OpenRead(path);
            if (stream.Length > MostBytes)
                throw Wrong(path, $"larger than {MostBytes >> 20} MB");
            using var json = JsonDocument.Parse(stream);
            return json.RootElement.ValueKind == JsonValueKind.Object ? Read(json.RootElement, path) : throw Wrong(path, "no JSON object");
        }
        catch (Exception failure) when (failure is JsonException or IOException or UnauthorizedAccessException)
        {
            throw Wrong(path, failure.Message);
        }
    }

    private static ConfigFile Read(JsonElement root, string path)
    {
        var encoder = new EncoderShape(
            Size("num_hidden_layers", "n_layers"),
            Size("hidden_size", "dim"),
            Size("num_attention_heads", "n_heads"),
            Size("intermediate_size", "hidden_dim")
        )
        {
            Vocabulary = Size("vocab_size"),
            Positions = Optional("max_position_embeddings") ?? 0,
        };
        if (encoder.Hidden % encoder.Heads != 0)
            throw Wrong(path, $"hidden_size {encoder.Hidden} is no multiple of num_attention_heads {encoder.Heads}");
        var type = Text("model_type");
        return new(type.Length > 0 ? type : "?", encoder, RisksOf(type, root, encoder));

        int Size(params string[] names) =>
            names.Select(Optional).FirstOrDefault(size => size is not null)
            ?? throw Wrong(path, $"'{string.Join("' or '", names)}' is missing: a whole number above 0");

        int? Optional(string name)
        {
            if (!root.TryGetProperty(name, out var value))
                return null;
            return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var size) && size is > 0 and <= Largest
                ? size
                : throw Wrong(path, $"'{name}' is no whole number from 1 to {Largest}");
        }

        string Text(string name) =>
            root.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString()! : "";
    }

    private static IReadOnlyList<string> RisksOf(string type, JsonElement root, EncoderShape encoder)
    {
        var text = root.GetRawText();
        bool Has(string part) => text.Contains(part, StringComparison.Ordinal);
        List<string> risks = ["Gathers of the embeddings and casts of the mask run on the CPU, as in every model of the toolkit."];
        if (type is "bert" or "roberta" or "xlm-roberta" or "electra" or "camembert" && Has("ForSequenceClassification"))
            risks.Add("The Tanh before the classifier flattens large values: in int8 keep the head in fp16 ('fp16: [head]').");
        if (type is "roberta" or "xlm-roberta" or "camembert" or "mpnet")
            risks.Add(
                "Positions are computed from the ids by CumSum, which the toolkit leaves to the CPU: the rewrite 'positions' makes them "
                    + "constants; two of the position table's rows are taken."
            );
        if (type is "deberta" or "deberta-v2")
            risks.Add(
                "Relative positions are gathered within attention: large Slices run on the CPU at 512 tokens, and times are not covered "
                    + "by the estimate."
            );
        if (type is "nomic_bert" or "modernbert" or "gte" or "new")
            risks.Add("Rotary positions and gated FFNs are not counted: the estimate is too low.");
        if (type == "albert")
            risks.Add("Layers share their weights, which the file has once for each: the estimate's megabytes are too low.");
        if (encoder.Vocabulary > short.MaxValue)
            risks.Add(
                $"Ids go up to {encoder.Vocabulary - 1}: a runtime's wrapper that casts them to int16 loses those above {short.MaxValue}."
            );
        risks.Add("The toolkit takes opset 19 at most: Prepare lowers newer exports where their operators have an older form.");
        return risks;
    }

    private static PipelineException Wrong(string path, string what) =>
        new(
            $"{path}: not the config.json of an encoder: {what}. It needs num_hidden_layers, hidden_size, num_attention_heads, "
                + $"intermediate_size and vocab_size.",
            PipelineException.ConfigurationError
        );
}
