using System.Text.Json.Nodes;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;

namespace ModelPipeline.Manifest;

/// <summary>Makes the records from a document that satisfies the schema.</summary>
internal static class ManifestBinder
{
    /// <summary>Of hidden-split, whose name without a number stands for it.</summary>
    private const int DefaultChannels = 16;

    public static ModelsManifest Bind(JsonObject file, string path, ManifestOverrides overrides)
    {
        var defaults = Merge((JsonObject)ManifestSchema.BuiltIn["defaults"]!, (JsonObject?)file["defaults"] ?? []);
        var devices = Union((JsonObject)ManifestSchema.BuiltIn["devices"]!, (JsonObject?)file["devices"] ?? []);
        var folder = Path.GetDirectoryName(path)!;
        return new ModelsManifest
        {
            Path = path,
            Devices = Named(devices, (name, json) => Device(name, json, folder)).ToDictionary(device => device.Name),
            Corpora = Named(file["corpora"]!, (name, json) => Corpus(name, json, folder)).ToDictionary(corpus => corpus.Name),
            Models = [.. Named(file["models"]!, (name, json) => Model(name, json, defaults, folder, overrides))],
            Quantize = overrides.Quantize,
        };
    }

    private static DeviceSpec Device(string name, JsonObject json, string folder)
    {
        var kind = Enum<DeviceKind>(json["kind"]!);
        var device = new DeviceSpec
        {
            Name = name,
            Kind = kind,
            Host = (string?)json["host"],
            User = (string?)json["user"],
            HostKey = (string?)json["host_key"],
            IdentityFile = FilePath(folder, json["identity_file"]),
            RuntimeLibrary = kind == DeviceKind.Ssh ? (string?)json["runtime_library"] : FilePath(folder, json["runtime_library"]),
            Limits = Limits(json["limits"]),
            AllowOldRuntime = (bool?)json["allow_old_runtime"] ?? false,
            Platform = (string?)json["platform"],
        };
        return json["port"] is { } port ? device with { Port = (int)port } : device;
    }

    private static DeviceLimits Limits(JsonNode? json)
    {
        var defaults = new DeviceLimits();
        return new DeviceLimits
        {
            Connect = Seconds("connect", defaults.Connect),
            Load = Seconds("load", defaults.Load),
            Answer = Seconds("answer", defaults.Answer),
            Busy = Seconds("busy", defaults.Busy),
        };

        TimeSpan Seconds(string name, TimeSpan otherwise) => json?[name] is { } seconds ? TimeSpan.FromSeconds((double)seconds) : otherwise;
    }

    private static CorpusSpec Corpus(string name, JsonObject json, string folder) =>
        new()
        {
            Name = name,
            Passages = FilePath(folder, json["passages"])!,
            Queries = FilePath(folder, json["queries"])!,
            Qrels = FilePath(folder, json["qrels"]),
            Candidates = FilePath(folder, json["candidates"])!,
        };

    private static ModelSpec Model(string name, JsonObject own, JsonObject defaults, string folder, ManifestOverrides overrides)
    {
        var json = Merge(defaults, own);
        var calibration = json["calibration"]!;
        var validation = json["validation"]!;
        var latency = json["latency"]!;
        var decide = json["decide"]!;
        var corpus = (string)calibration["corpus"]!;
        return new ModelSpec
        {
            Name = name,
            Version = (string)json["version"]!,
            Task = (string)json["task"]!,
            Default = (bool?)json["default"] ?? true,
            Licence = (string?)json["licence"],
            Languages = json["language"] is { } languages ? Names(languages) : [],
            Datasets = json["datasets"] is { } datasets ? Names(datasets) : [],
            Source = Source(json["source"]!, folder),
            Tokenizer = Tokenizer(json["tokenizer"]!, folder),
            Output = json["output"] is { } output
                ? new OutputSpec(
                    (string?)output["name"],
                    (int?)output["label"],
                    output["difference"] is { } labels ? [.. Items(labels).Select(label => (int)label)] : null
                )
                : null,
            Pooling = (string?)json["pooling"],
            Normalize = (bool?)json["normalize"],
            Shapes = json["shapes"] is JsonArray shapes ? [.. Items(shapes).Select(Shape)] : [],
            ShapesAreAuto = json["shapes"] is not JsonArray,
            Plan = new PlanSpec((double?)json["plan"]?["disk_mb"], (double?)json["plan"]?["memory_mb"]),
            Calibration = new CalibrationSpec
            {
                Corpus = corpus,
                Samples = overrides.CalibrationSamples ?? (int)calibration["samples"]!,
                Seed = (int)calibration["seed"]!,
                Strategy = Enum<CalibrationStrategy>(calibration["strategy"]!),
                Regenerate = overrides.RegenerateDataset ?? false,
            },
            Validation = new ValidationSpec
            {
                Corpus = (string?)validation["corpus"] ?? corpus,
                Queries = (int?)validation["queries"],
                Device = (string)validation["device"]!,
            },
            Latency = new LatencySpec
            {
                Passages = (int)latency["passages"]!,
                Requests = (int)latency["requests"]!,
                WarmUp = (int)latency["warm_up"]!,
                Profile = (bool)latency["profile"]!,
                Again = overrides.MeasureAgain ?? false,
            },
            Variants = [.. Named(json["variants"]!, (variant, settings) => Variant(variant, Merge(json, settings), folder, overrides))],
            Measured =
            [
                .. Items(json["measured"])
                    .Select(pair => new MeasuredSpec(Shape(pair["shape"]!), Enum<Precision>(pair["precision"]!), (double)pair["ms"]!)),
            ],
            Decision = new DecisionSpec
            {
                LatencyP95Ms = (double)decide["latency_p95_ms"]!,
                Npu = decide["npu"] is { } npu ? Strings(npu) : null,
                Cpu = decide["cpu"] is { } cpu ? Strings(cpu) : null,
            },
            Release = json["release"] is { } release ? Release(release) : new ReleaseSpec(),
        };
    }

