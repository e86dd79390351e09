using System.Buffers;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Google.Protobuf;
using ModelPipeline.Core;
using ModelPipeline.Onnx.Proto;

namespace ModelPipeline.Onnx;

/// <summary>
/// Bytes to the typed graph. Tensors stay where they are: their data are slices of the bytes. Whatever a hostile file says, reading it ends
/// in a model or a <see cref="PipelineException"/>, and allocates at most the file's size and <see cref="Slack"/> beside the bytes.
/// </summary>
internal static class OnnxReader
{
    public const int OldestOpset = 7,
        NewestOpset = 25;

    /// <summary>Bytes that the structure of the smallest model may take in memory; larger files may take their own size more.</summary>
    private const long Slack = 32 << 20;
    private const int MaxRank = 32;

    public static byte[] ReadFile(string path)
    {
        try
        {
            using var file = File.OpenHandle(path, options: FileOptions.SequentialScan);
            var length = RandomAccess.GetLength(file);
            if (length > OnnxModel.MaxBytes)
                throw new PipelineException(
                    $"{path}: {length:N0} bytes; ONNX files over 2 GB cannot be read: start from an export with at most 2 GB of weights"
                );
            var bytes = GC.AllocateUninitializedArray<byte>((int)length);
            var read = 0;
            while (read < bytes.Length)
            {
                var count = RandomAccess.Read(file, bytes.AsSpan(read), read);
                read +=
                    count > 0
                        ? count
                        : throw new PipelineException($"{path}: became shorter while it was read; let its writer finish first");
            }
            return bytes;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new PipelineException($"{path}: no such file; an ONNX model was expected there", inner: e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new PipelineException($"{path}: cannot be read: {e.Message}", inner: e);
        }
    }

    public static OnnxModel Read(ReadOnlyMemory<byte> bytes, string name, ExternalData? data = null)
    {
        try
        {
            return ReadModel(bytes, data);
        }
        catch (Exception e) when (e is InvalidProtocolBufferException or FormatException or OverflowException)
        {
            throw new PipelineException($"{name}: not a usable ONNX model ({bytes.Length:N0} bytes): {e.Message}", inner: e);
        }
    }

    private static OnnxModel ReadModel(ReadOnlyMemory<byte> bytes, ExternalData? data)
    {
        var (headerBytes, graphs) = WireMessage.Split(bytes, ModelProto.GraphFieldNumber);
        if (graphs is not [(_, var graph)])
            throw new FormatException(
                graphs.Count == 0 ? "there is no graph in it" : $"there are {graphs.Count} graphs in it, where one was expected"
            );
        var (graphBytes, tensors) = WireMessage.Split(graph, GraphProto.InitializerFieldNumber);
        var initializers = tensors
            .Select(tensor =>
                WireMessage.Split(
                    tensor.Content,
                    TensorProto.RawDataFieldNumber,
                    TensorProto.FloatDataFieldNumber,
                    TensorProto.DoubleDataFieldNumber
                )
            )
            .ToList();
        var cost =
            WireMessage.Cost(headerBytes, ModelProto.Descriptor)
            + WireMessage.Cost(graphBytes, GraphProto.Descriptor)
            + initializers.Sum(tensor => WireMessage.Cost(tensor.Remainder, TensorProto.Descriptor));
        if (cost > bytes.Length + Slack)
            throw new FormatException(
                $"reading its structure would take {cost >> 20:N0} MB; tensors belong into raw_data, and the rest of a real model is small"
            );

        var header = Parse(ModelProto.Parser, headerBytes);
        if (header.Functions.Count > 0)
            throw new FormatException($"it holds {header.Functions.Count} local functions; export the model with them inlined");
        var opset =
            header.OpsetImport.FirstOrDefault(import => import.Domain is "" or "ai.onnx")?.Version
            ?? throw new FormatException("it imports no version of the standard operator set");
        if (opset is < OldestOpset or > NewestOpset)
            throw new FormatException(
                $"opset {opset} is not supported; opsets {OldestOpset} to {NewestOpset} are (BERT exports use 11 to 18)"
            );
        return new OnnxModel
        {
            Graph = ReadGraph(
                Parse(GraphProto.Parser, graphBytes),
                initializers.Select(tensor => ReadInitializer(tensor.Remainder, tensor.Cut, data))
            ),
            Opset = (int)opset,
            Header = header,
        };
    }

    private static T Parse<T>(MessageParser<T> parser, ReadOnlySequence<byte> bytes)
        where T : IMessage<T> => parser.WithDiscardUnknownFields(true).ParseFrom(bytes);

    private static (string Name, Tensor Value) ReadInitializer(
        ReadOnlySequence<byte> rest,
        IReadOnlyList<(int Field, ReadOnlyMemory<byte> Content)> data,
        ExternalData? external
    )
    {
        var proto = Parse(TensorProto.Parser, rest);
        return (
            proto.Name,
            data switch
            {
                [] => ReadTensor(proto, null, external),
                [(TensorProto.RawDataFieldNumber, var raw)] => ReadTensor(proto, raw),
                [(TensorProto.FloatDataFieldNumber, var floats)] when proto.DataType == (int)ElementType.Float => ReadTensor(proto, floats),
                [(TensorProto.DoubleDataFieldNumber, var doubles)] when proto.DataType == (int)ElementType.Double => ReadTensor(
                    proto,
                    doubles
                ),
                _ => throw new FormatException($"initializer '{proto.Name}' holds its data twice, or in a field of another type"),
            }
        );
    }

    private static Graph ReadGraph(GraphProto proto, IEnumerable<(string Name, Tensor Value)> tensors)
    {
        if (proto.SparseInitializer.Count > 0)
            throw new FormatException("sparse initializers are not supported; export dense weights");
        var initializers = Named(tensors);
        // Files of IR version 3 list initializers among the inputs too.
        var graph = new Graph
        {
            Name = proto.Name,
            Inputs = [.. proto.Input.Where(input => !initializers.ContainsKey(input.Name)).Select(ReadValueInfo)],
            Outputs = [.. proto.Output.Select(ReadValueInfo)],
            Nodes = [.. proto.Node.Select(ReadNode)],
            Initializers = initializers,
        };
        foreach (var violation in SingleAssignment.Violations(graph))
            throw new FormatException(violation);
        return graph;
    }

    private static OrderedDictionary<string, Tensor> Named(IEnumerable<(string Name, Tensor Value)> tensors)
    {
        var initializers = new OrderedDictionary<string, Tensor>();
        foreach (var (name, value) in tensors)
        {
            if (name.Length == 0 || !initializers.TryAdd(name, value))
                throw new FormatException(name.Length == 0 ? "an initializer has no name" : $"initializer '{name}' stands there twice");
        }
        return initializers;
    }

    /// <summary>The content of one branch of an If, which may read values of the graph around it.</summary>
    /// <exception cref="FormatException">As for any graph.</exception>
    public static (IReadOnlyList<Node> Nodes, IReadOnlyDictionary<string, Tensor> Initializers, IReadOnlyList<string> Outputs) ReadBranch(
        GraphProto proto
    ) =>
        (
            [.. proto.Node.Select(ReadNode)],
            Named(proto.Initializer.Select(tensor => (tensor.Name, ReadTensor(tensor)))),
            [.. proto.Output.Select(output => output.Name)]
        );

    private static IEnumerable<string> Captured(NodeProto proto)
    {
        foreach (var branch in proto.Attribute.Where(attribute => attribute.G is not null).Select(attribute => attribute.G))
        {
            var known = branch.Node.SelectMany(node => node.Output).Concat(branch.Initializer.Select(tensor => tensor.Name)).ToHashSet();
            var read = branch
                .Node.SelectMany(node => node.Input.Concat(Captured(node)))
                .Concat(branch.Output.Select(output => output.Name));
            foreach (var name in read.Where(name => name.Length > 0 && !known.Contains(name)))
                yield return name;
        }
    }

    private static Node ReadNode(NodeProto proto)
    {
        if (proto.Output.Count == 0 || proto.Output[0].Length == 0)
            throw new FormatException($"node '{proto.Name}' ({proto.OpType}) writes nothing");
        foreach (var attribute in proto.Attribute)
        {
            if (attribute.Graphs.Count > 0 || (attribute.G is not null && proto.OpType != "If"))
                throw new FormatException(
                    $"node '{proto.Name}' is control flow ({proto.OpType}); export the model without it (trace, do not script)"
                );
            if (attribute.G is { } branch)
                ReadBranch(branch);
            foreach (var tensor in attribute.T is { } single ? attribute.Tensors.Append(single) : attribute.Tensors)
                ReadTensor(tensor);
        }
        return new Node(proto.OpType, proto.Name, [.. proto.Input], [.. proto.Output])
        {
            Domain = proto.Domain == "ai.onnx" ? "" : proto.Domain,
            Attributes = [.. proto.Attribute],
            Captured = [.. Captured(proto).Distinct()],
        };
    }

    private static ValueInfo ReadValueInfo(ValueInfoProto proto)
    {
        if (proto.Type?.TensorType is not { Shape: { } shape } type)
            throw new FormatException($"'{proto.Name}' is not a tensor with a shape; only such inputs and outputs are supported");
        if (((ElementType)type.ElemType).Size() == 0)
            throw new FormatException($"'{proto.Name}' has the element type {type.ElemType}, which is not supported");
        return new ValueInfo(
            proto.Name,
            (ElementType)type.ElemType,
            [.. shape.Dim.Select(dimension => ReadDimension(proto.Name, dimension))]
        );
    }

    private static Dimension ReadDimension(string name, TensorShapeProto.Types.Dimension proto)
    {
        if (proto.ValueCase != TensorShapeProto.Types.Dimension.ValueOneofCase.DimValue)
            return new Dimension(null, proto.HasDimParam ? proto.DimParam : null);
        return proto.DimValue >= 0
            ? new Dimension(proto.DimValue, null)
            : throw new FormatException($"'{name}' has the dimension {proto.DimValue}");
    }

    /// <summary>The tensor of an attribute or initializer.</summary>
    /// <param name="proto">As it is in the file.</param>
    /// <param name="cut">Data that the message itself no longer holds.</param>
    /// <param name="external">Files that may hold its data; null where they cannot.</param>
    /// <exception cref="FormatException">External data that are not there, an unknown element type, or data of another length than the
    /// shape's.</exception>
    public static Tensor ReadTensor(TensorProto proto, ReadOnlyMemory<byte>? cut = null, ExternalData? external = null)
    {
        var type = (ElementType)proto.DataType;
        if (IsExternal(proto) && external is null)
            throw new FormatException(
                $"tensor '{proto.Name}' keeps its data in another file; save the model as one file (under 2 GB) first"
            );
        var size = type.Size();
        if (size == 0)
            throw new FormatException($"tensor '{proto.Name}' has the element type {proto.DataType}, which is not supported");
        if (proto.Dims.Count > MaxRank)
            throw new FormatException($"tensor '{proto.Name}' has {proto.Dims.Count:N0} dimensions; at most {MaxRank} make sense");
        ImmutableArray<long> shape = [.. proto.Dims];
        var expected = checked(Tensor.CountOf(shape.AsSpan()) * size);
        var data = IsExternal(proto)
            ? external!.Of(proto, expected)
            : cut ?? (proto.HasRawData ? proto.RawData.Memory : TypedData(proto, type));
        return data.Length == expected
            ? new Tensor(type, shape, data)
            : throw new FormatException(
                $"tensor '{proto.Name}' [{string.Join(',', shape)}] {type.ToString().ToLowerInvariant()} needs {expected:N0} bytes, the "
                    + $"file has {data.Length:N0}"
            );
    }

    public static bool IsExternal(TensorProto proto) =>
        proto.DataLocation == TensorProto.Types.DataLocation.External || proto.ExternalData.Count > 0;

    private static ReadOnlyMemory<byte> TypedData(TensorProto proto, ElementType type) =>
        type switch
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

    private static byte[] Bytes<T>(T[] values)
        where T : unmanaged => MemoryMarshal.AsBytes(values.AsSpan()).ToArray();
}
