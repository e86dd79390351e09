using System.Text.Json;
using System.Text.Json.Nodes;

namespace ModelPipeline.Manifest;

/// <summary>What the schema cannot say: references between parts of the file, and combinations. Passes over what the schema
/// refuses.</summary>
internal static class ManifestChecks
{
    private static readonly string[] SshOnly = ["host", "port", "user", "host_key", "identity_file"];
    private static readonly string[] ToolkitOnly = ["auto_hybrid", "one_file", "accuracy_analysis", "toolkit_simulator", "single_core"];

    /// <summary>Keys that say how an int8 is made.</summary>
    private static readonly string[] Int8Only = ["ranges", "hidden_split", "search"];

    /// <summary>Records every error in <paramref name="root"/>.</summary>
    public static void Check(JsonNode root, Diagnostics errors)
    {
        string[] corpora = [.. Names(Find(root, "corpora"))];
        string[] devices = [.. Names(ManifestSchema.BuiltIn["devices"]).Union(Names(Find(root, "devices")))];
        var defaults = Find(root, "defaults");

        Settings(defaults);
        GateChecks.Check(Find(defaults, "gates"), task: null, errors);
        foreach (var device in Mappings(Find(root, "devices")))
            Device(device, errors);
        foreach (var model in Mappings(Find(root, "models")))
        {
            Settings(model);
            Source(Find(model, "source"), errors);
            foreach (var key in new[] { "vocab", "file", "merges", "config", "special_tokens" })
                Source(Find(model, "tokenizer", key), errors);
            Answer(model, errors);
            if (!Has(Find(model, "calibration"), "corpus") && !Has(Find(defaults, "calibration"), "corpus"))
                errors.AddToKey(model, "'calibration.corpus' is missing here and under defaults: the name of one of the corpora");
            var task = Text(model, "task");
            GateChecks.Check(Find(model, "gates"), task, errors);
            foreach (var variant in Mappings(Find(model, "variants")))
            {
                Precision(variant, errors);
                GateChecks.Check(Find(variant, "gates"), task, errors);
                Toolkit(variant, errors);
                Int8(variant, task, errors);
                var toolkit =
                    Find(variant, "toolkit")
                    ?? Find(model, "toolkit")
                    ?? Find(defaults, "toolkit")
                    ?? Find(ManifestSchema.BuiltIn, "defaults", "toolkit");
                OneFile(
                    variant["one_file"] ?? Find(model, "one_file") ?? Find(defaults, "one_file"),
                    variant,
                    model,
                    TextOf(toolkit),
                    errors
                );
            }
            foreach (var pair in (Find(model, "measured") as JsonArray)?.OfType<JsonObject>() ?? [])
                Measured(pair, model, errors);
        }

        void Settings(JsonNode? owner)
        {
            Reference(Find(owner, "calibration", "corpus"), corpora, "corpora", errors);
            Reference(Find(owner, "validation", "corpus"), corpora, "corpora", errors);
            Reference(Find(owner, "validation", "device"), devices, "devices", errors);
        }
    }

    private static void Reference(JsonNode? name, string[] declared, string section, Diagnostics errors)
    {
        if (TextOf(name) is { } text && !declared.Contains(text) && !errors.IsFaulty(name!))
            errors.Add(
                name!,
                $"{errors.Quote(name!)} is none of the {section}: {string.Join(", ", declared)}{Spelling.Suggest(text, declared)}"
            );
    }

    private static void Device(JsonObject device, Diagnostics errors)
    {
        var kind = Text(device, "kind");
        if (kind == "ssh" && !Has(device, "host"))
            errors.AddToKey(device, "'host' is missing: a device of kind ssh needs it");
        string[] foreign = kind switch
        {
            "simulator" => [.. SshOnly, "runtime_library", "allow_old_runtime", "platform"],
            "local" => [.. SshOnly, "platform"],
            "ssh" => ["platform"],
            "loopback" => [.. SshOnly, "runtime_library", "allow_old_runtime"],
            _ => [],
        };
        foreach (var key in Names(device).Where(foreign.Contains))
            errors.AddToKey(device, key, $"a device of kind {kind} has no {key}");
    }

