using ModelPipeline.Devices;
using ModelPipeline.Manifest;

namespace ModelPipeline.Latency;

/// <summary>The board that ran a release, and what each run took: content of device.json.</summary>
/// <param name="Device">Key in models.yaml.</param>
/// <param name="Kind">How it was reached.</param>
/// <param name="Machine">What it is.</param>
/// <param name="Notes">What is to be known of the whole session, one sentence each.</param>
/// <param name="Passages">In a request.</param>
/// <param name="Reference">fp32 on the board's CPU, one a shape.</param>
/// <param name="Artifacts">Every variant at every shape.</param>
public sealed record DeviceSession(
    string Device,
    DeviceKind Kind,
    DeviceFacts Machine,
    IReadOnlyList<string> Notes,
    int Passages,
    IReadOnlyList<ArtifactLatency> Reference,
    IReadOnlyList<ArtifactLatency> Artifacts
)
{
    public const string FileName = "device.json";

    public static DeviceSession Of(LatencyReport latency) =>
        new(latency.Device, latency.DeviceKind, latency.Machine, latency.Notes, latency.Passages, latency.Reference, latency.Artifacts);
}
