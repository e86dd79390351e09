using ModelPipeline.Manifest;
using Newtonsoft.Json.Linq;

namespace ModelPipeline.Tests.Manifest;

/// <summary>The schema file says what the code says, and says it for editors too.</summary>
public sealed class SchemaTests
{
    private static readonly JObject Schema =
        JObject.Parse(File.ReadAllText(Path.Combine(ManifestFile.RepositoryRoot, "pipeline", "schema", "models.schema.json")));

    [Theory]
    [InlineData(typeof(ModelTask), "definitions.model.properties.task")]
    [InlineData(typeof(DeviceKind), "definitions.device.properties.kind")]
    [InlineData(typeof(TruncationStrategy), "definitions.model.properties.tokenizer.properties.truncation")]
    [InlineData(typeof(CalibrationStrategy), "definitions.calibration.properties.strategy")]
    [InlineData(typeof(Backend), "definitions.variant.properties.backend")]
    [InlineData(typeof(Precision), "definitions.variant.properties.precision")]
    [InlineData(typeof(QuantizationAlgorithm), "definitions.algorithm")]
    [InlineData(typeof(QuantizationMethod), "definitions.method")]
    public void An_enum_has_the_values_of_its_type(Type type, string path) => Assert.Equal(
        Enum.GetNames(type).Select(name => name.ToLowerInvariant()),
        Schema.SelectToken(path)!["enum"]!.Select(value => ((string)value!).Replace("_", "")));

    [Fact]
    public void Every_enum_is_compared_with_something_here() =>
        // Eight types above, and the two open lists: targets of the toolkit and names of passes.
        Assert.Equal(10, Schema.Descendants().OfType<JProperty>().Count(property => property.Name == "enum"));

    [Fact]
    public void The_embedded_schema_is_the_file() => Assert.Equal(
        Schema["definitions"]!["rewrites"]!["default"], ManifestSchema.BuiltIn["defaults"]!["rewrites"], JToken.EqualityComparer);

    [Fact]
    public void Every_object_is_closed_and_every_property_explained()
    {
        foreach (var definition in Schema.DescendantsAndSelf().OfType<JObject>().Where(each => (string?)each["type"] == "object"))
            Assert.False((bool)(definition["additionalProperties"] ?? throw new Xunit.Sdk.XunitException($"{definition.Path} is open")), definition.Path);
        foreach (var property in Schema.Descendants().OfType<JProperty>().Where(each => each.Name == "properties").SelectMany(each => ((JObject)each.Value).Properties()))
        {
            var explained = property.Value["description"] ?? Schema.SelectToken(((string)property.Value["$ref"]!)[2..].Replace('/', '.'))!["description"];
            Assert.False(string.IsNullOrWhiteSpace((string?)explained), property.Path);
        }
    }

    [Fact]
    public void Stated_defaults_satisfy_their_own_schema_as_a_whole()
    {
        var defaults = ManifestSchema.BuiltIn.ToString();
        var manifest = ManifestFile.Load(ManifestFile.Text[ManifestFile.Text.IndexOf("corpora:", StringComparison.Ordinal)..]
            .Replace("task: rerank", "task: rerank\n    calibration: { corpus: sample }") + "\n" + Flow("defaults") + "\n" + Flow("devices") + "\n");
        Assert.Equal(["fold-shapes", "mask"], manifest.Models[0].Variants[0].Rewrites);

        string Flow(string key) => $"{key}: {ManifestSchema.BuiltIn[key]!.ToString(Newtonsoft.Json.Formatting.None)}";
    }
}
