using System.Collections.Immutable;

namespace ModelPipeline.Onnx.Passes;

/// <summary>
/// Rewrites the huge negative numbers by which exports switch off padding (-3.4e38, -65504, -10000, -inf) to -30. exp(-30) is 1e-13, so fp32
/// scores stay; an int8 scale that has to cover -10000 leaves nothing for the attention scores themselves. Every usual export is found by one
/// rule: a float constant of at most -1e4 whose value reaches a Softmax through elementwise and layout operations: <c>(1 - mask) * C</c>,
/// <c>Where(mask, 0, C)</c>, <c>Where(mask, scores, C)</c>, masks folded into a constant.
/// </summary>
internal static class AttentionMask
{
    /// <summary>At most this is meant as minus infinity.</summary>
    private const float Threshold = -1e4f;
    private const float Replacement = -30f;

    private static readonly HashSet<string> Carriers =
    [
        "Add", "Sub", "Mul", "Div", "Where", "Expand", "Unsqueeze", "Squeeze", "Reshape", "Transpose", "Cast", "Identity", "Slice", "Concat",
        "Gather", "Tile", "Min", "Max", "Flatten", "ConstantOfShape",
    ];

    public static Rewritten Apply(OnnxModel model)
    {
        var graph = model.Graph;
        var uses = new UseDef(graph);
        var matches = new List<string>();
        var initializers = new Dictionary<string, Tensor>();
        foreach (var (name, tensor) in graph.Initializers)
        {
            if (Rewrite(tensor) is { } rewritten && ReachesSoftmax(name, uses))
            {
                initializers[name] = rewritten;
                matches.Add(Describe(name, tensor, uses));
            }
        }
        var nodes = graph.Nodes.Select(node =>
        {
            if (node.OpType is not ("Constant" or "ConstantOfShape") || node.Attribute("value") is not { T: { } proto } || OnnxFormat.ReadTensor(proto) is not { } tensor
                || Rewrite(tensor) is not { } rewritten || !ReachesSoftmax(node.Output, uses))
                return node;
            matches.Add(Describe(node.Output, tensor, uses));
            return node with { Attributes = [.. node.Attributes.Where(attribute => attribute.Name != "value"), Attributes.Of("value", rewritten)] };
        }).ToImmutableArray();
        return matches.Count == 0
            ? Rewritten.Nothing(model)
            : new Rewritten(model.With(graph with { Nodes = nodes, Initializers = graph.InitializersWith(initializers) }), matches);
    }

    /// <summary>The tensor with every element of at most <see cref="Threshold"/> replaced; null if there is none.</summary>
    private static Tensor? Rewrite(Tensor tensor) => tensor.Type switch
    {
        ElementType.Float => Replace<float>(tensor, value => value <= Threshold, Replacement),
        ElementType.Float16 => Replace<Half>(tensor, value => value <= (Half)Threshold, (Half)Replacement),
        ElementType.Double => Replace<double>(tensor, value => value <= Threshold, Replacement),
        _ => null,
    };

    private static Tensor? Replace<T>(Tensor tensor, Func<T, bool> isMask, T replacement) where T : unmanaged
    {
        T[]? rewritten = null;
        var values = tensor.Span<T>();
        for (var i = 0; i < values.Length; i++)
        {
            if (isMask(values[i]))
                (rewritten ??= values.ToArray())[i] = replacement;
        }
        return rewritten is null ? null : Tensor.Of<T>(tensor.Shape.AsSpan(), rewritten);
    }

    private static bool ReachesSoftmax(string value, UseDef uses)
    {
        var seen = new HashSet<string> { value };
        var pending = new Stack<string>(seen);
        while (pending.TryPop(out var name))
        {
            foreach (var node in uses.Consumers(name))
            {
                if (node.OpType == "Softmax")
                    return true;
                if (Carriers.Contains(node.OpType) && seen.Add(node.Output))
                    pending.Push(node.Output);
            }
        }
        return false;
    }

    private static string Describe(string name, Tensor tensor, UseDef uses)
    {
        var smallest = tensor.Type switch
        {
            ElementType.Float => tensor.Span<float>().ToArray().Min(),
            ElementType.Float16 => (float)tensor.Span<Half>().ToArray().Min(),
            _ => tensor.Span<double>().ToArray().Min(),
        };
        return $"{name} ({smallest:0.###e+0}) read by {string.Join(", ", uses.Consumers(name).Select(node => $"{node.OpType} {node.Name}"))} -> {Replacement}";
    }
}
