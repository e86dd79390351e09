using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Sources;

/// <summary>Recipes that Search chose, as models.lock.json has them.</summary>
public static class FrozenRecipe
{
    /// <summary>Key of a variant's recipe.</summary>
    public static string NameOf(string model, string variant) => $"{model}:{variant}";

    /// <summary>The manifest with frozen recipes in the place of what variants with <c>search</c> say.</summary>
    /// <exception cref="PipelineException">The lock is damaged.</exception>
    public static ModelsManifest Applied(ModelsManifest manifest)
    {
        if (!manifest.Models.Any(model => model.Variants.Any(variant => variant.Search is not null)))
            return manifest;
        var recipes = ModelsLock.Load(ModelsLock.PathFor(manifest)).Recipes;
        return manifest with
        {
            Models =
            [
                .. manifest.Models.Select(model =>
                    model with
                    {
                        Variants = [.. model.Variants.Select(variant => Applied(model.Name, variant, recipes))],
                    }
                ),
            ],
        };
    }

    private static VariantSpec Applied(string model, VariantSpec variant, SortedDictionary<string, Int8Recipe>? recipes) =>
        variant.Search is not null && recipes?.GetValueOrDefault(NameOf(model, variant.Name)) is { } recipe
            ? recipe.Over(variant) with
            {
                Written = Int8Recipe.Of(variant),
            }
            : variant;
}
