using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Sources;

/// <summary>The plan that a model with <c>shapes: auto</c> is built by, as models.lock.json has it.</summary>
/// <param name="Shapes">[batch, tokens], ascending.</param>
/// <param name="Precision">That it expects to serve.</param>
/// <param name="CorePlan">That it expects to serve by.</param>
public sealed record FrozenPlan(IReadOnlyList<InputShape> Shapes, Precision Precision, string CorePlan)
{
    /// <summary>The manifest with the shapes of frozen plans.</summary>
    /// <exception cref="PipelineException">The lock is damaged.</exception>
    public static ModelsManifest Applied(ModelsManifest manifest)
    {
        if (!manifest.Models.Any(model => model.ShapesAreAuto))
            return manifest;
        var plans = ModelsLock.Load(ModelsLock.PathFor(manifest)).Plans;
        return manifest with
        {
            Models =
            [
                .. manifest.Models.Select(model =>
                    model.ShapesAreAuto && plans?.GetValueOrDefault(model.Name) is { } plan ? model with { Shapes = plan.Shapes } : model
                ),
            ],
        };
    }
}
