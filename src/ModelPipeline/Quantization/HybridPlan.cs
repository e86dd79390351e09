using System.Text.RegularExpressions;
using ModelPipeline.Onnx;

namespace ModelPipeline.Quantization;

/// <summary>Which tensors of a w8a8 build stay fp16: what a pass wrote into the prepared model, and what models.yaml names by pattern.</summary>
public static class HybridPlan
{
    /// <summary>Metadata entry of a prepared model: tensor names, one a line.</summary>
    private const string MetadataKey = "modelpipeline.fp16";

    /// <summary>
    /// The plan of split residual additions: each addition and the LayerNorm behind it; from the last of them everything up to the output.
    /// </summary>
    /// <param name="additions">Outputs of the additions, in graph order.</param>
    /// <param name="graph">The rewritten graph.</param>
    internal static IReadOnlyList<string> Behind(IReadOnlyList<string> additions, Graph graph)
    {
        var uses = new UseDef(graph);
        var fused = FusedOperators.Of(graph);
        var points = fused.Points.ToHashSet();
        var plan = new List<string>();
        foreach (var addition in additions)
        {
            plan.Add(addition);
            if (uses.Consumers(addition).Select(fused.OwnerOf).OfType<string>().FirstOrDefault(points.Contains) is { } norm)
                plan.Add(norm);
        }
        var reached = new HashSet<string> { additions[^1] };
        foreach (var node in graph.Nodes.Where(node => node.Inputs.Any(reached.Contains)))
        {
            reached.Add(node.Output);
            if (points.Contains(node.Output))
                plan.Add(node.Output);
        }
        return [.. plan.Distinct()];
    }

    internal static OnnxModel Add(OnnxModel model, IReadOnlyList<string> plan) =>
        model.WithMetadata((MetadataKey, string.Join('\n', OfModel(model).Union(plan))));

    /// <summary>The tensors that passes want in fp16.</summary>
    public static IReadOnlyList<string> OfModel(OnnxModel model) =>
        model.Metadata.TryGetValue(MetadataKey, out var names) ? names.Split('\n', StringSplitOptions.RemoveEmptyEntries) : [];

    /// <summary>The model's own plan and the points that match a pattern.</summary>
    /// <param name="points">Tensors that can be quantized.</param>
    /// <param name="patterns">Names with * for any characters.</param>
    /// <exception cref="PipelineException">A pattern matches nothing.</exception>
    internal static IReadOnlySet<string> Resolve(OnnxModel model, IReadOnlyList<string> points, IReadOnlyList<string> patterns)
    {
        var plan = OfModel(model).ToHashSet();
        foreach (var pattern in patterns)
        {
            var regex = new Regex($"\\A{Regex.Escape(pattern).Replace("\\*", ".*", StringComparison.Ordinal)}\\z", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
            var matches = points.Where(point => regex.IsMatch(point)).ToList();
            if (matches.Count == 0)
                throw new PipelineException($"fp16: '{pattern}' matches no tensor of the prepared model; its tensors are listed in quantization.json (such as {string.Join(", ", points.Take(3))})", PipelineException.ConfigurationError);
            plan.UnionWith(matches);
        }
        return plan;
    }
}
