using ModelPipeline.Artifacts;
using ModelPipeline.Decision;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;

namespace ModelPipeline.Publishing;

/// <summary>Says what may not be published, and what only as a candidate.</summary>
public static class ReleaseGuard
{
    /// <summary>What only a device can decide of a variant, each a sentence without its full stop; empty if nothing is open.</summary>
    public static IReadOnlyList<string> Open(PackageVariant variant) =>
        [
            .. variant.Subject.InToolkit ? ["no device has run it: its figures are of the toolkit's simulator"] : Array.Empty<string>(),
            .. variant.Gates.Where(gate => IsOpen(variant, gate)).Select(gate => gate.Statement),
        ];

    /// <summary>All that speaks against publishing a variant, be it as a candidate, each a sentence without its full stop; empty if it may
    /// be published.</summary>
    public static IReadOnlyList<string> Objections(PackageVariant variant, WithoutDevice withoutDevice)
    {
        var subject = variant.Subject;
        List<string> objections = [];
        if (subject.IsStandIn)
            objections.Add($"{subject.Artifact} is a simulation, not what the NPU runs");
        else if (subject is { Simulated: true, InToolkit: false })
            objections.Add($"its figures come from {subject.Device}, which is no board: validate it on one");
        if (withoutDevice == WithoutDevice.Refuse)
            objections.AddRange(Open(variant));
        objections.AddRange(
            variant.Gates.Where(gate => gate.Result != GateResult.Passed && !IsOpen(variant, gate)).Select(gate => gate.Statement)
        );
        if (!variant.Gates.Any(gate => Metric.Named(gate.Metric).Kind == MetricKind.Accuracy))
            objections.Add("it declares no accuracy gate, so nothing vouches for its results");
        return objections;
    }

    /// <summary>What a release leaves out.</summary>
    public static IReadOnlyList<VariantRemark> Omitted(
        IReadOnlyList<PackageVariant> variants,
        IReadOnlyList<VariantRouting> routings,
        WithoutDevice withoutDevice
    ) =>
        [
            .. variants
                .GroupBy(variant => variant.Subject.Variant)
                .SelectMany(shapes =>
                {
                    var together = routings
                        .Where(routing => routing.Variant == shapes.Key)
                        .SelectMany(routing => routing.Gates)
                        .Where(gate => gate.Result != GateResult.Passed)
                        .Select(gate => $"all its shapes together: {gate.Statement}")
                        .ToList();
                    return WholeVariant.Omitted(
                        shapes.Key,
                        [
                            .. shapes.Select(shape =>
                                (shape.Subject.Shape, (IReadOnlyList<string>)[.. Objections(shape, withoutDevice), .. together])
                            ),
                        ]
                    );
                }),
        ];

    /// <summary>A device is all that is missing.</summary>
    private static bool IsOpen(PackageVariant variant, GateOutcome gate) =>
        gate.Result == GateResult.NotMeasured && Metric.Named(gate.Metric).Kind == MetricKind.Latency && !variant.Subject.OnDevice;
}
