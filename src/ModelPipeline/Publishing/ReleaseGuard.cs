using ModelPipeline.Artifacts;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;

namespace ModelPipeline.Publishing;

/// <summary>Says what may not be published.</summary>
public static class ReleaseGuard
{
    /// <summary>All that speaks against publishing a variant, each a sentence without its full stop; empty if it may be
    /// published.</summary>
    public static IReadOnlyList<string> Objections(PackageVariant variant)
    {
        var subject = variant.Subject;
        List<string> objections = [];
        if (subject.IsStandIn)
            objections.Add($"{subject.Artifact} is a simulation, not what the NPU runs");
        else if (subject.Simulated)
            objections.Add("its figures come from a simulator: validate it on a device");
        objections.AddRange(variant.Gates.Where(gate => gate.Result != GateResult.Passed).Select(gate => gate.Statement));
        if (!variant.Gates.Any(gate => Metric.Named(gate.Metric).Kind == MetricKind.Accuracy))
            objections.Add("it declares no accuracy gate, so nothing vouches for its results");
        return objections;
    }

    /// <summary>What a release leaves out.</summary>
    public static IReadOnlyList<OmittedVariant> Omitted(PackageManifest package) =>
        [
            .. package.Omitted,
            .. package
                .Variants.GroupBy(variant => variant.Subject.Variant)
                .SelectMany(shapes =>
                {
                    var together = package
                        .Routings.Where(routing => routing.Variant == shapes.Key)
                        .SelectMany(routing => routing.Gates)
                        .Where(gate => gate.Result != GateResult.Passed)
                        .Select(gate => $"all its shapes together: {gate.Statement}")
                        .ToList();
                    return WholeVariant.Omitted(
                        shapes.Key,
                        [.. shapes.Select(shape => (shape.Subject.Shape, (IReadOnlyList<string>)[.. Objections(shape), .. together]))]
                    );
                }),
        ];
}
