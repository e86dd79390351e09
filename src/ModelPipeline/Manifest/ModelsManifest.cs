using System.Text.Json.Serialization;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;

namespace ModelPipeline.Manifest;

/// <summary>Everything models.yaml declares, with defaults and environment applied. Paths are absolute.</summary>
public sealed record ModelsManifest
{
    /// <summary>Absolute path of the file this was read from.</summary>
    public required string Path { get; init; }
    public required IReadOnlyDictionary<string, DeviceSpec> Devices { get; init; }
    public required IReadOnlyDictionary<string, CorpusSpec> Corpora { get; init; }

    /// <summary>In the order of the file.</summary>
    public required IReadOnlyList<ModelSpec> Models { get; init; }

    /// <summary>That of a file which is not there yet.</summary>
    public static ModelsManifest Empty(string path) =>
        new()
        {
            Path = System.IO.Path.GetFullPath(path),
            Devices = new Dictionary<string, DeviceSpec>(),
            Corpora = new Dictionary<string, CorpusSpec>(),
            Models = [],
        };

    /// <summary>True selects only w8a8 variants, false only fp16 ones (QUANTIZE); null all.</summary>
    public bool? Quantize { get; init; }
}

/// <summary>Simulator: this process. Local: the board that this runs on. Ssh: a board elsewhere. Loopback: this machine over SSH, as if it
/// were a board.</summary>
public enum DeviceKind
{
    Simulator,
    Local,
    Ssh,
    Loopback,
}

/// <summary>What kinds of devices have in common.</summary>
public static class DeviceKinds
{
    /// <summary>Whether what runs there can be a measurement of a board.</summary>
    public static bool IsBoard(this DeviceKind kind) =>
        kind switch
        {
            DeviceKind.Local or DeviceKind.Ssh => true,
            DeviceKind.Simulator or DeviceKind.Loopback => false,
        };
}

/// <summary>Where variants run. Only <c>ssh</c> has a host, user, port, host key and so on.</summary>
public sealed record DeviceSpec
{
    public required string Name { get; init; }
    public required DeviceKind Kind { get; init; }
    public string? Host { get; init; }
    public int Port { get; init; } = 22;
    public string? User { get; init; }

    /// <summary>SHA256:... fingerprint of the host key; without it known_hosts decides.</summary>
    public string? HostKey { get; init; }
    public string? IdentityFile { get; init; }

    /// <summary>librknnrt.so to load instead of the loader's choice; for <c>ssh</c> a path on the board.</summary>
    public string? RuntimeLibrary { get; init; }
    public DeviceLimits Limits { get; init; } = new();

    /// <summary>Lets files of a toolkit that is newer than the device's runtime, or than its driver serves, run there.</summary>
    public bool AllowOldRuntime { get; init; }

    /// <summary>Of <c>loopback</c>: linux-x64 or linux-arm64; null is this machine's, another is emulated.</summary>
    public string? Platform { get; init; }

    /// <summary>Whether what runs there can be a measurement of a board.</summary>
    public bool IsBoard => Kind.IsBoard();
}

/// <summary>A retrieval test collection: JSON Lines {id, text} for passages and queries, tab-separated (query, passage, grade) qrels, JSON
/// Lines {query_id, passage_ids} candidates.</summary>
public sealed record CorpusSpec
{
    public required string Name { get; init; }
    public required string Passages { get; init; }
    public required string Queries { get; init; }

    /// <summary>Null where nobody judged: then only agreement with fp32 is measured.</summary>
    public string? Qrels { get; init; }
    public required string Candidates { get; init; }

    /// <summary>The files by their keys in models.yaml.</summary>
    [JsonIgnore]
    public IEnumerable<(string Key, string Path)> Files =>
        [("passages", Passages), ("queries", Queries), .. Qrels is { } qrels ? new[] { ("qrels", qrels) } : [], ("candidates", Candidates)];
}

public sealed record ModelSpec
{
    public required string Name { get; init; }

