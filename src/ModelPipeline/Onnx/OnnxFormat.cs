using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Google.Protobuf;
using ModelPipeline.Onnx.Proto;

namespace ModelPipeline.Onnx;

/// <summary>Between protobuf messages and the typed graph. Whatever a hostile file says, reading it ends in a graph or a <see cref="PipelineException"/>.</summary>
internal static class OnnxFormat
{
    private static readonly string[] ControlFlow = ["If", "Loop", "Scan", "SequenceMap"];

    public static long FileLength(string path)
    {
        var file = new FileInfo(path);
        if (!file.Exists)
            throw new PipelineException($"{path}: no such file; an ONNX model was expected there");
        return file.Length <= OnnxModel.MaxBytes
            ? file.Length
            : throw new PipelineException($"{path}: {file.Length:N0} bytes; ONNX files over 2 GB cannot be read: start from an export with at most 2 GB of weights");
    }

    public static OnnxModel Read(Stream stream, long length, string name)
    {
        ModelProto proto;
        try
        {
            proto = ModelProto.Parser.ParseFrom(CodedInputStream.CreateWithLimits(stream, sizeLimit: int.MaxValue, recursionLimit: 64));
        }
        catch (InvalidProtocolBufferException e)
        {
            throw new PipelineException($"{name}: not an ONNX file, or a damaged one ({length:N0} bytes read): {e.Message}", inner: e);
        }
        try
        {
            return ReadModel(proto);
        }
        catch (Exception e) when (e is FormatException or OverflowException)
        {
            throw new PipelineException($"{name}: {e.Message}", inner: e);
        }
    }

    private static OnnxModel ReadModel(ModelProto proto)
    {
        if (proto.Graph is null)
            throw new FormatException("no graph in it; an ONNX model was expected");
        if (proto.Functions.Count > 0)
            throw new FormatException($"holds {proto.Functions.Count} local functions; export the model with them inlined");
        var opset = proto.OpsetImport.FirstOrDefault(import => import.Domain is "" or "ai.onnx")?.Version
            ?? throw new FormatException("imports no version of the standard operator set");
        if (opset is < 7 or > 25)
            throw new FormatException($"opset {opset} is not supported; opsets 7 to 25 are (BERT exports use 11 to 18)");
        var graph = ReadGraph(proto.Graph);
        var header = new ModelProto(proto) { Graph = null };
        return new OnnxModel { Graph = graph, Opset = (int)opset, Header = header };
    }

    private static Graph ReadGraph(GraphProto proto)
    {
        if (proto.SparseInitializer.Count > 0)
            throw new FormatException("sparse initializers are not supported; export dense weights");
        var initializers = new OrderedDictionary<string, Tensor>(proto.Initializer.Count);
        foreach (var tensor in proto.Initializer)
        {
            if (!initializers.TryAdd(tensor.Name, ReadTensor(tensor)))
                throw new FormatException($"initializer '{tensor.Name}' stands there twice");
        }
        var nodes = proto.Node.Select(ReadNode).ToImmutableArray();
        // Files of IR version 3 list initializers among the inputs too.
        var inputs = proto.Input.Where(input => !initializers.ContainsKey(input.Name)).Select(ReadValueInfo).ToImmutableArray();
        var outputs = proto.Output.Select(ReadValueInfo).ToImmutableArray();
        var known = new HashSet<string>(initializers.Keys) { "" };
        foreach (var input in inputs)
        {
            if (!known.Add(input.Name))
                throw new FormatException($"input '{input.Name}' stands there twice");
        }
        foreach (var node in nodes)
        {
            foreach (var input in node.Inputs)
            {
                if (!known.Contains(input))
                    throw new FormatException($"node '{node.Name}' ({node.OpType}) reads '{input}', which nothing before it writes");
            }
            foreach (var output in node.Outputs)
            {
                if (output.Length > 0 && !known.Add(output))
                    throw new FormatException($"node '{node.Name}' ({node.OpType}) writes '{output}', which is written already");
            }
        }
        foreach (var output in outputs)
        {
            if (!known.Contains(output.Name))
                throw new FormatException($"nothing writes the graph output '{output.Name}'");
        }
        if (outputs.Length == 0)
            throw new FormatException("the graph has no output");
        return new Graph { Name = proto.Name, Inputs = inputs, Outputs = outputs, Nodes = nodes, Initializers = initializers };
    }

