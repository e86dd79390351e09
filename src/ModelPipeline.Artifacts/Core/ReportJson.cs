using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;

namespace ModelPipeline.Core;

/// <summary>Records of long tables: each takes one line of the JSON.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Struct)]
public sealed class OneLineAttribute : Attribute;

/// <summary>How the pipeline's own records are kept as JSON: snake_case, in the order of their declaration, indented with '\n', rows of
/// long tables one a line.</summary>
public static partial class ReportJson
{
    private static readonly JsonSerializerOptions Compact = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        Converters = { new JsonStringEnumConverter(new WordsOfModelsYaml(), allowIntegerValues: false) },
    };

    private static readonly JsonSerializerOptions Indented = new(Compact)
    {
        WriteIndented = true,
        NewLine = "\n",
        Converters = { new Rows() },
    };

    /// <summary>The same bytes for the same record, ending in '\n'.</summary>
    public static string Text<T>(T record) => JsonSerializer.Serialize(record, Indented) + "\n";

    /// <summary>The record as an object to look into or to change.</summary>
    internal static JsonObject Node<T>(T record) => JsonSerializer.SerializeToNode(record, Compact)!.AsObject();

    /// <summary>A record from one line of JSON.</summary>
    /// <exception cref="JsonException">It is no JSON or lacks a property.</exception>
    internal static T Parse<T>(string line) =>
        JsonSerializer.Deserialize<T>(line, Compact) ?? throw new JsonException("null where a record was expected.");

    /// <summary>Writes the record's text, atomically.</summary>
    public static void Write<T>(string path, T record) => AtomicFile.WriteText(path, Text(record));

    /// <exception cref="PipelineException">The file is missing, is no JSON, or lacks a property.</exception>
    public static T Read<T>(string path) => Read<T>(path, "Delete it and run the stage that makes it again.");

    /// <param name="path">The file.</param>
    /// <param name="advice">One sentence on how to mend it, for errors.</param>
    /// <exception cref="PipelineException">As above.</exception>
    public static T Read<T>(string path, string advice) => Read<T>(() => File.OpenRead(path), path, advice);

    /// <param name="json">Read to its end.</param>
    /// <param name="name">For errors.</param>
    /// <exception cref="PipelineException">It is no JSON or lacks a property.</exception>
    public static T Read<T>(Stream json, string name) => Read<T>(() => json, name, "It is damaged or of another version.");

    private static T Read<T>(Func<Stream> open, string name, string advice)
    {
        try
        {
            using var json = open();
            return JsonSerializer.Deserialize<T>(json, Indented) ?? throw new JsonException("null where a record was expected.");
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new PipelineException($"{name}: cannot be read as {typeof(T).Name}: {failure.Message} {advice}", inner: failure);
        }
    }

    private sealed class Rows : JsonConverterFactory
    {
        public override bool CanConvert(Type type) => type.IsDefined(typeof(OneLineAttribute), inherit: false);

        public override JsonConverter CreateConverter(Type type, JsonSerializerOptions options) =>
            (JsonConverter)Activator.CreateInstance(typeof(Row<>).MakeGenericType(type))!;
    }

    private sealed class Row<T> : JsonConverter<T>
    {
        public override T? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
            JsonSerializer.Deserialize<T>(ref reader, Compact);

        // A raw value gets no line of its own from the writer.
        public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) =>
            writer.WriteRawValue($"\n{new string(' ', 2 * writer.CurrentDepth)}{JsonSerializer.Serialize(value, Compact)}");
    }

    /// <summary>W8A8 is w8a8 and NotMeasured not_measured: a new word begins at a capital letter behind a small one.</summary>
    private sealed partial class WordsOfModelsYaml : JsonNamingPolicy
    {
        public override string ConvertName(string name) => WordStart().Replace(name, "_").ToLowerInvariant();

        [GeneratedRegex("(?<=[a-z])(?=[A-Z])")]
        private static partial Regex WordStart();
    }
}
