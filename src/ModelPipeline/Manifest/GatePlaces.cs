using Json.Pointer;

namespace ModelPipeline.Manifest;

/// <summary>Where gates stand in models.yaml.</summary>
public static class GatePlaces
{
    /// <summary>The line of a gate: of the variant's own, else of the model's, else of the defaults'.</summary>
    /// <param name="path">models.yaml.</param>
    /// <param name="model">Key in it.</param>
    /// <param name="variant">Key in the model.</param>
    /// <param name="metric">As gates name it; compile.weight_mb stands below compile.</param>
    /// <returns>Null if the file has no such gate, or is no YAML.</returns>
    public static long? LineOf(string path, string model, string variant, string metric)
    {
        var places = new Diagnostics(path);
        if (!File.Exists(path) || YamlDocument.Read(File.ReadAllText(path), places) is null)
            return null;
        string[][] owners =
        [
            ["models", model, "variants", variant],
            ["models", model],
            ["defaults"],
        ];
        return owners
            .Select(owner => places.KeyAt(Pointer([.. owner, "gates", .. metric.Split('.')]))?.Line)
            .FirstOrDefault(line => line is not null);
    }

    private static JsonPointer Pointer(IEnumerable<string> keys) =>
        keys.Aggregate(JsonPointer.Empty, (pointer, key) => pointer.Combine(key));
}
