using System.Text.Json.Serialization;
using ModelPipeline.Core;
using ModelPipeline.Devices;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;

namespace ModelPipeline.Latency;

/// <summary>What one artifact takes at one shape on one device.</summary>
public sealed record ArtifactLatency
{
    /// <summary>Of what is to be timed.</summary>
    /// <param name="variant">Its name.</param>
    /// <param name="backend">Its backend.</param>
    /// <param name="shape">At which it runs.</param>
    /// <param name="path">Of its file.</param>
    internal static ArtifactLatency Of(string variant, Backend backend, InputShape shape, string path) =>
        new()
        {
            Variant = variant,
            Backend = backend,
            Shape = shape.ToString(),
            Tokens = shape.Sequence,
            Batch = shape.Batch,
            Artifact = Path.GetFileName(path),
            OnDevice = false,
        };

    /// <summary>Key in models.yaml, or fp32 for the source.</summary>
    public required string Variant { get; init; }
    public required Backend Backend { get; init; }

    /// <summary>As in file names: 1x128.</summary>
    public required string Shape { get; init; }

    /// <summary>The shape's length.</summary>
    public required int Tokens { get; init; }

    /// <summary>Passages that one run takes.</summary>
    public int Batch { get; init; } = 1;

    /// <summary>File name without folders.</summary>
    public required string Artifact { get; init; }

    /// <summary>The artifact itself ran on a board. What a simulator, or this machine in a board's place, took satisfies no gate.</summary>
    public required bool OnDevice { get; init; }

    /// <summary>Name and version of what ran it; empty if nothing did.</summary>
    public string Runtime { get; init; } = "";

    /// <summary>Why it was not measured; empty if it was.</summary>
    public string NotMeasured { get; init; } = "";

    /// <summary>The core plans that the artifact can run under, sequence first; empty if it was not measured.</summary>
    public IReadOnlyList<PlanLatency> Plans { get; init; } = [];

    /// <summary>Median time of a passage over fp32's at the same shape; null if one of them was not measured.</summary>
    public double? RatioToFp32 { get; init; }

    /// <summary>What its operators took one by one; null if the runtime was not asked, or did not tell.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public OperatorProfile? Operators { get; init; }

    /// <summary>What makes the figures doubtful: throttling, varying frequencies. One sentence each.</summary>
    public IReadOnlyList<string> Doubts { get; init; } = [];

    /// <summary>One passage after the other; null if not measured.</summary>
    [JsonIgnore]
    public PlanLatency? Sequential => Plans.FirstOrDefault(plan => plan.Plan == CorePlan.Sequence.Name);

    /// <summary>The plan whose requests take least on average; null if not measured.</summary>
    [JsonIgnore]
    public PlanLatency? Fastest => Plans.MinBy(plan => plan.Request.Figures.Mean.Value);

    /// <summary>By metric name: passages in sequence, and requests under the fastest plan. Empty if not measured.</summary>
    [JsonIgnore]
    public IReadOnlyDictionary<string, double> Figures =>
        Sequential is null || Fastest is null
            ? new Dictionary<string, double>()
            : Figure.Set(
                KeyValuePair.Create(Metric.LatencyMeanMs, (double?)Sequential.Passage.Figures.Mean.Value),
                KeyValuePair.Create(Metric.LatencyP50Ms, (double?)Sequential.Passage.Figures.P50.Value),
                KeyValuePair.Create(Metric.LatencyP95Ms, (double?)Sequential.Passage.Figures.P95.Value),
                KeyValuePair.Create(Metric.LatencyP99Ms, (double?)Sequential.Passage.Figures.P99.Value),
                KeyValuePair.Create(Metric.RequestP50Ms, (double?)Fastest.Request.Figures.P50.Value),
                KeyValuePair.Create(Metric.RequestP95Ms, (double?)Fastest.Request.Figures.P95.Value)
            );

    /// <summary>What gates judge: <see cref="Figures"/> if they come from a device.</summary>
    [JsonIgnore]
    public IReadOnlyDictionary<string, double> Measured => OnDevice ? Figures : new Dictionary<string, double>();
}
