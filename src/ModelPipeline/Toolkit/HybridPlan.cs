using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Toolkit;

/// <summary>An fp16 plan (<see cref="Fp16Plan"/>) and ranges in names of the toolkit's optimised graph, as its <c>quantization.cfg</c>
/// takes them.</summary>
public static class HybridPlan
{
    /// <summary>Tensors that stay in fp16, in the order of entries and of the graph, each once, in every layout that the toolkit has of
    /// them.</summary>
    /// <param name="entries">As in models.yaml.</param>
    /// <param name="graph">The prepared graph.</param>
    /// <param name="tensors">Names in the toolkit's <c>.quantization.cfg</c>.</param>
    /// <exception cref="PipelineException">An entry matches nothing, or all that it names was fused away.</exception>
    public static IReadOnlyList<string> Resolve(IReadOnlyList<string> entries, Graph graph, IReadOnlyList<string> tensors)
    {
        var fused = FusedOperators.Of(graph);
        var names = new OptimisedNames(graph, tensors);
        return [.. entries.SelectMany(Tensors).Distinct()];

        IReadOnlyList<string> Tensors(string entry)
        {
            // A span's end is kept even where only a slice of it is a tensor of the emulation.
            var isClass = Float16Class.All.Any(each => each.Name == entry);
            var ends = isClass ? [] : Fp16Plan.Spans(entry, graph, fused).Select(span => span.To);
            var values = Fp16Plan.Resolve([entry], graph, fused).Union(ends).ToList();
            List<string> found = [.. values.SelectMany(names.All)];
            return found.Count > 0
                ? found
                : throw new PipelineException(
                    $"fp16: '{entry}': the toolkit fused '{values[^1]}' into an operation around it, so it is no tensor of its own there: "
                        + $"name the value behind it.",
                    PipelineException.ConfigurationError
                );
        }
    }

    /// <summary>The ranges of all of the toolkit's tensors that hold the values; those of values that it fused away are left out.</summary>
    public static IReadOnlyDictionary<string, float[]> Resolve(
        IReadOnlyDictionary<string, ClippedRange> ranges,
        Graph graph,
        IReadOnlyList<string> tensors
    )
    {
        var names = new OptimisedNames(graph, tensors);
        var resolved = new Dictionary<string, float[]>();
        foreach (var (value, range) in ranges)
        {
            foreach (var tensor in names.All(value))
                resolved[tensor] = [range.Min, range.Max];
        }
        return resolved;
    }

    /// <summary>Entries that keep the worst tensors of an analysis in fp16; those without a name in the prepared graph are left
    /// out.</summary>
    /// <param name="analysis">Of the quantized model.</param>
    /// <param name="graph">The prepared graph.</param>
    /// <param name="minCosine">A tensor whose own layer stays at or above this needs no fp16.</param>
    /// <param name="count">At most so many entries.</param>
    public static IReadOnlyList<string> Suggest(ErrorAnalysis analysis, Graph graph, double minCosine = 0.999, int count = 16)
    {
        var names = new OptimisedNames(graph, [.. analysis.Layers.Select(layer => layer.Name)]);
        var worst = analysis
            .Worst(count)
            .Where(layer => !(layer.SingleCosine >= minCosine))
            .Select(layer => names.ValueOf(layer.Name))
            .OfType<string>()
            .ToHashSet();
        return [.. graph.Nodes.SelectMany(node => node.Outputs).Where(worst.Contains)];
    }
}
