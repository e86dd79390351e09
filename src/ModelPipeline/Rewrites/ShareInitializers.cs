using ModelPipeline.Onnx;

namespace ModelPipeline.Rewrites;

/// <summary>Keeps the first of equal initializers (same type, shape and bytes) and points every reader at it.</summary>
internal static class ShareInitializers
{
    public static Rewritten Apply(OnnxModel model)
    {
        var graph = model.Graph;
        // Names that a branch reads stand in its own text.
        var fixedNames = graph.Outputs.Select(output => output.Name).Concat(graph.Nodes.SelectMany(node => node.Captured)).ToHashSet();
        var first = new Dictionary<Tensor, string>();
        var replaced = new Dictionary<string, string>();
        foreach (var (name, tensor) in graph.Initializers)
        {
            if (!first.TryAdd(tensor, name) && !fixedNames.Contains(name))
                replaced[name] = first[tensor];
        }
        if (replaced.Count == 0)
            return Rewritten.Nothing(model);
        var shared = graph with
        {
            Initializers = new OrderedDictionary<string, Tensor>(graph.Initializers.Where(entry => !replaced.ContainsKey(entry.Key))),
            Nodes =
            [
                .. graph.Nodes.Select(node =>
                    node.Inputs.Any(replaced.ContainsKey)
                        ? node with
                        {
                            Inputs = [.. node.Inputs.Select(input => replaced.GetValueOrDefault(input, input))],
                        }
                        : node
                ),
            ],
        };
        return new Rewritten(model.With(shared), [$"{replaced.Count} duplicate initializers shared"]);
    }
}