    /// <summary>Semantic version of what is packaged.</summary>
    public required string Version { get; init; }

    /// <summary>Name of a kind of task: rerank, embed ...</summary>
    public required string Task { get; init; }

    /// <summary>False keeps the model out of the Default target; naming it with --model builds it.</summary>
    public bool Default { get; init; } = true;
    public string? Licence { get; init; }

    /// <summary>Of the texts, as ISO 639 codes, for the model card.</summary>
    [JsonIgnore]
    public IReadOnlyList<string> Languages { get; init; } = [];

    /// <summary>Of a hub, that the model was trained or judged on, for the model card.</summary>
    [JsonIgnore]
    public IReadOnlyList<string> Datasets { get; init; } = [];
    public required SourceSpec Source { get; init; }
    public required TokenizerSpec Tokenizer { get; init; }

    /// <summary>What models.yaml says of the model's answer; null leaves it to the inspection.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public OutputSpec? Output { get; init; }

    /// <summary>mean, cls, last or none; null leaves it to the model's own files.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Pooling { get; init; }

    /// <summary>Whether embeddings are scaled to length 1; null leaves it to the model's own files.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public bool? Normalize { get; init; }

    /// <summary>Static input shapes [batch, sequence] to build, in the order of the file.</summary>
    public required IReadOnlyList<InputShape> Shapes { get; init; }

    /// <summary><c>shapes: auto</c>: they are those of the plan that models.lock.json has; none before it is made.</summary>
    [JsonIgnore]
    public bool ShapesAreAuto { get; init; }

    [JsonIgnore]
    public PlanSpec Plan { get; init; } = new();
    public required CalibrationSpec Calibration { get; init; }
    public required ValidationSpec Validation { get; init; }
    public LatencySpec Latency { get; init; } = new();
    public required IReadOnlyList<VariantSpec> Variants { get; init; }

    /// <summary>Latencies of boards, by which those of other builds are estimated.</summary>
    public IReadOnlyList<MeasuredSpec> Measured { get; init; } = [];
    public required DecisionSpec Decision { get; init; }
    public ReleaseSpec Release { get; init; } = new();

    /// <summary>Files of the model's repository that are read where this leaves open how an embedder pools.</summary>
    [JsonIgnore]
    internal IReadOnlyList<string> FilesBeside =>
        Task == "embed" && (Pooling is null || Normalize is null) ? ["modules.json", "1_Pooling/config.json"] : [];
}

/// <summary>Which output is the answer; what is null is decided by name and shape. At most one of label and difference is set.</summary>
/// <param name="Name">Of the output.</param>
/// <param name="Label">Index of the label that is the score.</param>
/// <param name="Difference">Two labels: the score is the first minus the second.</param>
public sealed record OutputSpec(string? Name = null, int? Label = null, IReadOnlyList<int>? Difference = null);

public sealed record TokenizerSpec
{
    /// <summary>The file with the vocabulary: tokenizer.json, vocab.txt, vocab.json, or a SentencePiece model; <c>vocab</c> or <c>file</c>
    /// in models.yaml.</summary>
    public required SourceSpec Vocab { get; init; }

    /// <summary>merges.txt, which a vocab.json needs.</summary>
    [JsonIgnore]
    public SourceSpec? Merges { get; init; }

    /// <summary>tokenizer_config.json.</summary>
    [JsonIgnore]
    public SourceSpec? Config { get; init; }

    /// <summary>special_tokens_map.json.</summary>
    [JsonIgnore]
    public SourceSpec? SpecialTokens { get; init; }