    private static ReleaseSpec Release(JsonNode json) =>
        new()
        {
            Repository = (string?)json["repository"],
            ApiUrl = json["api_url"] is { } api ? new Uri((string)api!) : null,
            WithoutDevice = json["without_device"] is { } policy ? Enum<WithoutDevice>(policy) : new ReleaseSpec().WithoutDevice,
        };

    private static VariantSpec Variant(string name, JsonObject json, string folder, ManifestOverrides overrides)
    {
        var variant = OfKeys(name, json, folder, overrides);
        return variant with
        {
            OneFile =
                variant.Backend == Backend.Rknn
                && ((bool?)json["one_file"] ?? (VariantSpec.CanShareFile(variant.Toolkit) && !variant.IsHybrid)),
        };
    }

    private static VariantSpec OfKeys(string name, JsonObject json, string folder, ManifestOverrides overrides) =>
        new()
        {
            Name = name,
            Backend = Enum<Backend>(json["backend"]!),
            Precision = Enum<Precision>(json["precision"]!),
            Algorithm = Enum<QuantizationAlgorithm>(json["algorithm"]!),
            Method = Enum<QuantizationMethod>(json["method"]!),
            Target = (string)json["target"]!,
            OptimizationLevel = (int)json["optimization_level"]!,
            Toolkit = (string)json["toolkit"]!,
            ToolkitPython = FilePath(folder, json["toolkit_python"]),
            ToolkitMinutes = (double?)json["toolkit_minutes"],
            Rewrites =
                json["attention"] is { } attention && Enum<AttentionForm>(attention) == AttentionForm.Plain
                    ? [.. Rewrites(json).Union([VariantSpec.PlainAttention])]
                    : Rewrites(json),
            Fp16 = Names(json["fp16"]),
            AutoHybrid = json["auto_hybrid"] is { } auto
                ? new AutoHybrid((double?)auto["cosine"] ?? new AutoHybrid().Cosine, (double?)auto["distance"])
                : null,
            AccuracyAnalysis = (bool?)json["accuracy_analysis"] ?? false,
            Clip = json["ranges"]?["clip"] is { } clip ? Enum<RangeClip>(clip) : RangeClip.None,
            Search = json["search"] is { } search ? Search(search) : null,
            SingleCore = (bool?)json["single_core"] ?? false,
            ToolkitSimulator = (bool?)json["toolkit_simulator"] ?? false,
            FloatBudgetMb = (double?)json["float_budget_mb"] ?? 0,
            Gates =
            [
                .. Named(
                        json["gates"]!,
                        (metric, limit) =>
                            new GateSpec(metric, (double?)limit["min"], (double?)limit["max"], (double?)limit["max_drop"])
                            {
                                Confidence = (double?)limit["confidence"],
                                MaxDropVsRelease = (double?)limit["max_drop_vs_release"],
                                ByLength = limit["slices"]?["length"] is not null,
                                ByQuery = limit["slices"]?["query"] is not null,
                            }
                    )
                    .Where(gate => gate.Metric != "compile"),
            ],
            Compile = json["gates"]!["compile"] is { } compile
                ? new CompileLimits(
                    compile["cpu_ops"] is { } ops ? Names(ops) : null,
                    (double?)compile["weight_mb"],
                    (double?)compile["internal_mb"]
                )
                {
                    FusesAllAttention = compile["fused_attention"] is not null,
                }
                : new CompileLimits(),
            Force = overrides.ForceConvert ?? false,
        };

