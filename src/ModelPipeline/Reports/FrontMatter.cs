using System.Text;
using System.Text.Json;
using ModelPipeline.Artifacts;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;

namespace ModelPipeline.Reports;

/// <summary>
/// What model hubs read of a card: YAML between lines of <c>---</c> (the keys of huggingface.co's model card metadata). All of it is
/// declared in models.yaml, read from the source, or measured; what is not known is left out.
/// </summary>
internal static class FrontMatter
{
    /// <summary>The YAML with its lines of dashes, ending in a new line.</summary>
    public static string Of(ModelSpec model, PackageManifest manifest)
    {
        var yaml = new StringBuilder("---\n");
        var extensions = manifest
            .Files.Where(file => file.Role == PackageRole.Model)
            .Select(file => Path.GetExtension(file.Name).TrimStart('.'))
            .Distinct()
            .Order(StringComparer.Ordinal)
            .ToList();
        if (manifest.Licence is { } licence)
            yaml.Append($"license: {Quoted(licence.ToLowerInvariant())}\n");
        List("language", model.Languages);
        if (model.Source.HuggingFace is { } hub)
            yaml.Append($"base_model: {Quoted(hub.Repo)}\nbase_model_relation: quantized\n");
        yaml.Append($"pipeline_tag: {manifest.Task.HubTag}\n");
        // .rknn files are no library's of the hub: its own name for what runs them is a tag.
        if (extensions.Contains("onnx"))
            yaml.Append("library_name: onnx\n");
        List("datasets", model.Datasets);
        List("tags", [.. extensions, "modelpipeline"]);
        var measured = manifest.Variants.Where(variant => !variant.Subject.Simulated).ToList();
        if (measured.Count > 0)
            yaml.Append(Index(manifest, measured));
        return yaml.Append("---\n").ToString();

        void List(string key, IReadOnlyList<string> values)
        {
            if (values.Count > 0)
                yaml.Append($"{key}: [{string.Join(", ", values.Select(Quoted))}]\n");
        }
    }

    /// <summary>model-index: a result for each variant that was measured and not simulated.</summary>
    private static string Index(PackageManifest manifest, IReadOnlyList<PackageVariant> measured)
    {
        var yaml = new StringBuilder($"model-index:\n- name: {Quoted(manifest.Name)}\n  results:\n");
        foreach (var variant in measured)
        {
            var corpus = Quoted(variant.Subject.Corpus);
            yaml.Append(
                $"  - task: {{ type: {manifest.Task.HubTag}, name: {Quoted($"{variant.Subject.Variant} at {variant.Subject.Shape}")} }}\n"
            );
            yaml.Append($"    dataset: {{ type: {corpus}, name: {corpus} }}\n    metrics:\n");
            foreach (var metric in manifest.Task.Metrics.Where(variant.Figures.ContainsKey).Select(Metric.Named))
                yaml.Append(
                    $"    - {{ type: {metric.Name}, name: {Quoted(metric.Label)}, value: {JsonSerializer.Serialize(variant.Figures[metric.Name])} }}\n"
                );
        }
        return yaml.ToString();
    }

    /// <summary>JSON's strings are YAML's, too.</summary>
    private static string Quoted(string text) => JsonSerializer.Serialize(text);
}
