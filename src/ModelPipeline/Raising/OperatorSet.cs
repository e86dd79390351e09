using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Raising;

/// <summary>
/// The operator set between what int8 needs (one scale a channel came with 13) and what rknn-toolkit2 loads (19). Operators that changed on
/// the way are said anew with the same meaning, those that did not are kept, and any other is refused by name. After the Changelog of the
/// ONNX specification.
/// </summary>
internal static class OperatorSet
{
    public const int Lowest = 13,
        Highest = 19;

    /// <summary>IR versions that came with the two.</summary>
    private const int LowestIr = 7,
        HighestIr = 9;

    /// <summary>Operators that mean from 7 to 13 what they meant, beside additions that an older file does not use.</summary>
    private static readonly HashSet<string> Steady =
    [
        "Abs",
        "Acos",
        "Add",
        "And",
        "ArgMax",
        "ArgMin",
        "Asin",
        "Atan",
        "AveragePool",
        "Cast",
        "Ceil",
        "Compress",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "Conv",
        "Cos",
        "Cosh",
        "CumSum",
        "DepthToSpace",
        "Div",
        "Einsum",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Expand",
        "EyeLike",
        "Flatten",
        "Floor",
        "Gather",
        "GatherElements",
        "GatherND",
        "Gemm",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "Identity",
        "InstanceNormalization",
        "IsInf",
        "IsNaN",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "LpNormalization",
        "MatMul",
        "Max",
        "Mean",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "NonZero",
        "Not",
        "OneHot",
        "Or",
        "PRelu",
        "Pow",
        "Range",
        "Reciprocal",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSumSquare",
        "Relu",
        "Reshape",
        "Round",
        "ScatterElements",
        "ScatterND",
        "Selu",
        "Shape",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Size",
        "Softplus",
        "Softsign",
        "SpaceToDepth",
        "Sqrt",
        "Sub",
        "Sum",
        "Tan",
        "Tanh",
        "Tile",
        "Transpose",
        "Where",
        "Xor",
    ];

    /// <summary>Operators that changed between 7 and 13, and how they are said at 13.</summary>
    private static readonly Dictionary<string, (int Changed, Action<Expansion> Write)> Raised = new()
    {
        ["Slice"] = (10, RaisedOperators.Slice),
        ["TopK"] = (10, RaisedOperators.TopK),
        ["Scatter"] = (11, e => e.Same("ScatterElements")),
        ["Clip"] = (11, RaisedOperators.Clip),
        ["Pad"] = (11, RaisedOperators.Pad),
        ["Dropout"] = (12, RaisedOperators.Dropout),
        ["BatchNormalization"] = (9, RaisedOperators.BatchNormalization),
        ["Softmax"] = (13, RaisedOperators.Softmax),
        ["LogSoftmax"] = (13, RaisedOperators.Softmax),
        ["ReduceSum"] = (13, e => e.AttributeToInput("axes")),
        ["Squeeze"] = (13, e => e.AttributeToInput("axes")),
        ["Unsqueeze"] = (13, e => e.AttributeToInput("axes")),
        ["Split"] = (13, e => e.AttributeToInput("split")),
    };

    /// <summary>Operators that 20 and later brought or changed, and how they are said at 19; null where they cannot be.</summary>
    private static readonly Dictionary<string, (int Changed, Action<Expansion>? Write)> Lowered = new()
    {
        ["Gelu"] = (20, LoweredOperators.Gelu),
        ["AffineGrid"] = (20, null),
        ["DFT"] = (20, null),
        ["GridSample"] = (20, null),
        ["ImageDecoder"] = (20, null),
        ["RegexFullMatch"] = (20, null),
        ["StringConcat"] = (20, null),
        ["StringSplit"] = (20, null),
        ["GroupNormalization"] = (21, null),
        ["Attention"] = (23, LoweredOperators.Attention),
        ["RMSNormalization"] = (23, Norms.RootMeanSquare),
        ["RotaryEmbedding"] = (23, null),
        ["Swish"] = (24, e => Activations.SigmoidLinear(e, 1)),
        ["TensorScatter"] = (24, null),
    };

    /// <exception cref="PipelineException">An operator that cannot be said in the range.</exception>
    public static Rewritten Apply(OnnxModel model)
    {
        if (model.Opset is >= Lowest and <= Highest)
            return Rewritten.Nothing(model);
        return model.Opset < Lowest ? Raise(model) : Lower(model);
    }

    private static Rewritten Raise(OnnxModel model)
    {
        if (
            Names(model, node => node.Domain.Length == 0 && !Steady.Contains(node.OpType) && !Raised.ContainsKey(node.OpType)) is
            { Length: > 0 } unknown
        )
            throw Wrong(model, Lowest, unknown, $"export it at opset {Lowest} to {Highest} (14 and 17 are usual)");
        return Written(
            model,
            (Lowest, Math.Max(model.IrVersion, LowestIr)),
            node => Raised.TryGetValue(node.OpType, out var raised) && model.Opset < raised.Changed ? raised.Write : null
        );
    }

    private static Rewritten Lower(OnnxModel model)
    {
        if (
            Names(
                model,
                node =>
                    (Lowered.TryGetValue(node.OpType, out var lowered) && lowered.Write is null && model.Opset >= lowered.Changed)
                    || Branches(node).Any(Lowered.ContainsKey)
            ) is
            { Length: > 0 } unknown
        )
            throw Wrong(model, Highest, unknown, $"export it at opset {Highest} or below");
        return Written(
            model,
            // Converters of operator sets leave the IR version behind.
            (Highest, HighestIr),
            node => Lowered.TryGetValue(node.OpType, out var lowered) ? lowered.Write : null
        );
    }

    private static Rewritten Written(OnnxModel model, (int Opset, long Ir) wanted, Func<Node, Action<Expansion>?> write)
    {
        Action<Expansion>? Write(Node node) => node.Domain.Length == 0 ? write(node) : null;
        var changed = model
            .Graph.Nodes.Where(node => Write(node) is not null)
            .CountBy(node => node.OpType)
            .OrderBy(count => count.Key, StringComparer.Ordinal)
            .ToList();
        // What is written anew reads the forms of the operator set that it goes to.
        var written = ExpandedGraph.Apply(model, Write, wanted.Opset).WithOpset(wanted.Opset, wanted.Ir);
        var anew = string.Join(", ", changed.Select(count => $"{count.Value} {count.Key}"));
        return new Rewritten(written, [$"opset {model.Opset} -> {wanted.Opset}" + (anew.Length == 0 ? "" : $": {anew} said anew")]);
    }

    private static string Names(OnnxModel model, Func<Node, bool> which) =>
        string.Join(", ", model.Graph.Nodes.Where(which).Select(node => node.OpType).Distinct().Order(StringComparer.Ordinal));

    /// <summary>Operators in the branches of an If, which are not written anew.</summary>
    private static IEnumerable<string> Branches(Node node) =>
        node.Attributes.Where(attribute => attribute.G is not null).SelectMany(attribute => attribute.G.Node).Select(inner => inner.OpType);

    private static PipelineException Wrong(OnnxModel model, int wanted, string operators, string mend) =>
        new($"{model.Graph.Name}: opset {model.Opset} cannot be brought to {wanted}, because of {operators}; {mend}");
}
