using ModelPipeline.Devices;
using ModelPipeline.Latency;
using ModelPipeline.Manifest;

namespace ModelPipeline.Tests.Latency;

/// <summary>Latencies as a board could have given them.</summary>
internal static class Latencies
{
    public static PlanLatency Plan(CorePlan plan, IEnumerable<double> passages, IEnumerable<double> requests) =>
        new(plan.Name, Times(passages), Times(requests));

    /// <summary>Runs in sequence, and the requests that follow from them.</summary>
    public static ArtifactLatency Artifact(
        string variant,
        int tokens,
        IReadOnlyList<double> passages,
        int inRequest = 1,
        bool onDevice = true
    ) =>
        new()
        {
            Variant = variant,
            Backend = Backend.Rknn,
            Shape = $"1x{tokens}",
            Tokens = tokens,
            Artifact = $"{variant}-1x{tokens}.rknn",
            OnDevice = onDevice,
            Runtime = "librknnrt 2.3.2",
            Plans = [Plan(CorePlan.Sequence, passages, passages.Chunk(inRequest).Select(request => request.Sum()))],
        };

    private static Series Times(IEnumerable<double> milliseconds) =>
        Series.Of(milliseconds.Select(time => TimeSpan.FromMicroseconds(Math.Round(time * 1000))));
}
