using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Toolkit;

/// <summary>Part of the model that stays in fp16: what is computed behind <see cref="From"/> up to and with <see cref="To"/>, in the toolkit's names.</summary>
public sealed record HybridSpan(string From, string To);

/// <summary>An fp16 plan (<see cref="Fp16Plan"/>) as the pairs of its optimised graph's tensors that the toolkit's custom_hybrid takes.</summary>
public static class HybridPlan
{
    /// <summary>Pairs in the order of entries and of the graph, each once. A tensor alone is paired with the nearest one that it is computed from.</summary>
    /// <param name="entries">As in models.yaml.</param>
    /// <param name="graph">The prepared graph.</param>
    /// <param name="tensors">Names in the toolkit's <c>.quantization.cfg</c>.</param>
    /// <exception cref="PipelineException">An entry matches nothing, or what it names was fused away.</exception>
    public static IReadOnlyList<HybridSpan> Resolve(IReadOnlyList<string> entries, Graph graph, IReadOnlyList<string> tensors)
    {
        var fused = FusedOperators.Of(graph);
        var names = new OptimisedNames(graph, tensors);
        return [.. entries.SelectMany(entry => Resolve(entry, Fp16Plan.Spans(entry, graph, fused), graph, names)).Distinct()];
    }

    /// <summary>Entries that keep the worst tensors of an analysis in fp16; those without a name in the prepared graph are left out.</summary>
    /// <param name="analysis">Of the quantized model.</param>
    /// <param name="graph">The prepared graph.</param>
    /// <param name="minCosine">A tensor whose own layer stays at or above this needs no fp16.</param>
    /// <param name="count">At most so many entries.</param>
    public static IReadOnlyList<string> Suggest(ErrorAnalysis analysis, Graph graph, double minCosine = 0.999, int count = 16)
    {
        var names = new OptimisedNames(graph, [.. analysis.Layers.Select(layer => layer.Name)]);
        var worst = analysis.Worst(count).Where(layer => !(layer.SingleCosine >= minCosine)).Select(layer => names.ValueOf(layer.Name)).OfType<string>().ToHashSet();
        return [.. graph.Nodes.SelectMany(node => node.Outputs).Where(worst.Contains)];
    }

    private static List<HybridSpan> Resolve(string entry, IReadOnlyList<(string? From, string To)> plan, Graph graph, OptimisedNames names)
    {
        List<HybridSpan> spans = [];
        foreach (var (from, to) in plan)
        {
            if (from is not null)
                spans.Add(new HybridSpan(graph.Inputs.Any(input => input.Name == from) ? from : Required(from), Required(to)));
            else if (names.Find(to) is { } tensor)
                spans.Add(new HybridSpan(Before(to, tensor, graph, names), tensor));
        }
        return spans.Count > 0 ? spans : throw Fused(plan[0].To);

        string Required(string value) => names.Find(value) ?? throw Fused(value);

        PipelineException Fused(string value) => new(
            $"fp16: '{entry}': the toolkit fused '{value}' into an operation around it, so it is no tensor of its own there: name the value behind it.",
            PipelineException.ConfigurationError);
    }

    /// <summary>The nearest tensor of the toolkit that a value is computed from; a model input if there is none.</summary>
    private static string Before(string value, string tensor, Graph graph, OptimisedNames names)
    {
        var uses = new UseDef(graph);
        var queue = new Queue<string>([value]);
        var seen = new HashSet<string>();
        var source = graph.Inputs[0].Name;
        while (queue.TryDequeue(out var current))
        {
            if (current != value && names.Find(current) is { } name && name != tensor)
                return name;
            if (uses.Producer(current) is { } producer)
            {
                foreach (var input in producer.Inputs.Where(input => input.Length > 0 && uses.Constant(input) is null && seen.Add(input)))
                    queue.Enqueue(input);
            }
            else if (graph.Inputs.Any(input => input.Name == current))
            {
                source = current;
            }
        }
        return source;
    }
}
