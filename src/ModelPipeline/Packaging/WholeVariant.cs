using ModelPipeline.Artifacts;

namespace ModelPipeline.Packaging;

/// <summary>A variant is one thing to those who use it: it goes out at all its shapes or at none.</summary>
internal static class WholeVariant
{
    /// <param name="variant">Its name.</param>
    /// <param name="shapes">Each with all that speaks against it, sentences without their full stops.</param>
    /// <returns>All the shapes if anything speaks against one of them; else none.</returns>
    public static IReadOnlyList<VariantRemark> Omitted(
        string variant,
        IReadOnlyList<(string Shape, IReadOnlyList<string> Reasons)> shapes
    ) =>
        shapes.All(shape => shape.Reasons.Count == 0)
            ? []
            :
            [
                .. shapes.Select(shape => new VariantRemark(
                    variant,
                    shape.Shape,
                    shape.Reasons.Count > 0 ? string.Join("; ", shape.Reasons) : "it does not pass at another shape"
                )),
            ];
}