    /// <summary>Null leaves it to the files, and to BERT's default for a vocab.txt.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public bool? Lowercase { get; init; } = true;

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public bool? StripAccents { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public bool? TokenizeChineseChars { get; init; }

    /// <summary>Null puts nothing before texts.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public TextPrefixes? Prefixes { get; init; }
    public TruncationStrategy Truncation { get; init; } = TruncationStrategy.LongestFirst;

    /// <summary>The files beside the vocabulary, by key of models.yaml.</summary>
    internal IEnumerable<(string Key, SourceSpec Source)> Companions()
    {
        foreach (var (key, source) in new[] { ("merges", Merges), ("config", Config), ("special_tokens", SpecialTokens) })
        {
            if (source is not null)
                yield return (key, source);
        }
    }
}

/// <summary>What is put before texts.</summary>
public sealed record TextPrefixes(string Query = "", string Passage = "");

public enum TruncationStrategy
{
    LongestFirst,
    OnlySecond,
}

public enum CalibrationStrategy
{
    Text,
    Random,
}

public sealed record CalibrationSpec
{
    public required string Corpus { get; init; }
    public int Samples { get; init; } = 100;
    public int Seed { get; init; } = 42;
    public CalibrationStrategy Strategy { get; init; } = CalibrationStrategy.Text;

    /// <summary>Make the calibration set again even if it is up to date (REGENERATE_DATASET).</summary>
    public bool Regenerate { get; init; }
}

public sealed record ValidationSpec
{
    public required string Corpus { get; init; }

    /// <summary>Validate on the first this many queries; null takes all.</summary>
    public int? Queries { get; init; }

    /// <summary>Key of <see cref="ModelsManifest.Devices"/>.</summary>
    public required string Device { get; init; }
}

/// <summary>How latency is measured on the validation's device.</summary>
public sealed record LatencySpec
{
    /// <summary>Passages a request.</summary>
    public int Passages { get; init; } = 5;

    /// <summary>Requests measured for each artifact, shape and core plan.</summary>
    public int Requests { get; init; } = 40;

    /// <summary>Passages run before on each context, not counted.</summary>
    public int WarmUp { get; init; } = 3;

    /// <summary>Ask the runtime afterwards what each operator takes.</summary>
    public bool Profile { get; init; }

    /// <summary>Measure again even if artifacts, device and settings are the same (MEASURE_AGAIN).</summary>
    public bool Again { get; init; }
}

/// <summary>What a plan must keep to; null allows anything.</summary>
/// <param name="DiskMb">Megabytes of a variant's files.</param>
/// <param name="MemoryMb">Megabytes in memory with all contexts.</param>
public sealed record PlanSpec(double? DiskMb = null, double? MemoryMb = null);

public enum Backend
{
    Rknn,
    Onnx,
    Simulator,
}

public enum Precision
{
    Fp32,
    Fp16,
    W8A8,
}

public enum QuantizationAlgorithm
{
    Normal,
    KlDivergence,
    Mmse,
}

public enum QuantizationMethod
{
    Channel,
    Layer,
}

/// <summary>Fused: one operator of the NPU. Plain: products, additions and Softmax by themselves.</summary>
public enum AttentionForm
{
    Fused,
    Plain,
}

/// <summary>By what error ranges of int8 tensors are chosen; none takes what calibration saw.</summary>
public enum RangeClip
{
    OutputError,
    Mse,
    None,
}

public sealed record VariantSpec
{
    /// <summary>The platform of variants that ONNX Runtime runs.</summary>
    public const string Cpu = "cpu";

    public required string Name { get; init; }
    public required Backend Backend { get; init; }
    public required Precision Precision { get; init; }
    public QuantizationAlgorithm Algorithm { get; init; } = QuantizationAlgorithm.Normal;
    public QuantizationMethod Method { get; init; } = QuantizationMethod.Channel;
    public string Target { get; init; } = "rk3588";

    /// <summary>What runs the variant: its target or, for the onnx backend, <see cref="Cpu"/>.</summary>
    [JsonIgnore]
    public string Platform => Backend == Backend.Onnx ? Cpu : Target;
    public int OptimizationLevel { get; init; } = 3;
    public string Toolkit { get; init; } = "2.3.2";

