using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Sources;

/// <summary>What one model is made of.</summary>
/// <param name="Source">The model file.</param>
/// <param name="Vocab">The tokenizer's vocabulary.</param>
/// <param name="Settings">The model's entry of models.yaml with defaults and environment applied, without the two sources.</param>
public sealed record LockedModel(LockedSource Source, LockedSource Vocab, JsonObject Settings)
{
    /// <summary>The tokenizer's other files, by key of models.yaml; null if there are none.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public SortedDictionary<string, LockedSource>? Tokenizer { get; init; }

    /// <summary>Files of the model's repository that say what models.yaml leaves open, by name; null if there are none.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public SortedDictionary<string, LockedSource>? Beside { get; init; }

    /// <summary>Files with data of the model's tensors, by location; null if it is one file.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public SortedDictionary<string, LockedSource>? Data { get; init; }

    internal bool HasSourcesOf(LockedModel? other) =>
        Source == other?.Source
        && Vocab == other.Vocab
        && (Tokenizer ?? []).SequenceEqual(other.Tokenizer ?? [])
        && (Beside ?? []).SequenceEqual(other.Beside ?? [])
        && (Data ?? []).SequenceEqual(other.Data ?? []);

    internal static SortedDictionary<string, LockedSource>? ByKey(IEnumerable<(string Key, LockedSource Source)> sources) =>
        sources.ToDictionary(each => each.Key, each => each.Source) is { Count: > 0 } found ? new(found, StringComparer.Ordinal) : null;
}

/// <summary><c>models.lock.json</c> beside models.yaml: what is open there, such as the commit of a branch, written down once and then held
/// to.</summary>
/// <param name="Version">Of this format: 1.</param>
/// <param name="Models">By name.</param>
public sealed record ModelsLock(int Version, SortedDictionary<string, LockedModel> Models)
{
    public const string FileName = "models.lock.json";

    /// <summary>Plans of models with <c>shapes: auto</c>, by name; null if there are none.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public SortedDictionary<string, FrozenPlan>? Plans { get; init; }

    /// <summary>What Search chose for variants with <c>search</c>, by "model:variant"; null if there is none.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public SortedDictionary<string, Int8Recipe>? Recipes { get; init; }

    private const int CurrentVersion = 1;

    public static ModelsLock Empty => new(CurrentVersion, new(StringComparer.Ordinal));

    public static string PathFor(ModelsManifest manifest) => Path.Combine(Path.GetDirectoryName(manifest.Path)!, FileName);

    /// <summary>An empty lock if there is no such file.</summary>
    /// <exception cref="PipelineException">The file is damaged or of another version.</exception>
    public static ModelsLock Load(string path)
    {
        if (!File.Exists(path))
            return Empty;
        var read = ReportJson.Read<ModelsLock>(path, $"It holds the pins of all models: restore it, as with 'git checkout -- {FileName}'.");
        return read.Version == CurrentVersion
            ? read with
            {
                Models = new(read.Models, StringComparer.Ordinal),
            }
            : throw new PipelineException(
                $"{path}: version is {read.Version}, but this program knows {CurrentVersion}; use the program that wrote it, whose pins "
                    + $"it holds.",
                PipelineException.ConfigurationError
            );
    }

    /// <summary>Writes the file, atomically; the same bytes for the same content.</summary>
    public void Write(string path)
    {
        AtomicFile.DeleteRemains(path);
        ReportJson.Write(path, this);
    }

    /// <summary>What is locked of a model's settings: all but its sources, and without what only forces work.</summary>
    public static JsonObject SettingsOf(ModelSpec model)
    {
        var settings = ReportJson.Node(
            model with
            {
                Calibration = model.Calibration with { Regenerate = false },
                Variants = [.. model.Variants.Select(variant => (variant.Written?.Over(variant) ?? variant) with { Force = false })],
            }
        );
        settings.Remove("source");
        if (model.ShapesAreAuto)
            settings["shapes"] = "auto";
        settings["tokenizer"]!.AsObject().Remove("vocab");
        return settings;
    }

    /// <summary>How a source is named in the lock.</summary>
    public static string NameOf(SourceSpec source, ModelsManifest manifest) =>
        source switch
        {
            { HuggingFace: { } hub } => $"huggingface:{hub.Repo}@{hub.Revision}:{hub.File}",
            { Url: { } url } => HttpSource.Shown(url),
            _ => Path.GetRelativePath(Path.GetDirectoryName(manifest.Path)!, source.File!).Replace('\\', '/'),
        };

    /// <summary>One line for each value that differs, such as <c>tiny.settings.calibration.samples: 100 -> 50</c>.</summary>
    public static IReadOnlyList<string> Changes(string model, LockedModel? from, LockedModel to)
    {
        if (from is null)
            return [$"{model}: new, {to.Source.From} {to.Source.Commit ?? to.Source.Sha256}"];
        var before = Leaves(model, ReportJson.Node(from)).ToDictionary();
        var after = Leaves(model, ReportJson.Node(to)).ToDictionary();
        return
        [
            .. before
                .Keys.Union(after.Keys)
                .Where(key => before.GetValueOrDefault(key) != after.GetValueOrDefault(key))
                .Select(key => $"{key}: {before.GetValueOrDefault(key) ?? "(none)"} -> {after.GetValueOrDefault(key) ?? "(none)"}"),
        ];
    }

    private static IEnumerable<KeyValuePair<string, string>> Leaves(string path, JsonNode? node) =>
        node switch
        {
            JsonObject map => map.SelectMany(entry => Leaves($"{path}.{entry.Key}", entry.Value)),
            JsonArray { Count: > 0 } list when list.All(item => KeyOf(item) is not null) => list.SelectMany(item =>
                Leaves($"{path}.{KeyOf(item)}", item)
            ),
            _ => [new(path, node?.ToJsonString() ?? "null")],
        };

    /// <summary>What the entry is called in models.yaml, where such lists are maps.</summary>
    private static string? KeyOf(JsonNode? item) => item is JsonObject entry ? (string?)(entry["name"] ?? entry["metric"]) : null;
}
