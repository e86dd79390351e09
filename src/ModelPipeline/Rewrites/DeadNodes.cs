using ModelPipeline.Onnx;

namespace ModelPipeline.Rewrites;

/// <summary>Drops nodes and initializers that no graph output depends on. Inputs stay: they are the model's interface.</summary>
internal static class DeadNodes
{
    public static Rewritten Apply(OnnxModel model)
    {
        var graph = model.Graph;
        var needed = graph.Outputs.Select(output => output.Name).ToHashSet();
        var live = new Stack<Node>();
        foreach (var node in graph.Nodes.Reverse().Where(node => node.Outputs.Any(needed.Contains)))
        {
            live.Push(node);
            needed.UnionWith(node.Reads.Where(input => input.Length > 0));
        }
        var initializers = new OrderedDictionary<string, Tensor>(graph.Initializers.Where(entry => needed.Contains(entry.Key)));
        var nodes = graph.Nodes.Length - live.Count;
        var constants = graph.Initializers.Count - initializers.Count;
        return nodes + constants == 0
            ? Rewritten.Nothing(model)
            : new Rewritten(
                model.With(graph with { Nodes = [.. live], Initializers = initializers }),
                [$"{nodes} nodes and {constants} initializers dropped"]
            );
    }
}