    /// <summary>Older toolkits fail in the middle of building several shapes of a BERT model into one file.</summary>
    internal static readonly Version FirstWithOneFile = new(2, 5, 0);

    /// <summary>Rewrites that leave paths which stay fp16 in an int8 build.</summary>
    private static readonly string[] Splitting = ["hidden-split", "outlier-split", "norm-copy"];

    /// <summary>int8 with tensors in fp16 or ranges of its own: the toolkit makes it in two steps, of which the second has forgotten all
    /// shapes but the largest (seen in 2.5.0).</summary>
    [JsonIgnore]
    public bool IsHybrid => Precision == Precision.W8A8 && (Fp16.Count > 0 || Clip != RangeClip.None || Rewrites.Any(IsSplitting));

    /// <summary>Be it with a strength in its name.</summary>
    private static bool IsSplitting(string rewrite) => Splitting.Any(split => rewrite.StartsWith(split, StringComparison.Ordinal));

    /// <summary>Whether a version of the toolkit makes one file for several shapes.</summary>
    internal static bool CanShareFile(string toolkit) => Version.TryParse(toolkit, out var version) && version >= FirstWithOneFile;

    /// <summary>An interpreter that has this version of the toolkit; null leaves it to the environment and to Provision.</summary>
    [JsonIgnore]
    public string? ToolkitPython { get; init; }

    /// <summary>What a build with the toolkit may take; null for ten times what it should take.</summary>
    [JsonIgnore]
    public double? ToolkitMinutes { get; init; }

    /// <summary>Names of graph passes, in order.</summary>
    public required IReadOnlyList<string> Rewrites { get; init; }

    /// <summary>Whether the toolkit may fuse attention: it is kept from it by a rewrite.</summary>
    [JsonIgnore]
    public AttentionForm Attention => Rewrites.Contains(PlainAttention) ? AttentionForm.Plain : AttentionForm.Fused;

    /// <summary>The rewrite that <c>attention: plain</c> stands for.</summary>
    internal const string PlainAttention = "plain-attention";

    /// <summary>Tensor names (with * wildcards) kept in fp16: the hybrid plan.</summary>
    public IReadOnlyList<string> Fp16 { get; init; } = [];

    /// <summary>Let the toolkit itself move layers to fp16; backend rknn, w8a8.</summary>
    public AutoHybrid? AutoHybrid { get; init; }

    /// <summary>One file for all shapes where the model has several; backend rknn, toolkit 2.5.0 or later, whose default it is but of a
    /// hybrid.</summary>
    public bool OneFile { get; init; }

    /// <summary>Let the toolkit compare each layer with fp32 while it builds; backend rknn, w8a8.</summary>
    public bool AccuracyAnalysis { get; init; }

    /// <summary>How ranges of int8 tensors are narrowed before the toolkit works out scales.</summary>
    public RangeClip Clip { get; init; } = RangeClip.None;

    /// <summary>Command buffers for one core alone: a smaller file.</summary>
    public bool SingleCore { get; init; }

    /// <summary>What Search looks for in its place; null if nothing.</summary>
    [JsonIgnore]
    public SearchSpec? Search { get; init; }

    /// <summary>As models.yaml has it, where models.lock.json has what Search found in its place; null where the variant is as
    /// written.</summary>
    [JsonIgnore]
    public Int8Recipe? Written { get; init; }

    /// <summary>Score in the toolkit's simulator too where a board gives the figures; backend rknn.</summary>
    public bool ToolkitSimulator { get; init; }

    /// <summary>Megabytes by which an int8 file for the CPU may grow for weights that are best kept in fp32; 0 keeps none.</summary>
    public double FloatBudgetMb { get; init; }
    public required IReadOnlyList<GateSpec> Gates { get; init; }

    /// <summary>What the compile report must keep to; backend rknn.</summary>
    public CompileLimits Compile { get; init; } = new();

