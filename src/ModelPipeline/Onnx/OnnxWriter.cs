using System.Globalization;
using Google.Protobuf;
using ModelPipeline.Onnx.Proto;

namespace ModelPipeline.Onnx;

/// <summary>The typed graph to protobuf messages. Tensor data are referred to, not copied.</summary>
internal static class OnnxWriter
{
    /// <summary>Smaller tensors stay in the file.</summary>
    public const int LeastExternal = 1024;

    public static ModelProto ToProto(OnnxModel model) => new(model.Header) { Graph = ToProto(model.Graph) };

    /// <summary>With initializers whose data are in another file.</summary>
    /// <param name="model">All of it.</param>
    /// <param name="location">Name of that file, beside the model's.</param>
    /// <param name="places">Offsets of the initializers that are there.</param>
    public static ModelProto ToProto(OnnxModel model, string location, IReadOnlyDictionary<string, long> places)
    {
        var proto = new ModelProto(model.Header) { Graph = ToProto(model.Graph with { Initializers = [] }) };
        proto.Graph.Initializer.AddRange(
            model.Graph.Initializers.Select(entry =>
                places.TryGetValue(entry.Key, out var offset)
                    ? External(entry.Key, entry.Value, location, offset)
                    : ToProto(entry.Value, entry.Key)
            )
        );
        return proto;
    }

    private static TensorProto External(string name, Tensor tensor, string location, long offset)
    {
        var proto = new TensorProto
        {
            Name = name,
            DataType = (int)tensor.Type,
            DataLocation = TensorProto.Types.DataLocation.External,
        };
        proto.Dims.AddRange(tensor.Shape);
        foreach (
            var (key, value) in new[]
            {
                ("location", location),
                ("offset", offset.ToString(CultureInfo.InvariantCulture)),
                ("length", tensor.Data.Length.ToString(CultureInfo.InvariantCulture)),
            }
        )
            proto.ExternalData.Add(new StringStringEntryProto { Key = key, Value = value });
        return proto;
    }

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