    private static void Source(JsonNode? source, Diagnostics errors)
    {
        if (source is JsonObject && !Has(source, "sha256") && Find(source, "url") is not null)
            errors.AddToKey(source, "'sha256' is missing: the SHA-256 of the file in hex, as sha256sum prints it");
        if (
            Find(source, "url") is { } url
            && TextOf(url) is { } text
            && !Uri.TryCreate(text, UriKind.Absolute, out _)
            && !errors.IsFaulty(url)
        )
            errors.Add(url, $"{errors.Quote(url)} is not a valid address");
    }

    /// <summary>Labels are a reranker's, pooling is an embedder's.</summary>
    private static void Answer(JsonObject model, Diagnostics errors)
    {
        var (task, output) = (Text(model, "task"), model["output"] as JsonObject);
        if (output?["label"] is not null && output["difference"] is { } difference)
            errors.Add(difference, "'difference' beside 'label': the score is one of the two");
        foreach (var key in Names(model).Where(key => task is "rerank" or "classify" && (key is "pooling" or "normalize")))
            errors.AddToKey(model, key, $"task {task} has no {key}: it is for task embed");
        foreach (var key in Names(output).Where(key => task is "embed" or "classify" && (key is "label" or "difference")))
            errors.AddToKey(output!, key, $"task {task} has no {key}: it is for task rerank");
    }

    private static void Precision(JsonObject variant, Diagnostics errors)
    {
        string[]? possible = Text(variant, "backend") switch
        {
            "rknn" or "simulator" => ["fp16", "w8a8"],
            "onnx" => ["fp32", "w8a8"],
            _ => null,
        };
        if (Text(variant, "precision") is "fp32" or "fp16" or "w8a8" && possible?.Contains(Text(variant, "precision")) == false)
            errors.Add(
                variant["precision"]!,
                $"backend {Text(variant, "backend")} builds {string.Join(" and ", possible)}, not {Text(variant, "precision")}"
            );
        if (variant["float_budget_mb"] is { } budget && (Text(variant, "backend"), Text(variant, "precision")) != ("onnx", "w8a8"))
            errors.Add(
                budget,
                "'float_budget_mb' is for backend onnx with precision w8a8; 'fp16' names what another int8 build keeps finer"
            );
    }

    /// <summary>Keys that only the toolkit understands.</summary>
    private static void Toolkit(JsonObject variant, Diagnostics errors)
    {
        if (Text(variant, "backend") == "onnx" && variant.ContainsKey("attention"))
            errors.AddToKey(variant, "attention", "backend onnx has no attention: it is for an NPU");
        foreach (var key in Names(variant).Where(ToolkitOnly.Contains))
        {
            if (Text(variant, "backend") is "onnx" or "simulator")
                errors.AddToKey(variant, key, $"backend {Text(variant, "backend")} has no {key}: it is the toolkit's, backend rknn");
            else if (key is "auto_hybrid" or "accuracy_analysis" && Text(variant, "precision") == "fp16")
                errors.AddToKey(variant, key, $"precision fp16 has no {key}: it tells what a w8a8 build loses");
        }
    }

