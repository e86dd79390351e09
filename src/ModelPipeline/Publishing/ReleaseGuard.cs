using ModelPipeline.Packaging;
using ModelPipeline.Validation;

namespace ModelPipeline.Publishing;

/// <summary>Says what may not be published.</summary>
public static class ReleaseGuard
{
    /// <summary>All that speaks against publishing a variant, each a sentence without its full stop; empty if it may be published.</summary>
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

    /// <summary>The entry of a variant that is left out. One without objections of its own shares its artifact with one that has some.</summary>
    internal static OmittedVariant Omitted(PackageVariant variant) => new(
        variant.Subject.Variant,
        variant.Subject.Shape,
        Objections(variant) is [_, ..] objections ? string.Join("; ", objections) : $"{variant.Subject.Artifact} does not pass at another shape");
}
