using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Inspection;

/// <summary>The source in the form that every stage takes: int64 inputs, and no output but the answer.</summary>
internal static class SourceGraph
{
    /// <summary>The model with int32 inputs replaced by int64 ones that are cast; itself if there are none.</summary>
    public static OnnxModel WithInt64Inputs(OnnxModel model)
    {
        var graph = model.Graph;
        var narrow = graph.Inputs.Where(input => input.Type == ElementType.Int32).ToList();
        if (narrow.Count == 0)
            return model;
        var taken = graph
            .Nodes.SelectMany(node => node.Outputs)
            .Concat(graph.Inputs.Select(input => input.Name))
            .Concat(graph.Initializers.Keys)
            .ToHashSet();
        var casts = new List<Node>();
        var nodes = graph.Nodes;
        foreach (var input in narrow)
        {
            var name = input.Name + "_int32";
            while (!taken.Add(name))
                name += "_";
            nodes = [.. nodes.Select(node => node.Rewired(input.Name, name))];
            casts.Add(new Node("Cast", name, [input.Name], [name]) { Attributes = [Attributes.Of("to", (long)ElementType.Int32)] });
        }
        return model.With(
            graph with
            {
                Inputs = [.. graph.Inputs.Select(input => narrow.Contains(input) ? input with { Type = ElementType.Int64 } : input)],
                Nodes = [.. casts, .. nodes],
            }
        );
    }

    /// <summary>The model without other outputs, and without what only they need; itself if there are none.</summary>
    public static OnnxModel WithOnly(OnnxModel model, string output) =>
        model.Graph.Outputs.Length == 1
            ? model
            : DeadNodes.Apply(model.With(model.Graph with { Outputs = [.. model.Graph.Outputs.Where(each => each.Name == output)] })).Model;
}
