using System.Globalization;
using System.Numerics;
using System.Numerics.Tensors;
using ModelPipeline.Onnx;

namespace ModelPipeline.Rewrites;

/// <summary>
/// The huge negative numbers by which exports switch off padding (-3.4e38, -65504, -10000, -inf), found by one rule: a float constant of at
/// most
/// -1e4 whose value ends in Softmaxes and nowhere else, by way of elementwise and layout operations: <c>(1 - mask) * C</c>,
/// <c>Where(mask, 0, C)</c>, <c>Where(mask, scores, C)</c>, masks folded into a constant. A constant that has other readers too keeps its
/// value for them.
/// </summary>
internal static class MaskConstants
{
    /// <summary>At most this is meant as minus infinity.</summary>
    private const float Threshold = -1e4f;

    private static readonly HashSet<string> Carriers =
    [
        "Add",
        "Mul",
        "Where",
        "Expand",
        "Unsqueeze",
        "Squeeze",
        "Reshape",
        "Transpose",
        "Identity",
        "Concat",
        "Tile",
        "Min",
        "Max",
        "Flatten",
        "Trilu",
    ];

    /// <summary>Carry their first input only: the second is a divisor, an index, or changes its sign.</summary>
    private static readonly HashSet<string> CarriersOfFirst = ["Sub", "Div", "Slice", "Gather"];

    /// <param name="replacement">What each becomes.</param>
    public static Rewritten Apply(OnnxModel model, float replacement)
    {
        var graph = model.Graph;
        var uses = new UseDef(graph);
        var initializers = new OrderedDictionary<string, Tensor>(graph.Initializers);
        var nodes = graph.Nodes.ToDictionary(node => node, node => node, (IEqualityComparer<Node>)ReferenceEqualityComparer.Instance);
        var matches = new List<string>();
        foreach (
            var name in graph.Initializers.Keys.Concat(graph.Nodes.Where(node => node.OpType == "Constant").Select(node => node.Output))
        )
        {
            // A bound in Min or Max is no mask: at -30 it would cut real scores off.
            if (
                uses.Constant(name) is not { } tensor
                || !(Smallest(tensor) <= Threshold)
                || uses.Consumers(name)
                    .Where(reader => reader.OpType is not ("Min" or "Max") && Carries(reader, name) && EndsInSoftmax(reader.Output, uses))
                    .ToList()
                    is not { Count: > 0 } masking
            )
                continue;
            var rewritten = Rewrite(tensor, replacement);
            matches.Add(Describe(name, tensor, masking, replacement));
            if (masking.Count < uses.Consumers(name).Count || uses.IsOutput(name))
            {
                var copy = graph.Unused($"{name}_mask");
                initializers[copy] = rewritten;
                masking.ForEach(reader => nodes[reader] = nodes[reader].Rewired(name, copy));
            }
            else if (uses.Producer(name) is { } constant)
                nodes[constant] = constant with { Attributes = [Attributes.Of("value", rewritten)] };
            else
                initializers[name] = rewritten;
        }
        foreach (var node in graph.Nodes.Where(node => node.OpType == "ConstantOfShape"))
        {
            if (
                node.Attribute("value") is not { T: { } value }
                || OnnxReader.ReadTensor(value) is not { } tensor
                || !(Smallest(tensor) <= Threshold)
                || !EndsInSoftmax(node.Output, uses)
            )
                continue;
            matches.Add(Describe(node.Output, tensor, uses.Consumers(node.Output), replacement));
            nodes[node] = node with { Attributes = [Attributes.Of("value", Rewrite(tensor, replacement))] };
        }
        return matches.Count == 0
            ? Rewritten.Nothing(model)
            : new Rewritten(
                model.With(graph with { Nodes = [.. graph.Nodes.Select(node => nodes[node])], Initializers = initializers }),
                matches
            );
    }

    /// <summary>The smallest element of a tensor of floats; null for any other.</summary>
    private static double? Smallest(Tensor tensor) =>
        tensor.Count == 0
            ? null
            : tensor.Type switch
            {
                ElementType.Float => TensorPrimitives.Min(tensor.Span<float>()),
                ElementType.Float16 => (double)TensorPrimitives.Min(tensor.Span<Half>()),
                ElementType.Double => TensorPrimitives.Min(tensor.Span<double>()),
                _ => null,
            };

    /// <summary>The tensor with every element of at most <see cref="Threshold"/> replaced.</summary>
    private static Tensor Rewrite(Tensor tensor, float replacement) =>
        tensor.Type switch
        {
            ElementType.Float => Rewrite(tensor, Threshold, replacement),
            ElementType.Float16 => Rewrite(tensor, (Half)Threshold, (Half)replacement),
            _ => Rewrite<double>(tensor, Threshold, replacement),
        };

    private static Tensor Rewrite<T>(Tensor tensor, T threshold, T replacement)
        where T : unmanaged, IFloatingPoint<T> =>
        Tensor.Of<T>(tensor.Shape.AsSpan(), [.. tensor.Span<T>().ToArray().Select(value => value <= threshold ? replacement : value)]);

    /// <summary>Whether everything that a value flows into by way of carriers is a Softmax, or reads its shape alone.</summary>
    public static bool EndsInSoftmax(string value, UseDef uses)
    {
        var found = false;
        var seen = new HashSet<string> { value };
        var pending = new Stack<string>(seen);
        while (pending.TryPop(out var name))
        {
            if (uses.IsOutput(name))
                return false;
            foreach (var node in uses.Consumers(name).Where(node => node.OpType is not ("Shape" or "Size")))
            {
                if (node.OpType == "Softmax")
                    found = true;
                else if (!Carries(node, name))
                    return false;
                else if (seen.Add(node.Output))
                    pending.Push(node.Output);
            }
        }
        return found;
    }

    private static bool Carries(Node node, string value) =>
        Carriers.Contains(node.OpType)
        || (CarriersOfFirst.Contains(node.OpType) && node.Inputs[0] == value && !node.Inputs.Skip(1).Contains(value))
        || (node.OpType == "Cast" && (ElementType)node.Int("to", 0) is ElementType.Float or ElementType.Float16 or ElementType.Double);

    private static string Describe(string name, Tensor tensor, IEnumerable<Node> readers, float replacement) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"{name} ({Smallest(tensor):0.###e+0}) read by {string.Join(", ", readers.Select(node => $"{node.OpType} {node.Name}"))} -> "
                + $"{replacement}"
        );
}