    /// <summary>Build again even if up to date (FORCE_CONVERT).</summary>
    public bool Force { get; init; }
}

/// <summary>One limit on one figure. Exactly one of the limits is set.</summary>
/// <param name="Metric">A key of <c>gates</c> in the schema: ndcg_at_10, kendall_tau, size_mb, latency_p95_ms ...</param>
/// <param name="Min">The figure must be at least this.</param>
/// <param name="Max">The figure must be at most this.</param>
/// <param name="MaxDrop">fp32's figure minus the variant's must be at most this.</param>
public sealed record GateSpec(string Metric, double? Min, double? Max, double? MaxDrop)
{
    /// <summary>Of the interval whose bad end must keep to the limit, above 0.5 and below 1; null judges the figure alone.</summary>
    public double? Confidence { get; init; }

    /// <summary>The last release's figure on the same texts minus the variant's must be at most this, too; null asks nothing.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? MaxDropVsRelease { get; init; }

    /// <summary>Every part of the texts by their length must keep to it, too.</summary>
    public bool ByLength { get; init; }

    /// <summary>Every part of the queries by their length must keep to it, too.</summary>
    public bool ByQuery { get; init; }
}

/// <summary>Limits on a compile report; null allows anything.</summary>
/// <param name="CpuOps">Operators that may run on the CPU.</param>
/// <param name="WeightMb">Weight memory, in MB of 1000 KiB as the toolkit's users know them.</param>
/// <param name="InternalMb">Internal memory, likewise.</param>
public sealed record CompileLimits(IReadOnlyList<string>? CpuOps = null, double? WeightMb = null, double? InternalMb = null)
{
    /// <summary>No attention may be left as products around a softmax.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool FusesAllAttention { get; init; }
}

/// <summary>Thresholds of the toolkit's auto_hybrid: a layer that is worse stays in fp16.</summary>
/// <param name="Cosine">Smallest cosine to fp32.</param>
/// <param name="Distance">Largest Euclidean distance to fp32; null leaves it to the toolkit.</param>
public sealed record AutoHybrid(double Cosine = 0.98, double? Distance = null);

/// <summary>A latency that someone measured on a board.</summary>
/// <param name="Shape">Of the build that ran.</param>
/// <param name="Precision">Of the build that ran.</param>
/// <param name="Ms">Milliseconds a passage on one core.</param>
public sealed record MeasuredSpec(InputShape Shape, Precision Precision, double Ms);

/// <summary>Which variant production should run. The first NPU variant in the file's order that passes its accuracy gates and whose p95 on
/// a device is within the limit wins.</summary>
public sealed record DecisionSpec
{
    /// <summary>Largest p95 in milliseconds a passage over the corpus, measured on a device.</summary>
    public double LatencyP95Ms { get; init; } = 100;

    /// <summary>Environment written when an NPU variant wins; {file} stands for its file name, {buckets} and {core_plan} for how its shapes
    /// are served. Null leaves it to the task.</summary>
    public IReadOnlyDictionary<string, string>? Npu { get; init; }

    /// <summary>Environment written otherwise; {file} stands for the file that the CPU runs. Null leaves it to the task.</summary>
    public IReadOnlyDictionary<string, string>? Cpu { get; init; }
}

/// <summary>What becomes of a variant that keeps to its gates but for those that only a device can judge.</summary>
public enum WithoutDevice
{
    /// <summary>The release is a candidate until a device has run it.</summary>
    Prerelease,

    /// <summary>It is left out.</summary>
    Refuse,
}

/// <summary>Where releases are published, and what may be in them.</summary>
public sealed record ReleaseSpec
{
    /// <summary>On GitHub, owner/name; null leaves it to GITHUB_REPOSITORY.</summary>
    public string? Repository { get; init; }

    public WithoutDevice WithoutDevice { get; init; } = WithoutDevice.Prerelease;

    /// <summary>REST API of a GitHub Enterprise server; null for GITHUB_API_URL or github.com.</summary>
    public Uri? ApiUrl { get; init; }
}
