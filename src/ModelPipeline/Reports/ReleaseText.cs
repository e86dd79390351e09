using ModelPipeline.Manifest;
using ModelPipeline.Packaging;

namespace ModelPipeline.Reports;

/// <summary>The words of a model's packages and releases.</summary>
public static class ReleaseText
{
    /// <param name="model">Declares tokenizer and shapes, which the card tells.</param>
    public static PackageText Of(ModelSpec model) => new(manifest => ModelCard.Render(model, manifest), ReleaseNotes.Render);
}
