using System.Text.Json;
using System.Text.Json.Nodes;
using Json.Pointer;
using Json.Schema;
using ModelPipeline.Manifest;
using ModelPipeline.Tasks;

namespace ModelPipeline.Tests.Manifest;

/// <summary>The schema file says what the code says, and says it for editors too.</summary>
public sealed class SchemaTests
{
    private static readonly string SchemaFile = Path.Combine(ManifestFile.RepositoryRoot, "pipeline", "schema", "models.schema.json");

    private static readonly string Text = File.ReadAllText(SchemaFile);

    private static readonly JsonNode Schema = JsonNode.Parse(Text)!;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(typeof(DeviceKind), "/definitions/device/properties/kind")]
    [InlineData(typeof(TruncationStrategy), "/definitions/model/properties/tokenizer/properties/truncation")]
    [InlineData(typeof(CalibrationStrategy), "/definitions/calibration/properties/strategy")]
    [InlineData(typeof(Backend), "/definitions/variant/properties/backend")]
    [InlineData(typeof(Precision), "/definitions/variant/properties/precision")]
    [InlineData(typeof(QuantizationAlgorithm), "/definitions/algorithm")]
    [InlineData(typeof(QuantizationMethod), "/definitions/method")]
    [InlineData(typeof(AttentionForm), "/definitions/attention")]
    [InlineData(typeof(RangeClip), "/definitions/variant/properties/ranges/properties/clip")]
    [InlineData(typeof(WithoutDevice), "/definitions/model/properties/release/properties/without_device")]
    public void An_enum_has_the_values_of_its_type(Type type, string path) =>
        Assert.Equal(
            Enum.GetNames(type).Select(name => name.ToLowerInvariant()),
            At(path)!["enum"]!.AsArray().Select(value => ((string)value!).Replace("_", "").Replace("-", ""))
        );

    /// <summary>Kinds and gates stand in the code's lists; the file has them for editors.</summary>
    [Fact]
    public void Names_of_kinds_and_gates_are_what_the_lists_make_of_the_file()
    {
        var approved = SchemaText.Of(Text);
        var received = Path.Combine(AppContext.BaseDirectory, "models.schema.json");
        File.WriteAllText(received, approved);
        Assert.True(Text == approved, $"The lists have changed, and {SchemaFile} has not. If that is meant: cp {received} {SchemaFile}");
    }

    [Theory]
    [InlineData("\"rk3588\", ", "")]
    [InlineData("\"rerank\", \"embed\"", "\"embed\", \"rerank\"")]
    [InlineData("positions, nan-guard", "positions")]
    [InlineData("\"x-range\": [-1, 1]", "\"x-range\": [0, 1]")]
    [InlineData("        \"mrr_at_10\": { \"$ref\"", "        \"mrr_at_20\": { \"$ref\"")]
    public void What_differs_from_the_lists_is_written_anew(string right, string wrong)
    {
        Assert.Contains(right, Text);
        Assert.Equal(Text, SchemaText.Of(Text.Replace(right, wrong)));
    }

    [Fact]
    public void The_headline_of_a_task_is_among_its_figures() =>
        Assert.All(ModelTask.All, task => Assert.Empty(task.Headline.Except(task.Metrics)));

    [Fact]
    public void The_calibration_override_has_the_range_of_the_file() =>
        Assert.Equal(
            (1, ManifestOverrides.MaxSamples),
            (
                (int)At("/definitions/calibration/properties/samples/minimum")!,
                (int)At("/definitions/calibration/properties/samples/maximum")!
            )
        );

    [Fact]
    public void Defaults_stated_at_a_property_are_those_stated_for_the_whole()
    {
        foreach (var whole in new[] { "calibration", "validation", "latency", "decide" })
        {
            foreach (var (key, property) in At($"/definitions/{whole}/properties")!.AsObject())
            {
                if (property!["default"] is { } stated)
                    Assert.True(JsonNode.DeepEquals(stated, At($"/definitions/{whole}/default/{key}")), key);
            }
        }
    }

    /// <summary>Ten types above, four lists of kinds in <see cref="SchemaText"/>, parts of types (precisions that can be
    /// measured, platforms of loopback devices), and the one word that both kinds of slices have.</summary>
    [Fact]
    public void Every_enum_is_compared_with_something_here() => Assert.Equal(18, Objects(Schema).Count(each => each.ContainsKey("enum")));

    [Fact]
    public void The_embedded_schema_is_the_file() =>
        Assert.True(JsonNode.DeepEquals(At("/definitions/rewrites/default"), ManifestSchema.BuiltIn["defaults"]!["rewrites"]));

    [Fact]
    public async Task An_editor_finds_no_fault_in_models_yaml_as_it_is_written()
    {
        var written = YamlDocument.Read(
            await File.ReadAllTextAsync(Path.Combine(ManifestFile.RepositoryRoot, "models.yaml"), Cancellation),
            new Diagnostics("models.yaml")
        )!;
        Assert.Contains("${", written.ToString());
        Assert.True(JsonSchema.FromText(Schema.ToString()).Evaluate(JsonSerializer.SerializeToElement(written)).IsValid);
    }

    [Fact]
    public void Every_object_is_closed_and_every_property_explained()
    {
        // What describes a value says its type; "properties" and "default" hold names.
        foreach (var definition in Objects(Schema).Where(each => each["type"] is JsonValue type && (string?)type == "object"))
            Assert.False(
                (bool)(definition["additionalProperties"] ?? throw new Xunit.Sdk.XunitException($"{definition.GetPath()} is open")),
                definition.GetPath()
            );
        foreach (
            var (_, property) in Objects(Schema)
                .Where(each => each.Parent is JsonObject && each.GetPropertyName() == "properties")
                .SelectMany(each => each)
        )
        {
            var explained = property!["description"] ?? At(((string)property["$ref"]!)[1..])!["description"];
            Assert.False(string.IsNullOrWhiteSpace((string?)explained), property.GetPath());
        }
    }

    [Fact]
    public void Stated_defaults_satisfy_their_own_schema_as_a_whole()
    {
        var manifest = ManifestFile.Load(
            ManifestFile
                .Text[ManifestFile.Text.IndexOf("corpora:", StringComparison.Ordinal)..]
                .Replace("task: rerank", "task: rerank\n    calibration: { corpus: sample }")
                + "\n"
                + Flow("defaults")
                + "\n"
                + Flow("devices")
                + "\n"
        );
        Assert.Equal(["families"], manifest.Models[0].Variants[0].Rewrites);

        string Flow(string key) => $"{key}: {ManifestSchema.BuiltIn[key]!.ToJsonString()}";
    }

    private static JsonNode? At(string pointer) => JsonPointer.Parse(pointer).TryEvaluate(Schema, out var found) ? found : null;

    private static IEnumerable<JsonObject> Objects(JsonNode? node) =>
        node switch
        {
            JsonObject mapping => mapping.SelectMany(entry => Objects(entry.Value)).Prepend(mapping),
            JsonArray list => list.SelectMany(Objects),
            _ => [],
        };
}
