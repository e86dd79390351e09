namespace ModelPipeline.Onnx.Passes;

/// <summary>
/// Replaces whatever depends on constants and static shapes alone by its value: the tracer's Shape/Gather/Concat/Unsqueeze chains, the
/// position ids and their embedding. ONNX Runtime computes the values in one run. Does nothing while an input is dynamic.
/// </summary>
internal static class FoldShapes
{
    private static readonly HashSet<string> DataDependentShape = ["NonZero", "Unique", "Compress", "NonMaxSuppression", "StringSplit"];
    private static readonly HashSet<string> Random = ["RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"];
    /// <summary>Folding must not blow up the file: a larger result (an Expand of a scalar, say) stays computed.</summary>
    private const long MaxFoldedBytes = 16 << 20;

    public static Rewritten Apply(OnnxModel model)
    {
        var graph = model.Graph;
        if (graph.Inputs.Any(input => input.Shape.Any(dimension => dimension.Value is null)))
            return Rewritten.Nothing(model);
        var shapesAreStatic = !graph.Nodes.Any(node => DataDependentShape.Contains(node.OpType));
        var constant = new HashSet<string>(graph.Initializers.Keys) { "" };
        var folded = new HashSet<Node>(ReferenceEqualityComparer.Instance);
        foreach (var node in graph.Nodes.Where(node => !Random.Contains(node.OpType)))
        {
            if (node.Inputs.All(constant.Contains) || (shapesAreStatic && node.OpType is "Shape" or "Size"))
            {
                folded.Add(node);
                constant.UnionWith(node.Outputs);
            }
        }
        if (folded.Count == 0)
            return Rewritten.Nothing(model);

        var wanted = graph.Nodes.Where(node => !folded.Contains(node)).SelectMany(node => node.Inputs)
            .Concat(graph.Outputs.Select(output => output.Name))
            .Distinct().Where(name => name.Length > 0 && constant.Contains(name) && !graph.Initializers.ContainsKey(name)).ToList();
        var values = Evaluate(model, wanted);
        var kept = graph with
        {
            Initializers = graph.InitializersWith(values),
            Nodes = [.. graph.Nodes.Where(node => !folded.Contains(node) || node.Outputs.Any(output => wanted.Contains(output) && !values.ContainsKey(output)))],
        };
        var result = DeadNodes.Apply(model.With(kept)).Model;
        return new Rewritten(result, [$"{graph.Nodes.Length - result.Graph.Nodes.Length} of {graph.Nodes.Length} nodes folded into {values.Count} constants"]);
    }

    private static Dictionary<string, Tensor> Evaluate(OnnxModel model, List<string> wanted)
    {
        var uses = new UseDef(model.Graph);
        var values = new Dictionary<string, Tensor>();
        foreach (var name in wanted)
        {
            if (uses.Constant(name) is { } known)
                values[name] = known;
        }
        var computed = wanted.Where(name => !values.ContainsKey(name)).ToList();
        if (computed.Count == 0)
            return values;
        var probe = DeadNodes.Apply(model.With(model.Graph with { Outputs = [.. computed.Select(name => new ValueInfo(name, ElementType.Undefined, []))] })).Model;
        using var session = InferenceSessions.Open(probe, new RunSettings(Optimize: false));
        var zeros = probe.Graph.Inputs.Select(input => new long[input.Shape[1].Value!.Value]).ToList();
        using var outputs = session.Run(zeros, computed);
        foreach (var (name, value) in computed.Zip(outputs))
        {
            var info = value.GetTensorTypeAndShape();
            var type = (ElementType)info.ElementDataType;
            if (type.Size() > 0 && info.ElementCount * type.Size() <= MaxFoldedBytes)
                values[name] = new Tensor(type, [.. info.Shape], value.GetTensorDataAsSpan<byte>().ToArray());
        }
        return values;
    }
}
