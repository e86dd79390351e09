using Newtonsoft.Json.Linq;

namespace ModelPipeline.Manifest;

/// <summary>What the schema cannot say: references between parts of the file, and combinations. Passes over what the schema refuses.</summary>
internal static class ManifestChecks
{
    private static readonly string[] SshOnly = ["host", "port", "user", "host_key", "identity_file"];
    private static readonly Version FirstWithDynamicInput = new(2, 5, 0);
    private static readonly string[] ToolkitOnly = ["auto_hybrid", "dynamic_input", "accuracy_analysis", "toolkit_simulator"];

    /// <summary>Records every error in <paramref name="root"/>.</summary>
    public static void Check(JToken root, Diagnostics errors)
    {
        string[] corpora = [.. Names(Find(root, "corpora"))];
        string[] devices = [.. Names(ManifestSchema.BuiltIn["devices"]).Union(Names(Find(root, "devices")))];
        var defaults = Find(root, "defaults");

        Settings(defaults);
        foreach (var device in Mappings(Find(root, "devices")))
            Device(device, errors);
        foreach (var model in Mappings(Find(root, "models")))
        {
            Settings(model);
            Source(Find(model, "source"), errors);
            foreach (var key in new[] { "vocab", "file", "merges", "config", "special_tokens" })
                Source(Find(model, "tokenizer", key), errors);
            Answer(model, errors);
            if ((Find(model, "calibration", "corpus") ?? Find(defaults, "calibration", "corpus")) is null)
                errors.AddTo(model, "'calibration.corpus' is missing here and under defaults: the name of one of the corpora");
            foreach (var variant in Mappings(Find(model, "variants")))
            {
                Precision(variant, errors);
                Toolkit(variant, errors);
                DynamicInput(variant, model, (string?)(Find(variant, "toolkit") ?? Find(model, "toolkit") ?? Find(defaults, "toolkit") ?? Find(ManifestSchema.BuiltIn, "defaults", "toolkit")), errors);
            }
            foreach (var pair in (Find(model, "measured") as JArray)?.OfType<JObject>() ?? [])
                Measured(pair, model, errors);
        }

        void Settings(JToken? owner)
        {
            Reference(Find(owner, "calibration", "corpus"), corpora, "corpora", errors);
            Reference(Find(owner, "validation", "corpus"), corpora, "corpora", errors);
            Reference(Find(owner, "validation", "device"), devices, "devices", errors);
        }
    }

    private static void Reference(JToken? name, string[] declared, string section, Diagnostics errors)
    {
        if (name is JValue { Value: string text } && !declared.Contains(text) && !errors.IsFaulty(name))
            errors.Add(name, $"{AsWritten.Quote(name)} is none of the {section}: {string.Join(", ", declared)}{Spelling.Suggest(text, declared)}");
    }

    private static void Device(JObject device, Diagnostics errors)
    {
        var kind = Text(device, "kind");
        if (kind == "ssh" && device["host"] is null)
            errors.AddTo(device, "'host' is missing: a device of kind ssh needs it");
        string[] foreign = kind switch
        {
            "simulator" => [.. SshOnly, "runtime_library", "allow_old_runtime", "platform"],
            "local" => [.. SshOnly, "platform"],
            "ssh" => ["platform"],
            "loopback" => [.. SshOnly, "runtime_library", "allow_old_runtime"],
            _ => [],
        };
        foreach (var property in device.Properties().Where(property => foreign.Contains(property.Name)))
            errors.Add(property, $"a device of kind {kind} has no {property.Name}");
    }

    private static void Source(JToken? source, Diagnostics errors)
    {
        if (source is JObject && Find(source, "sha256") is null && (Find(source, "file") ?? Find(source, "url")) is not null)
            errors.AddTo(source, "'sha256' is missing: the SHA-256 of the file in hex, as sha256sum prints it");
        if (Find(source, "url") is JValue { Value: string text } url && !Uri.TryCreate(text, UriKind.Absolute, out _) && !errors.IsFaulty(url))
            errors.Add(url, $"{AsWritten.Quote(url)} is not a valid address");
    }

