using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Inspection;

/// <summary>The source in the form that every stage takes: int64 inputs, and no output but the answer.</summary>
internal static class SourceGraph
{
    /// <summary>The model with int32 inputs replaced by int64 ones that are cast; itself if there are none.</summary>
    /// <exception cref="PipelineException">A branch of an If reads one.</exception>
    public static OnnxModel WithInt64Inputs(OnnxModel model)
    {
        var graph = model.Graph;
        var narrow = graph.Inputs.Where(input => input.Type == ElementType.Int32).ToList();
        if (narrow.Count == 0)
            return model;
        var names = new FreshNames(graph);
        var casts = new List<Node>();
        var nodes = graph.Nodes;
        foreach (var input in narrow)
        {
            if (graph.Nodes.FirstOrDefault(node => node.Captured.Contains(input.Name)) is { } choice)
                throw new PipelineException(
                    $"the int32 input {input.Name} is read within a branch of the If '{choice.Output}', where no int64 one can take its "
                        + $"place; export the model with int64 inputs"
                );
            var name = names.Of(input.Name, "int32");
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
