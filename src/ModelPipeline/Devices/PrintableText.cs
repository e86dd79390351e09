using System.Text.Json;
using System.Text.Json.Serialization;

namespace ModelPipeline.Devices;

/// <summary>Text that a device sent, without what would move a terminal's cursor, colour its lines or turn its words around.</summary>
internal sealed class PrintableText : JsonConverter<string>
{
    public override string? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.GetString() is { } text ? Of(text) : null;

    public override void Write(Utf8JsonWriter writer, string value, JsonSerializerOptions options) => writer.WriteStringValue(value);

    public override string ReadAsPropertyName(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        Of(reader.GetString()!);

    public override void WriteAsPropertyName(Utf8JsonWriter writer, string value, JsonSerializerOptions options) =>
        writer.WritePropertyName(value);

    /// <summary>Lines stay; each other control character (C0, DEL, C1) and each of Unicode's marks of direction becomes U+FFFD.</summary>
    public static string Of(string text) =>
        string.Create(
            text.Length,
            text,
            static (result, source) =>
            {
                for (var i = 0; i < source.Length; i++)
                    result[i] = source[i] is '\n' or '\t' || !IsControl(source[i]) ? source[i] : '\uFFFD';
            }
        );

    private static bool IsControl(char c) =>
        char.IsControl(c) || c is (>= '\u200E' and <= '\u200F') or (>= '\u202A' and <= '\u202E') or (>= '\u2066' and <= '\u2069');
}
