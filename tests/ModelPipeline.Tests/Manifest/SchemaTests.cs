using System.Text.Json;
using System.Text.Json.Nodes;
using Json.Pointer;
using Json.Schema;
using ModelPipeline.Chips;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Rewrites;
using ModelPipeline.Tasks;

namespace ModelPipeline.Tests.Manifest;

/// <summary>The schema file says what the code says, and says it for editors too.</summary>
public sealed class SchemaTests
{
    private static readonly JsonNode Schema = JsonNode.Parse(
        File.ReadAllText(Path.Combine(ManifestFile.RepositoryRoot, "pipeline", "schema", "models.schema.json"))
    )!;

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
    public void An_enum_has_the_values_of_its_type(Type type, string path) =>
        Assert.Equal(
            Enum.GetNames(type).Select(name => name.ToLowerInvariant()),
            At(path)!["enum"]!.AsArray().Select(value => ((string)value!).Replace("_", "").Replace("-", ""))
        );

    /// <summary>Each list of the code's is the file's: whoever adds a kind is told here what the file lacks.</summary>
    [Fact]
    public void Kinds_have_the_names_that_the_code_knows()
    {
        Assert.Equal(ModelTask.All.Select(task => task.Name), Names("/definitions/model/properties/task"));
        Assert.Equal(Chip.All.Select(chip => chip.Name), Names("/definitions/target"));
        Assert.Equal([Pass.FamiliesName, .. Pass.All.Select(pass => pass.Name)], Names("/definitions/rewrites/items"));

        static IEnumerable<string?> Names(string path) => Values(At(path)!["enum"]);
    }

    [Fact]
    public void Gates_are_those_of_the_metrics_with_their_range_and_the_tasks_that_give_them()
    {
        foreach (var metric in Metric.All.Where(metric => metric.Kind != MetricKind.Compile))
        {
            var gate = At($"/definitions/gates/properties/{metric.Name}")!;
            Assert.Equal((metric.Low, metric.High), ((double?)gate["x-range"]![0], (double?)gate["x-range"]![1]));
            Assert.Equal(
                ModelTask.All.Where(task => task.Metrics.Contains(metric.Name)).Select(task => task.Name),
                Values(gate["x-tasks"])
            );
            Assert.Equal(metric.Kind == MetricKind.Accuracy, gate["x-tasks"] is not null);
            Assert.Equal($"#/definitions/gate{(metric.HasInterval ? "_with_confidence" : "")}", (string?)gate["$ref"]);
        }
        Assert.All(ModelTask.All, task => Assert.Empty(task.Headline.Except(task.Metrics)));
    }

    private static IEnumerable<string?> Values(JsonNode? list) => list?.AsArray().Select(each => (string?)each) ?? [];

    [Fact]
    public void Gates_have_the_names_that_reports_know()
    {
        Assert.Equal(
            [
                "ndcg_at_10",
                "ndcg_at_10_tie_averaged",
                "mrr_at_10",
                "recall_at_5",
                "recall_at_10",
                "kendall_tau",
                "spearman",
                "top1_agreement",
                "top3_agreement",
                "tied_pairs",
                "distinct_scores",
                "max_score_difference",
                "mean_score_difference",
                "within_query_residual",
                "cosine_mean",
                "cosine_min",
                "similarity_spearman",
                "accuracy",
                "macro_f1",
                "label_agreement",
                "size_mb",
                "latency_mean_ms",
                "latency_p50_ms",
                "latency_p95_ms",
                "latency_p99_ms",
                "request_p50_ms",
                "request_p95_ms",
                "compile",
            ],
            At("/definitions/gates/properties")!.AsObject().Select(gate => gate.Key)
        );
    }

    [Fact]
    public void Poolings_are_those_that_the_inspection_knows() =>
        Assert.Equal(
            ModelPipeline.Inspection.TokenPooling.All.Select(pooling => pooling.Name),
            At("/definitions/model/properties/pooling/enum")!.AsArray().Select(name => (string?)name)
        );

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
        foreach (var property in At($"/definitions/{whole}/properties")!.AsObject())
            if (property.Value!["default"] is { } stated)
                Assert.True(JsonNode.DeepEquals(stated, At($"/definitions/{whole}/default/{property.Key}")), property.Key);
    }

    [Fact]
    public void Every_enum_is_compared_with_something_here() =>
        // Nine types above, four lists of kinds, parts of types (precisions that can be measured, platforms of loopback devices), and the one
        // word that both kinds of slices have.
        Assert.Equal(17, Objects(Schema).Count(each => each.ContainsKey("enum")));

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