    /// <summary>Labels are a reranker's, pooling is an embedder's.</summary>
    private static void Answer(JObject model, Diagnostics errors)
    {
        var (task, output) = (Text(model, "task"), model["output"] as JObject);
        if (output?["label"] is not null && output["difference"] is { } difference)
            errors.Add(difference, "'difference' beside 'label': the score is one of the two");
        JToken?[] foreign = task switch
        {
            "rerank" => [model["pooling"], model["normalize"]],
            "embed" => [output?["label"], output?["difference"]],
            _ => [],
        };
        foreach (var property in foreign.Select(value => value?.Parent).OfType<JProperty>())
            errors.Add(property, $"task {task} has no {property.Name}: it is for task {(task == "embed" ? "rerank" : "embed")}");
    }

    private static void Precision(JObject variant, Diagnostics errors)
    {
        string[]? possible = Text(variant, "backend") switch
        {
            "rknn" or "simulator" => ["fp16", "w8a8"],
            "onnx" => ["fp32", "w8a8"],
            _ => null,
        };
        if (Text(variant, "precision") is "fp32" or "fp16" or "w8a8" && possible?.Contains(Text(variant, "precision")) == false)
            errors.Add(variant["precision"]!, $"backend {Text(variant, "backend")} builds {string.Join(" and ", possible)}, not {Text(variant, "precision")}");
        if (variant["float_budget_mb"] is { } budget && (Text(variant, "backend"), Text(variant, "precision")) != ("onnx", "w8a8"))
            errors.Add(budget, "'float_budget_mb' is for backend onnx with precision w8a8; 'fp16' names what another int8 build keeps finer");
    }

    /// <summary>Keys that only the toolkit understands.</summary>
    private static void Toolkit(JObject variant, Diagnostics errors)
    {
        foreach (var property in variant.Properties().Where(property => ToolkitOnly.Contains(property.Name)))
        {
            if (Text(variant, "backend") is "onnx" or "simulator")
                errors.Add(property, $"backend {Text(variant, "backend")} has no {property.Name}: it is the toolkit's, backend rknn");
            else if (property.Name is "auto_hybrid" or "accuracy_analysis" && Text(variant, "precision") == "fp16")
                errors.Add(property, $"precision fp16 has no {property.Name}: it tells what a w8a8 build loses");
        }
    }

    /// <summary>Older toolkits fail in the middle of building several shapes of a BERT model into one file.</summary>
    private static void DynamicInput(JObject variant, JObject model, string? toolkit, Diagnostics errors)
    {
        if (variant["dynamic_input"] is JValue { Value: true } setting && Find(model, "shapes") is JArray { Count: > 1 } && Version.TryParse(toolkit, out var version) && version < FirstWithDynamicInput)
            errors.Add(setting, $"toolkit {toolkit} cannot build several shapes into one file: set 'toolkit: {FirstWithDynamicInput}', or leave dynamic_input out for one file a shape");
    }

    /// <summary>A latency serves only with the compile report of what was measured.</summary>
    private static void Measured(JObject pair, JObject model, Diagnostics errors)
    {
        var isBuilt = Find(model, "shapes") is JArray shapes && shapes.Any(shape => JToken.DeepEquals(shape, pair["shape"]))
            && Mappings(Find(model, "variants")).Any(variant => Text(variant, "backend") == "rknn" && Text(variant, "precision") == Text(pair, "precision"));
        if (!isBuilt)
            errors.AddTo(pair, "no variant with backend rknn builds this shape and precision, so nothing can be estimated by it: add one, or take the pair out");
    }

    private static JToken? Find(JToken? token, params ReadOnlySpan<string> path)
    {
        foreach (var key in path)
            token = (token as JObject)?[key];
        return token;
    }

    private static string? Text(JObject mapping, string key) => (mapping[key] as JValue)?.Value as string;

    private static IEnumerable<string> Names(JToken? map) => (map as JObject)?.Properties().Select(property => property.Name) ?? [];

    private static IEnumerable<JObject> Mappings(JToken? map) => (map as JObject)?.PropertyValues().OfType<JObject>() ?? [];
}
