using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using ModelPipeline.Onnx;

namespace ModelPipeline.Rewrites;

/// <summary>
/// Replaces whatever depends on constants and static shapes alone by its value: the tracer's Shape/Gather/Concat/Unsqueeze chains, the
/// position ids and their embedding. ONNX Runtime computes the values in one run. Does nothing while an input is dynamic.
/// </summary>
internal static class FoldShapes
{
    /// <summary>Operators that give something else each time.</summary>
    internal static readonly HashSet<string> Random =
    [
        "RandomNormal",
        "RandomUniform",
        "RandomNormalLike",
        "RandomUniformLike",
        "Multinomial",
        "Bernoulli",
    ];

    /// <summary>Operators whose result's shape depends on the values of their first input.</summary>
    private static readonly HashSet<string> ShapedByData =
    [
        "NonZero",
        "Unique",
        "Compress",
        "NonMaxSuppression",
        "StringSplit",
        "ConstantOfShape",
        "Range",
        "If",
    ];

    /// <summary>Operators whose result's shape depends on the values of their further inputs.</summary>
    private static readonly HashSet<string> ShapedByOperands =
    [
        "Reshape",
        "Expand",
        "Slice",
        "Tile",
        "Pad",
        "OneHot",
        "TopK",
        "Resize",
        "Upsample",
        "Squeeze",
        "Unsqueeze",
        "Split",
        "SplitToSequence",
        "NonMaxSuppression",
        "Compress",
        "Range",
        "CenterCropPad",
        "ReduceMean",
        "ReduceSum",
        "ReduceMax",
        "ReduceMin",
        "ReduceL2",
        "ReduceProd",
        "ReduceSumSquare",
    ];

    /// <summary>Folding must not blow up the file: a larger result (an Expand of a scalar, say) stays computed.</summary>
    private const long MaxFoldedBytes = 16 << 20;

    public static Rewritten Apply(OnnxModel model)
    {
        if (model.Graph.Inputs.Any(input => input.Shape.Any(dimension => dimension.Value is null)))
            return Rewritten.Nothing(model, "an input is dynamic");
        var folded = Fold(model);
        // A branch that was taken can make more constant.
        while (Branches.Inline(folded.Model) is { } inlined)
            folded = new Rewritten(Fold(inlined.Model).Model, [.. folded.Matches, .. inlined.Matches]);
        return folded.Matches.Count == 0 ? Rewritten.Nothing(model, "nothing depends on constants and shapes alone") : folded;
    }

    private static Rewritten Fold(OnnxModel model)
    {
        var graph = model.Graph;
        var foldable = Foldable(graph);
        var wanted = graph
            .Nodes.Where(node => !foldable.Contains(node))
            .SelectMany(node => node.Reads)
            .Concat(graph.Outputs.Select(output => output.Name))
            .ToHashSet();
        var boundary = graph.Nodes.Where(node => foldable.Contains(node) && node.Outputs.Any(wanted.Contains)).ToList();
        if (boundary.Count == 0)
            return Rewritten.Nothing(model);
        var values = Evaluate(model, [.. boundary.SelectMany(node => node.Outputs).Where(wanted.Contains)]);
        // A node stays, with the chain behind it, if one of its values cannot become a constant.
        var replaced = boundary
            .Where(node => node.Outputs.Where(wanted.Contains).All(values.ContainsKey))
            .ToHashSet<Node>(ReferenceEqualityComparer.Instance);
        if (replaced.Count == 0)
            return Rewritten.Nothing(model);
        var constants = replaced
            .SelectMany(node => node.Outputs)
            .Where(wanted.Contains)
            .Select(name => KeyValuePair.Create(name, values[name]))
            .ToList();
        var result = DeadNodes
            .Apply(
                model.With(
                    graph with
                    {
                        Initializers = graph.InitializersWith(constants),
                        Nodes = [.. graph.Nodes.Where(node => !replaced.Contains(node))],
                    }
                )
            )
            .Model;
        return new Rewritten(
            result,
            [$"{graph.Nodes.Length - result.Graph.Nodes.Length} of {graph.Nodes.Length} nodes folded into {constants.Count} constants"]
        );
    }

    /// <summary>Nodes whose results are the same for every input of the pinned shapes.</summary>
    private static HashSet<Node> Foldable(Graph graph)
    {
        var constant = new HashSet<string>(graph.Initializers.Keys) { "" };
        var dynamic = new HashSet<string>();
        var foldable = new HashSet<Node>(ReferenceEqualityComparer.Instance);
        foreach (var node in graph.Nodes)
        {
            var shapesAreKnown = !node.Reads.Any(dynamic.Contains);
            if (
                !Random.Contains(node.OpType)
                && (node.Reads.All(constant.Contains) || (shapesAreKnown && node is { OpType: "Shape" or "Size", Domain: "" }))
            )
            {
                foldable.Add(node);
                constant.UnionWith(node.Outputs);
            }
            else if (
                !shapesAreKnown
                || (ShapedByData.Contains(node.OpType) && !constant.Contains(node.Inputs[0]))
                || (ShapedByOperands.Contains(node.OpType) && !node.Inputs.Skip(1).All(constant.Contains))
            )
            {
                dynamic.UnionWith(node.Outputs);
            }
        }
        return foldable;
    }

    private static Dictionary<string, Tensor> Evaluate(OnnxModel model, List<string> wanted)
    {
        var uses = new UseDef(model.Graph);
        var values = wanted
            .Select(name => (name, Value: uses.Constant(name)))
            .Where(entry => entry.Value is not null)
            .ToDictionary(entry => entry.name, entry => entry.Value!);
        var computed = wanted.Where(name => !values.ContainsKey(name)).ToList();
        if (computed.Count == 0)
            return values;
        var probe = DeadNodes
            .Apply(model.With(model.Graph with { Outputs = [.. computed.Select(name => new ValueInfo(name, ElementType.Undefined, []))] }))
            .Model;
        using var session = InferenceSessions.Open(probe, new RunSettings(Optimize: false));
        using var outputs = session.Run([.. probe.Graph.Inputs.Select(Zeros)], computed);
        foreach (var (name, value) in computed.Zip(outputs))
        {
            var info = value.GetTensorTypeAndShape();
            var type = (ElementType)info.ElementDataType;
            if (type.Size() > 0 && info.ElementCount * type.Size() <= MaxFoldedBytes)
                values[name] = new Tensor(type, [.. info.Shape], value.GetTensorDataAsSpan<byte>().ToArray());
        }
        return values;
    }

    private static OrtValue Zeros(ValueInfo input)
    {
        var value = OrtValue.CreateAllocatedTensorValue(
            OrtAllocator.DefaultInstance,
            (TensorElementType)input.Type,
            [.. input.Shape.Select(dimension => dimension.Value!.Value)]
        );
        value.GetTensorMutableRawData().Clear();
        return value;
    }
}
