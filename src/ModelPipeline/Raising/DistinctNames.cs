using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Raising;

/// <summary>Nodes need no name, but ONNX Runtime loads no model in which two have the same: the later ones lose theirs.</summary>
internal static class DistinctNames
{
    public static Rewritten Apply(OnnxModel model)
    {
        var known = new HashSet<string>();
        var repeated = model
            .Graph.Nodes.Where(node => node.Name.Length > 0 && !known.Add(node.Name))
            .ToHashSet<Node>(ReferenceEqualityComparer.Instance);
        return repeated.Count == 0
            ? Rewritten.Nothing(model)
            : new Rewritten(
                model.With(
                    model.Graph with
                    {
                        Nodes = [.. model.Graph.Nodes.Select(node => repeated.Contains(node) ? node with { Name = "" } : node)],
                    }
                ),
                [$"{repeated.Count} nodes have names that earlier ones have: dropped"]
            );
    }
}