    private static Node ReadNode(NodeProto proto)
    {
        if (ControlFlow.Contains(proto.OpType))
            throw new FormatException($"node '{proto.Name}' is control flow ({proto.OpType}); export the model without it (trace, do not script)");
        if (proto.Output.Count == 0 || proto.Output[0].Length == 0)
            throw new FormatException($"node '{proto.Name}' ({proto.OpType}) writes nothing");
        return new Node(proto.OpType, proto.Name, [.. proto.Input], [.. proto.Output])
        {
            Domain = proto.Domain,
            Attributes = [.. proto.Attribute],
        };
    }

    private static ValueInfo ReadValueInfo(ValueInfoProto proto)
    {
        if (proto.Type?.TensorType is not { } type)
            throw new FormatException($"'{proto.Name}' is not a tensor; only tensor inputs and outputs are supported");
        var dimensions = type.Shape?.Dim ?? [];
        return new ValueInfo(proto.Name, (ElementType)type.ElemType, [.. dimensions.Select(d =>
            d.ValueCase == TensorShapeProto.Types.Dimension.ValueOneofCase.DimValue
                ? d.DimValue >= 0 ? new Dimension(d.DimValue, null) : throw new FormatException($"'{proto.Name}' has the dimension {d.DimValue}")
                : new Dimension(null, d.HasDimParam ? d.DimParam : null))]);
    }

    public static Tensor ReadTensor(TensorProto proto)
    {
        var type = (ElementType)proto.DataType;
        if (proto.DataLocation == TensorProto.Types.DataLocation.External || proto.ExternalData.Count > 0)
            throw new FormatException($"initializer '{proto.Name}' keeps its data in another file; save the model as one file (under 2 GB) first");
        var size = type.Size();
        if (size == 0)
            throw new FormatException($"tensor '{proto.Name}' has the element type {proto.DataType}, which is not supported");
        ImmutableArray<long> shape = [.. proto.Dims];
        var expected = checked(Tensor.CountOf(shape.AsSpan()) * size);
        var data = proto.HasRawData ? proto.RawData.Memory : TypedData(proto, type);
        return data.Length == expected
            ? new Tensor(type, shape, data)
            : throw new FormatException($"tensor '{proto.Name}' [{string.Join(',', shape)}] {type.ToString().ToLowerInvariant()} needs {expected:N0} bytes, the file has {data.Length:N0}");
    }

    private static ReadOnlyMemory<byte> TypedData(TensorProto proto, ElementType type) => type switch
    {
        ElementType.Float => Bytes<float>([.. proto.FloatData]),
        ElementType.Double => Bytes<double>([.. proto.DoubleData]),
        ElementType.Int64 => Bytes<long>([.. proto.Int64Data]),
        ElementType.UInt64 => Bytes<ulong>([.. proto.Uint64Data]),
        ElementType.UInt32 => Bytes<uint>([.. proto.Uint64Data.Select(value => (uint)value)]),
        ElementType.Int32 => Bytes<int>([.. proto.Int32Data]),
        ElementType.UInt8 or ElementType.Int8 or ElementType.Bool => proto.Int32Data.Select(value => (byte)value).ToArray(),
        _ => Bytes<ushort>([.. proto.Int32Data.Select(value => (ushort)value)]),
    };

    private static byte[] Bytes<T>(T[] values) where T : unmanaged => MemoryMarshal.AsBytes(values.AsSpan()).ToArray();

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
            Type = new TypeProto { TensorType = new TypeProto.Types.Tensor { ElemType = (int)value.Type, Shape = shape } },
        };
    }
}
