using System.Runtime.InteropServices;
using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Proto;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Raising;

/// <summary>
/// float16, bfloat16 and double become float: weights, constants in nodes, casts, inputs and outputs. Exact for the halves, whose every
/// number a float holds; doubles are rounded, and those that no float reaches become its largest.
/// </summary>
internal static class FloatPrecision
{
    private static readonly HashSet<ElementType> Raised = [ElementType.Float16, ElementType.BFloat16, ElementType.Double];

    /// <summary>Attributes that name the element type of a result or of the arithmetic.</summary>
    private static readonly HashSet<string> TypeAttributes = ["to", "dtype", "stash_type", "softmax_precision"];

    public static Rewritten Apply(OnnxModel model)
    {
        var graph = model.Graph;
        var counts = new SortedDictionary<ElementType, (int Tensors, int Nodes)>();
        var raised = graph with
        {
            Inputs = [.. graph.Inputs.Select(FloatInfo)],
            Outputs = [.. graph.Outputs.Select(FloatInfo)],
            Initializers = new OrderedDictionary<string, Tensor>(
                graph.Initializers.Select(entry => KeyValuePair.Create(entry.Key, FloatTensor(entry.Value)))
            ),
            Nodes = [.. graph.Nodes.Select(FloatNode)],
        };
        if (
            graph.Nodes.FirstOrDefault(node => node.Attributes.Any(attribute => attribute.G is { } branch && HoldsRaised(branch))) is
            { } branching
        )
            throw new PipelineException(
                $"{branching.OpType} '{branching.Name}' has a branch of float16, bfloat16 or double numbers; export the model in fp32"
            );
        return counts.Count == 0
            ? Rewritten.Nothing(model)
            : new Rewritten(
                model.With(raised),
                [
                    .. counts.Select(count =>
                        $"{count.Value.Tensors} tensors and {count.Value.Nodes} nodes of {count.Key.ToString().ToLowerInvariant()} are "
                        + $"float now"
                    ),
                ]
            );

        ValueInfo FloatInfo(ValueInfo value) => Counted(value.Type, tensor: true) ? value with { Type = ElementType.Float } : value;

        Tensor FloatTensor(Tensor tensor) => Counted(tensor.Type, tensor: true) ? ToFloat(tensor) : tensor;

        Node FloatNode(Node node) =>
            node.Attributes.Any(IsOfRaised) ? node with { Attributes = [.. node.Attributes.Select(FloatAttribute)] } : node;

        AttributeProto FloatAttribute(AttributeProto attribute)
        {
            if (attribute.T is { } tensor && Counted((ElementType)tensor.DataType, tensor: true))
                return Attributes.Of(attribute.Name, ToFloat(OnnxReader.ReadTensor(tensor)));
            return TypeAttributes.Contains(attribute.Name) && attribute.HasI && Counted((ElementType)attribute.I, tensor: false)
                ? Attributes.Of(attribute.Name, (long)ElementType.Float)
                : attribute;
        }

        bool Counted(ElementType type, bool tensor)
        {
            if (!Raised.Contains(type))
                return false;
            var (tensors, nodes) = counts.GetValueOrDefault(type);
            counts[type] = tensor ? (tensors + 1, nodes) : (tensors, nodes + 1);
            return true;
        }
    }

    private static bool IsOfRaised(AttributeProto attribute) =>
        (attribute.T is { } tensor && Raised.Contains((ElementType)tensor.DataType))
        || (TypeAttributes.Contains(attribute.Name) && attribute.HasI && Raised.Contains((ElementType)attribute.I));

    private static bool HoldsRaised(GraphProto branch) =>
        branch.Initializer.Any(tensor => Raised.Contains((ElementType)tensor.DataType))
        || branch
            .Node.SelectMany(node => node.Attribute)
            .Any(attribute => IsOfRaised(attribute) || (attribute.G is { } inner && HoldsRaised(inner)));

    private static Tensor ToFloat(Tensor tensor) =>
        Tensor.Of(
            tensor.Shape.AsSpan(),
            tensor.Type switch
            {
                ElementType.Float16 => Converted<Half>(tensor, half => (float)half),
                ElementType.BFloat16 => Converted<ushort>(tensor, bits => BitConverter.UInt32BitsToSingle((uint)bits << 16)),
                _ => Converted<double>(
                    tensor,
                    value => double.IsFinite(value) ? (float)Math.Clamp(value, -float.MaxValue, float.MaxValue) : (float)value
                ),
            }
        );

    private static float[] Converted<T>(Tensor tensor, Func<T, float> convert)
        where T : unmanaged
    {
        var values = MemoryMarshal.Cast<byte, T>(tensor.Data.Span);
        var floats = new float[values.Length];
        for (var i = 0; i < floats.Length; i++)
            floats[i] = convert(values[i]);
        return floats;
    }
}
