using Google.Protobuf;
using ModelPipeline.Onnx.Proto;

namespace ModelPipeline.Onnx;

/// <summary>The typed graph to protobuf messages. Tensor data are referred to, not copied.</summary>
internal static class OnnxWriter
{
    public static ModelProto ToProto(OnnxModel model) => new(model.Header) { Graph = ToProto(model.Graph) };

    private static GraphProto ToProto(Graph graph)
    {
        var proto = new GraphProto { Name = graph.Name };
        proto.Node.AddRange(graph.Nodes.Select(ToProto));
        proto.Initializer.AddRange(graph.Initializers.Select(entry => ToProto(entry.Value, entry.Key)));
        proto.Input.AddRange(graph.Inputs.Select(ToProto));
        proto.Output.AddRange(graph.Outputs.Select(ToProto));
        return proto;
    }

    private static NodeProto ToProto(Node node)
    {
        var proto = new NodeProto { OpType = node.OpType };
        if (node.Name.Length > 0)
            proto.Name = node.Name;
        if (node.Domain.Length > 0)
            proto.Domain = node.Domain;
        proto.Input.AddRange(node.Inputs);
        proto.Output.AddRange(node.Outputs);
        proto.Attribute.AddRange(node.Attributes);
        return proto;
    }

    public static TensorProto ToProto(Tensor tensor, string? name = null)
    {
        var proto = new TensorProto { DataType = (int)tensor.Type, RawData = UnsafeByteOperations.UnsafeWrap(tensor.Data) };
        proto.Dims.AddRange(tensor.Shape);
        if (name is not null)
            proto.Name = name;
        return proto;
    }

    /// <summary>A value of undefined type is written without one; runtimes infer it.</summary>
    private static ValueInfoProto ToProto(ValueInfo value)
    {
        if (value.Type == ElementType.Undefined)
            return new ValueInfoProto { Name = value.Name };
        var shape = new TensorShapeProto();
        foreach (var dimension in value.Shape)
        {
            var proto = new TensorShapeProto.Types.Dimension();
            if (dimension.Value is { } number)
                proto.DimValue = number;
            else if (dimension.Symbol is { } symbol)
                proto.DimParam = symbol;
            shape.Dim.Add(proto);
        }
        return new ValueInfoProto
        {
            Name = value.Name,
            Type = new TypeProto
            {
                TensorType = new TypeProto.Types.Tensor { ElemType = (int)value.Type, Shape = shape },
            },
        };
    }
}
