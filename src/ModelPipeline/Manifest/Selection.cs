using ModelPipeline.Core;

namespace ModelPipeline.Manifest;

/// <summary>What one run builds.</summary>
public static class Selection
{
    /// <summary>
    /// The models to build, each with the variants to build, in the order of the file. Without a model name: those with <c>default:
    /// true</c>;
    /// of these, with a variant name, those that have it. <see cref="ModelsManifest.Quantize"/> narrows the variants by precision.
    /// </summary>
    /// <param name="manifest">All there is.</param>
    /// <param name="model">Exact name of a model, or null.</param>
    /// <param name="variant">Exact name of a variant, or null.</param>
    /// <exception cref="PipelineException">Exit code 2: an unknown name, or nothing is left to build.</exception>
    public static IReadOnlyList<ModelSpec> Select(this ModelsManifest manifest, string? model = null, string? variant = null)
    {
        if (model is not null && manifest.Models.All(known => known.Name != model))
            throw Unknown("--model", model, manifest.Models.Select(known => known.Name));
        var models = manifest.Models.Where(known => model is null ? known.Default : known.Name == model).ToList();
        if (models.Count == 0)
            throw Error("no model has default: true; name one with --model=");

        var variants = models.SelectMany(known => known.Variants).Select(known => known.Name).Distinct().ToList();
        if (variant is not null && !variants.Contains(variant))
            throw Unknown("--variant", variant, variants);

        List<ModelSpec> selected =
        [
            .. from known in models
            let kept = known.Variants.Where(each => (variant is null || each.Name == variant) && Wanted(each, manifest.Quantize)).ToList()
            where kept.Count > 0
            select known with
            {
                Variants = kept,
            },
        ];
        return selected.Count > 0
            ? selected
            : throw Error(
                $"nothing to build: the selection has no {(manifest.Quantize == true ? "w8a8" : "fp16")} variant, and QUANTIZE (or "
                    + $"--quantize) asks for nothing else"
            );
    }

    /// <summary>The same manifest with every model validated on this device; null changes nothing.</summary>
    /// <exception cref="PipelineException">Exit code 2: there is no such device.</exception>
    public static ModelsManifest OnDevice(this ModelsManifest manifest, string? device) =>
        device switch
        {
            null => manifest,
            _ when !manifest.Devices.ContainsKey(device) => throw Unknown("--device", device, manifest.Devices.Keys),
            _ => manifest with
            {
                Models = [.. manifest.Models.Select(model => model with { Validation = model.Validation with { Device = device } })],
            },
        };

    private static bool Wanted(VariantSpec variant, bool? quantize) =>
        quantize is null || variant.Precision == (quantize.Value ? Precision.W8A8 : Precision.Fp16);

    private static PipelineException Unknown(string option, string name, IEnumerable<string> known) =>
        Error($"{option}: '{name}' is not one of {string.Join(", ", known)}{Spelling.Suggest(name, known)}");

    private static PipelineException Error(string message) => new(message, PipelineException.ConfigurationError);
}
