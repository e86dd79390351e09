using System.Text.Json.Serialization;
using ModelPipeline.Core;
using ModelPipeline.Devices;
using ModelPipeline.Manifest;

namespace ModelPipeline.Latency;

/// <summary>Tokens of every passage of a corpus with its query and the special tokens, uncut, in the order of scoring.</summary>
[OneLine]
public sealed record TokenLengths(IReadOnlyList<int> Tokens);

/// <summary>Everything one session on a device measured of a model: content of latency.json. It differs from session to session, so
/// packages take from it only what a device measured.</summary>
public sealed record LatencyReport
{
    public required string Model { get; init; }
    public required string Version { get; init; }

    /// <summary>Key in models.yaml.</summary>
    public required string Device { get; init; }
    public required DeviceKind DeviceKind { get; init; }
    public required DeviceFacts Machine { get; init; }

    /// <summary>What is to be known of the whole session, such as a governor that could not be set. One sentence each.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>In a request.</summary>
    public required int Passages { get; init; }

    /// <summary>Of the validation's corpus.</summary>
    public required TokenLengths Lengths { get; init; }

    /// <summary>The fp32 ONNX source by ONNX Runtime on the device's CPU, one a shape.</summary>
    public required IReadOnlyList<ArtifactLatency> Reference { get; init; }

    /// <summary>Every variant at every shape, in the order of models.yaml.</summary>
    public required IReadOnlyList<ArtifactLatency> Artifacts { get; init; }

    /// <summary>One a variant.</summary>
    public IReadOnlyList<BucketPlan> Buckets { get; init; } = [];

    /// <summary>Figures are measurements of a device; else a simulator or this machine gave them.</summary>
    [JsonIgnore]
    public bool OnDevice => DeviceKind.IsBoard();

    /// <summary>Of a variant at a shape; null if it was not part of the session.</summary>
    public ArtifactLatency? Of(string variant, string shape) =>
        Artifacts.FirstOrDefault(artifact => artifact.Variant == variant && artifact.Shape == shape);

    /// <summary>Of fp32 at a shape; null if it was not part of the session.</summary>
    public ArtifactLatency? ReferenceAt(string shape) => Reference.FirstOrDefault(artifact => artifact.Shape == shape);

    /// <summary>The report with each artifact's ratio to fp32 and each variant's buckets.</summary>
    public LatencyReport Concluded() =>
        this with
        {
            Artifacts = [.. Artifacts.Select(artifact => artifact with { RatioToFp32 = Ratio(artifact, ReferenceAt(artifact.Shape)) })],
            Buckets =
            [
                .. Artifacts.GroupBy(artifact => artifact.Variant).Select(variant => BucketPlan.Of([.. variant], Lengths.Tokens, Passages)),
            ],
        };

    private static double? Ratio(ArtifactLatency artifact, ArtifactLatency? reference) =>
        artifact.Sequential is { } variant && reference?.Sequential is { } fp32
            ? Math.Round(variant.Passage.Figures.P50.Value / fp32.Passage.Figures.P50.Value, 6)
            : null;
}
