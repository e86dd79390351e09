using System.Text.Json;
using ModelPipeline.Core;

namespace ModelPipeline.Text.Tokenization;

/// <summary>A value of an untrusted JSON file, with the file and key that errors name.</summary>
/// <param name="File">Path of the file.</param>
/// <param name="Key">Keys from the root to the value; empty for the root.</param>
internal readonly record struct JsonPlace(string File, string Key, JsonElement Value)
{
    /// <summary>Largest acceptable file in bytes; vocabularies of a quarter million tokens take some 17 million.</summary>
    private const long MaxBytes = 1L << 27;

    public static JsonPlace Read(string file)
    {
        var bytes = TokenizerFile.ReadBytes(file, MaxBytes);
        try
        {
            return new JsonPlace(
                file,
                "",
                JsonDocument.Parse(bytes.AsMemory(bytes.AsSpan().StartsWith("\uFEFF"u8) ? 3 : 0)).RootElement
            ).Expect(JsonValueKind.Object);
        }
        catch (JsonException e)
        {
            throw new PipelineException($"{file}: not valid JSON: {e.Message}", inner: e);
        }
    }

    /// <summary>File and key.</summary>
    public override string ToString() => Key.Length == 0 ? File : $"{File}: {Key}";

    public JsonPlace this[string name] =>
        Find(name) ?? throw new PipelineException($"{this}: '{name}' is missing; take the file from the model's author again.");

    /// <summary>Null if the key is missing or null.</summary>
    public JsonPlace? Find(string name) =>
        Value.ValueKind == JsonValueKind.Object && Value.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null
            ? new JsonPlace(File, Key.Length == 0 ? name : $"{Key}.{name}", value)
            : null;

    public IEnumerable<JsonPlace> Items()
    {
        Expect(JsonValueKind.Array);
        var (file, key) = (File, Key);
        return Value.EnumerateArray().Select((item, index) => new JsonPlace(file, $"{key}[{index}]", item));
    }

    public int Count() => Expect(JsonValueKind.Array).Value.GetArrayLength();

    /// <summary>Name and value of each key; a key that is there twice is an error.</summary>
    public IEnumerable<(string Name, JsonPlace Value)> Properties()
    {
        var (place, seen) = (Expect(JsonValueKind.Object), new HashSet<string>(StringComparer.Ordinal));
        foreach (var property in place.Value.EnumerateObject())
        {
            var name = place.Wellformed(() => property.Name);
            if (!seen.Add(name))
                throw new PipelineException($"{place}: the key '{name}' is there twice.");
            yield return (name, new JsonPlace(place.File, $"{place.Key}.{name}", property.Value));
        }
    }

    public string Text()
    {
        var value = Expect(JsonValueKind.String).Value;
        return Wellformed(() => value.GetString()!);
    }

    public int Integer() =>
        Value.ValueKind == JsonValueKind.Number && Value.TryGetInt32(out var number) ? number : throw Unexpected("a whole number");

    public double Number() =>
        Value.ValueKind == JsonValueKind.Number && Value.TryGetDouble(out var number) && double.IsFinite(number)
            ? number
            : throw Unexpected("a finite number");

    public bool Flag() =>
        Value.ValueKind is JsonValueKind.True or JsonValueKind.False ? Value.GetBoolean() : throw Unexpected("true or false");

    public bool Flag(string name, bool otherwise) => Find(name)?.Flag() ?? otherwise;

    /// <summary>The refusal of what cannot be reproduced.</summary>
    public PipelineException Refused(string what) => new($"{this}: {what} is not supported; use a model whose tokenizer does without it.");

    private JsonPlace Expect(JsonValueKind kind) =>
        Value.ValueKind == kind
            ? this
            : throw Unexpected(
                kind switch
                {
                    JsonValueKind.Object => "an object",
                    JsonValueKind.Array => "a list",
                    JsonValueKind.String => "a text",
                    var other => other.ToString(),
                }
            );

    private PipelineException Unexpected(string expected)
    {
        var found = Value.GetRawText();
        return new PipelineException($"{this}: expected {expected}, found {(found.Length > 40 ? found[..40] + "..." : found)}.");
    }

    private string Wellformed(Func<string> read)
    {
        try
        {
            return read();
        }
        catch (InvalidOperationException e)
        {
            throw new PipelineException($"{this}: a text with an unpaired surrogate; expected Unicode text.", inner: e);
        }
    }
}