    /// <summary>Names of passes; the strength of one that has a setting of its own is part of its name.</summary>
    private static List<string> Rewrites(JsonObject variant) =>
        variant["hidden_split"]?["channels"] is { } channels && (int)channels != DefaultChannels
            ? [.. Names(variant["rewrites"]).Select(name => name == "hidden-split" ? $"{name}-{(int)channels}" : name)]
            : Names(variant["rewrites"]);

    private static SearchSpec Search(JsonNode json)
    {
        var defaults = new SearchSpec();
        return new SearchSpec
        {
            Maximise = (string?)json["maximise"],
            MaxMb = (double?)json["max_mb"],
            MaxLatencyMs = (double?)json["max_latency_ms"],
            MinTau = (double?)json["min_tau"],
            MinCosine = (double?)json["min_cosine"],
            Minutes = (double?)json["minutes"] ?? defaults.Minutes,
            Builds = (int?)json["builds"] ?? defaults.Builds,
            Channels = json["channels"] is { } channels ? [.. Items(channels).Select(count => (int)count)] : defaults.Channels,
            Algorithms = json["algorithms"] is { } algorithms
                ? [.. Items(algorithms).Select(Enum<QuantizationAlgorithm>)]
                : defaults.Algorithms,
            Methods = json["methods"] is { } methods ? [.. Items(methods).Select(Enum<QuantizationMethod>)] : defaults.Methods,
        };
    }

    private static InputShape Shape(JsonNode shape) => new((int)shape[0]!, (int)shape[1]!);

    private static TokenizerSpec Tokenizer(JsonNode json, string folder)
    {
        var tokenizer = new TokenizerSpec { Vocab = Source((json["vocab"] ?? json["file"])!, folder) };
        return tokenizer with
        {
            Merges = Optional("merges"),
            Config = Optional("config"),
            SpecialTokens = Optional("special_tokens"),
            Lowercase = (bool?)json["lowercase"] ?? (json["vocab"] is null || json["config"] is not null ? null : tokenizer.Lowercase),
            StripAccents = (bool?)json["strip_accents"],
            TokenizeChineseChars = (bool?)json["tokenize_chinese_chars"],
            Prefixes = json["prefixes"] is { } prefixes
                ? new TextPrefixes((string?)prefixes["query"] ?? "", (string?)prefixes["passage"] ?? "")
                : null,
            Truncation = json["truncation"] is { } truncation ? Enum<TruncationStrategy>(truncation) : tokenizer.Truncation,
        };

        SourceSpec? Optional(string key) => json[key] is { } source ? Source(source, folder) : null;
    }

    private static SourceSpec Source(JsonNode json, string folder)
    {
        var source = new SourceSpec
        {
            File = FilePath(folder, json["file"]),
            Url = json["url"] is { } url ? new Uri((string)url!) : null,
            HuggingFace = json["huggingface"] is { } hub
                ? new HuggingFaceSource((string)hub["repo"]!, (string?)hub["revision"] ?? "main", (string)hub["file"]!)
                : null,
            Sha256 = ((string?)json["sha256"])?.ToLowerInvariant(),
        };
        return json["max_bytes"] is { } bytes ? source with { MaxBytes = (long)bytes } : source;
    }

    /// <summary>Keys of both, <paramref name="upper"/>'s value winning; a map that is in both becomes their union.</summary>
    private static JsonObject Merge(JsonObject lower, JsonObject upper)
    {
        var merged = lower.DeepClone().AsObject();
        foreach (var (key, value) in upper)
            merged[key] = merged[key] is JsonObject below && value is JsonObject above ? Union(below, above) : value!.DeepClone();
        return merged;
    }

    private static JsonObject Union(JsonObject lower, JsonObject upper)
    {
        var union = lower.DeepClone().AsObject();
        foreach (var (key, value) in upper)
            union[key] = value!.DeepClone();
        return union;
    }

    private static IEnumerable<JsonNode> Items(JsonNode? list) => list?.AsArray().Select(item => item!) ?? [];

    private static List<string> Names(JsonNode? list) => [.. Items(list).Select(name => (string)name!)];

    private static IEnumerable<T> Named<T>(JsonNode map, Func<string, JsonObject, T> make) =>
        map.AsObject().Select(entry => make(entry.Key, entry.Value!.AsObject()));

    private static Dictionary<string, string> Strings(JsonNode map) =>
        map.AsObject().ToDictionary(entry => entry.Key, entry => (string)entry.Value!);

    private static T Enum<T>(JsonNode name)
        where T : struct, Enum => System.Enum.Parse<T>(((string)name!).Replace("_", "").Replace("-", ""), ignoreCase: true);

    private static string? FilePath(string folder, JsonNode? relative) =>
        relative is null ? null : Path.GetFullPath(Path.Combine(folder, (string)relative!));
}
