using ModelPipeline.Onnx;

namespace ModelPipeline.Rewrites;

/// <summary>
/// Replaces positions that are counted at run time (RoBERTa, XLM-R, MPNet: a CumSum over what is no padding) by the constant that they are
/// for text padded on the right. CumSum runs on the CPU or as a custom operator. Positions of padding differ after, and what stands there:
/// nothing
/// reads it.
/// </summary>
internal static class Positions
{
    private const int Probes = 5;
    private static readonly HashSet<string> Arithmetic = ["Add", "Sub", "Mul", "Cast", "Unsqueeze", "Squeeze", "Identity"];
    private static readonly HashSet<string> Readers = ["Gather", "GatherElements"];

    public static Rewritten Apply(OnnxModel model)
    {
        var graph = model.Graph;
        if (!graph.Nodes.Any(node => node.OpType == "CumSum"))
            return Rewritten.Nothing(model, "no positions are counted at run time");
        if (graph.Inputs.Any(input => input.Shape.Any(dimension => dimension.Value is null)))
            return Rewritten.Nothing(model, "an input is dynamic");
        var indices = Indices(graph);
        if (indices.Count == 0)
            return Rewritten.Nothing(model, "no table is read by what is counted");
        var constants = Constants(model, indices);
        if (constants.Count == 0)
            return Rewritten.Nothing(model, "what is counted differs between texts");
        var names = constants.ToDictionary(entry => entry.Key, entry => graph.Unused($"{entry.Key}_constant"));
        var rewritten = model.With(
            graph with
            {
                Initializers = graph.InitializersWith(constants.Select(entry => KeyValuePair.Create(names[entry.Key], entry.Value))),
                Nodes =
                [
                    .. graph.Nodes.Select(node =>
                        Readers.Contains(node.OpType) && names.TryGetValue(node.Inputs[1], out var constant)
                            ? node with
                            {
                                Inputs = node.Inputs.SetItem(1, constant),
                            }
                            : node
                    ),
                ],
            }
        );
        return new Rewritten(
            FoldShapes.Apply(DeadNodes.Apply(rewritten).Model).Model,
            [.. constants.Select(entry => $"{entry.Key} -> {entry.Value.Span<long>()[0]}, {entry.Value.Span<long>()[0] + 1}, ..")]
        );
    }

    /// <summary>Indices of tables that are computed from a CumSum by arithmetic.</summary>
    private static List<string> Indices(Graph graph)
    {
        var counted = new HashSet<string>();
        List<string> indices = [];
        foreach (var node in graph.Nodes)
        {
            if (node.OpType == "CumSum" || (Arithmetic.Contains(node.OpType) && node.Inputs.Any(counted.Contains)))
                counted.UnionWith(node.Outputs);
            else if (Readers.Contains(node.OpType) && counted.Contains(node.Inputs[1]) && !indices.Contains(node.Inputs[1]))
                indices.Add(node.Inputs[1]);
        }
        return indices;
    }

    /// <summary>The values of those that are the same for every text, where it has tokens.</summary>
    private static Dictionary<string, Tensor> Constants(OnnxModel model, List<string> indices)
    {
        var probe = DeadNodes
            .Apply(model.With(model.Graph with { Outputs = [.. indices.Select(name => new ValueInfo(name, ElementType.Undefined, []))] }))
            .Model;
        using var session = InferenceSessions.Open(probe, new RunSettings(Threads: 1, Optimize: false));
        var constants = new Dictionary<string, Tensor>();
        var refuted = new HashSet<string>();
        foreach (var text in Probe.Of(probe.Graph, Probes))
        {
            using var values = session.Run(text.Values(), indices);
            foreach (var (name, value) in indices.Zip(values))
            {
                var info = value.GetTensorTypeAndShape();
                if (
                    (ElementType)info.ElementDataType != ElementType.Int64
                    || info.ElementCount != text.Batch * text.Sequence
                    || refuted.Contains(name)
                )
                    continue;
                var numbers = value.GetTensorDataAsSpan<long>().ToArray();
                if (!constants.TryGetValue(name, out var full))
                {
                    if (text.HasPadding)
                        continue;
                    constants[name] = Tensor.Of([.. info.Shape], numbers);
                }
                else if (
                    Enumerable
                        .Range(0, numbers.Length)
                        .Any(position => text.IsReal(position) && numbers[position] != full.Span<long>()[position])
                )
                {
                    constants.Remove(name);
                    refuted.Add(name);
                }
            }
        }
        return constants;
    }
}
