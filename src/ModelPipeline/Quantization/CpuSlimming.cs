using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Quantization;

/// <summary>What an export says at length, said briefly: beside int8 weights, the graph itself takes a noticeable part of the
/// file.</summary>
internal static class CpuSlimming
{
    public static OnnxModel Apply(OnnxModel model) =>
        DeadNodes.Apply(WithPlainReshapes(ShareInitializers.Apply(WithoutConstantNodes(model)).Model)).Model;

    /// <summary>Constant nodes as initializers.</summary>
    private static OnnxModel WithoutConstantNodes(OnnxModel model)
    {
        var graph = model.Graph;
        var constants = graph
            .Nodes.Where(node => node.OpType == "Constant" && node.Attribute("value") is not null)
            .ToDictionary(node => node.Output, node => OnnxReader.ReadTensor(node.Attribute("value")!.T));
        return model.With(
            graph with
            {
                Nodes = [.. graph.Nodes.Where(node => !constants.ContainsKey(node.Output))],
                Initializers = graph.InitializersWith(constants),
            }
        );
    }

    /// <summary>A Reshape to [x's first dimensions as they are, constants] takes a constant shape, in which 0 copies a dimension.</summary>
    private static OnnxModel WithPlainReshapes(OnnxModel model)
    {
        var graph = model.Graph;
        var uses = new UseDef(graph);
        var names = new FreshNames(graph);
        var shapes = new Dictionary<string, Tensor>();
        return model.With(graph with { Nodes = [.. graph.Nodes.Select(Plain)], Initializers = graph.InitializersWith(shapes) });

        Node Plain(Node node)
        {
            if (
                node.OpType != "Reshape"
                || node.Int("allowzero", 0) != 0
                || uses.Producer(node.Inputs[1]) is not { OpType: "Concat" } concat
            )
                return node;
            var shape = new List<long>();
            foreach (var part in concat.Inputs)
            {
                if (uses.Constant(part) is { Type: ElementType.Int64 } constant)
                    shape.AddRange(constant.Span<long>());
                else if (Copies(part, node.Inputs[0], shape.Count, uses))
                    shape.Add(0);
                else
                    return node;
            }
            var name = names.Of("shape", string.Join('_', shape));
            shapes[name] = Tensor.Vector([.. shape]);
            return node with { Inputs = [node.Inputs[0], name] };
        }
    }

    /// <summary>Whether a shape's part is Unsqueeze(Gather(Shape(x), dimension)).</summary>
    private static bool Copies(string part, string x, int dimension, UseDef uses) =>
        uses.Producer(part) is { OpType: "Unsqueeze" } unsqueeze
        && uses.Producer(unsqueeze.Inputs[0]) is { OpType: "Gather" } gather
        && uses.Constant(gather.Inputs[1]) is { Type: ElementType.Int64, Count: 1 } index
        && index.Span<long>()[0] == dimension
        && uses.Producer(gather.Inputs[0]) is { OpType: "Shape", Attributes.Length: 0 } shape
        && shape.Inputs[0] == x;
}