    private static void Int8(JsonObject variant, string? task, Diagnostics errors)
    {
        foreach (var key in Names(variant).Where(Int8Only.Contains))
        {
            if (key == "ranges" && Text(variant, "backend") == "onnx")
                errors.AddToKey(variant, key, "backend onnx has no ranges: each run finds those of its own activations");
            else if (Text(variant, "precision") is "fp16" or "fp32")
                errors.AddToKey(variant, key, $"precision {Text(variant, "precision")} has no {key}: it tells how a w8a8 build is made");
        }
        if (variant["search"] is not JsonObject search)
            return;
        foreach (var key in Names(search).Where(key => key is "algorithms" or "methods" && Text(variant, "backend") == "onnx"))
            errors.AddToKey(search, key, $"backend onnx has no {key}: its search goes through rewrites alone");
        if (task is not null && search["maximise"] is { } metric && TextOf(metric) is { } name && !GateChecks.Of(task).Contains(name))
            errors.Add(
                metric,
                $"task {task} gives no {errors.Quote(metric)}; it gives {string.Join(", ", GateChecks.Of(task))}"
                    + Spelling.Suggest(name, [.. GateChecks.Of(task)])
            );
        foreach (var (key, of) in new[] { ("min_tau", "rerank"), ("min_cosine", "embed") })
        {
            if (search.ContainsKey(key) && task is not null && task != of)
                errors.AddToKey(search, key, $"task {task} has no {key}: it is for task {of}");
        }
    }

    /// <summary>Older toolkits fail in the middle of building several shapes of a BERT model into one file.</summary>
    private static void OneFile(JsonNode? setting, JsonObject variant, JsonObject model, string? toolkit, Diagnostics errors)
    {
        if (
            setting?.GetValueKind() == JsonValueKind.True
            && Text(variant, "backend") == "rknn"
            && Find(model, "shapes") is JsonArray several
            && several.OfType<JsonArray>().Select(shape => shape.FirstOrDefault()?.ToJsonString()).Distinct().Count() > 1
            && !errors.IsFaulty(setting)
        )
            errors.Add(
                setting,
                "shapes of different batches cannot be in one file: give all 'shapes' the same batch, or leave one_file out for one file "
                    + "a shape"
            );
        if (
            setting?.GetValueKind() == JsonValueKind.True
            && Text(variant, "backend") == "rknn"
            && Find(model, "shapes") is not JsonArray { Count: < 2 }
            && Version.TryParse(toolkit, out var version)
            && version < VariantSpec.FirstWithOneFile
            && !errors.IsFaulty(setting)
        )
            errors.Add(
                setting,
                $"toolkit {toolkit} cannot build several shapes into one file: set 'toolkit: {VariantSpec.FirstWithOneFile}', or leave "
                    + $"one_file out for one file a shape"
            );
    }

    /// <summary>A latency serves only with the compile report of what was measured.</summary>
    private static void Measured(JsonObject pair, JsonObject model, Diagnostics errors)
    {
        var isBuilt =
            Find(model, "shapes") is JsonArray shapes
            && shapes.Any(shape => JsonNode.DeepEquals(shape, pair["shape"]))
            && Mappings(Find(model, "variants"))
                .Any(variant => Text(variant, "backend") == "rknn" && Text(variant, "precision") == Text(pair, "precision"));
        if (!isBuilt)
            errors.AddToKey(
                pair,
                "no variant with backend rknn builds this shape and precision, so nothing can be estimated by it: add one, or take the "
                    + "pair out"
            );
    }

    private static JsonNode? Find(JsonNode? token, params ReadOnlySpan<string> path)
    {
        foreach (var key in path)
            token = (token as JsonObject)?[key];
        return token;
    }

    private static string? Text(JsonObject mapping, string key) => TextOf(mapping[key]);

    private static string? TextOf(JsonNode? node) => node is JsonValue value && value.TryGetValue(out string? text) ? text : null;

    /// <summary>Whether the key is there, be it with nothing behind it.</summary>
    private static bool Has(JsonNode? node, string key) => node is JsonObject mapping && mapping.ContainsKey(key);

    private static IEnumerable<string> Names(JsonNode? map) => (map as JsonObject)?.Select(entry => entry.Key) ?? [];

    private static IEnumerable<JsonObject> Mappings(JsonNode? map) =>
        (map as JsonObject)?.Select(entry => entry.Value).OfType<JsonObject>() ?? [];
}
