using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.RegularExpressions;
using ModelPipeline.Chips;
using ModelPipeline.Inspection;
using ModelPipeline.Metrics;
using ModelPipeline.Rewrites;
using ModelPipeline.Tasks;

namespace ModelPipeline.Tests.Manifest;

/// <summary>models.schema.json with what follows from the code's lists written anew: the names of kinds, and a gate a metric. All else
/// stays as it is.</summary>
internal static partial class SchemaText
{
    private static readonly (string Path, IEnumerable<string> Names)[] Kinds =
    [
        ("definitions/model/properties/task", ModelTask.All.Select(task => task.Name)),
        ("definitions/model/properties/pooling", TokenPooling.All.Select(pooling => pooling.Name)),
        ("definitions/target", Chip.All.Select(chip => chip.Name)),
        ("definitions/rewrites/items", Pass.All.Select(pass => pass.Name).Prepend(Pass.FamiliesName)),
    ];

    public static string Of(string text)
    {
        foreach (var (path, names) in Kinds)
            text = With(text, $"{path}/enum", List(names));
        text = Families().Replace(text, string.Join(", ", Pass.Families.Select(pass => pass.Name)));
        return Gates().Replace(text, _ => string.Concat(Metric.All.Where(metric => metric.Kind != MetricKind.Compile).Select(Gate)));
    }

    /// <summary>With another value in the place of the one behind these keys.</summary>
    private static string With(string text, string path, string value)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        var reader = new Utf8JsonReader(bytes);
        reader.Read();
        foreach (var key in path.Split('/'))
        {
            while (reader.Read() && !reader.ValueTextEquals(key))
                reader.Skip();
            reader.Read();
        }
        var start = (int)reader.TokenStartIndex;
        reader.Skip();
        return Encoding.UTF8.GetString(bytes[..start]) + value + Encoding.UTF8.GetString(bytes[(int)reader.BytesConsumed..]);
    }

    private static string Gate(Metric metric)
    {
        var tasks = ModelTask.All.Where(task => task.Metrics.Contains(metric.Name)).Select(task => task.Name).ToList();
        var definition = "#/definitions/gate" + (metric.HasInterval ? "_with_confidence" : "");
        return $$"""
                        {{Text(metric.Name)}}: { "$ref": {{Text(definition)}}, "description": {{Text(metric.Description)}},
                """
            + (tasks.Count == 0 ? "" : $" \"x-tasks\": {List(tasks)},")
            + FormattableString.Invariant($" \"x-range\": [{Limit(metric.Low)}, {Limit(metric.High)}] }},\n");
    }

    private static string Limit(double? limit) => JsonSerializer.Serialize(limit);

    private static string List(IEnumerable<string> names) => $"[{string.Join(", ", names.Select(Text))}]";

    private static string Text(string text) =>
        JsonSerializer.Serialize(text, new JsonSerializerOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

    [GeneratedRegex(@"^(?: {8}""\w+"": \{ ""\$ref"": ""#/definitions/gate(?:_with_confidence)?"",.*\n)+", RegexOptions.Multiline)]
    private static partial Regex Gates();

    [GeneratedRegex("(?<=that some family of encoders needs and that do nothing elsewhere: )[^.]+")]
    private static partial Regex Families();
}
