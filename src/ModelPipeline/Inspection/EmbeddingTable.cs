using ModelPipeline.Onnx;

namespace ModelPipeline.Inspection;

/// <summary>A constant from which a model takes one row for each token.</summary>
/// <param name="Name">Of the initializer, or of the value of a Constant node.</param>
/// <param name="Rows">Rows that there are.</param>
/// <param name="Width">Numbers a row.</param>
/// <param name="Input">The model input whose values are the row numbers; null where they are computed, as positions are.</param>
internal sealed record EmbeddingTable(string Name, long Rows, long Width, string? Input)
{
    private static readonly HashSet<string> Through = ["Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose"];

    /// <summary>All that the graph reads by Gather, by a slice of its rows, or by ONNX Runtime's fused EmbedLayerNormalization.</summary>
    public static IReadOnlyList<EmbeddingTable> Of(Graph graph)
    {
        var uses = new UseDef(graph);
        var inputs = graph.Inputs.Select(input => input.Name).ToHashSet();
        return [.. graph.Nodes.SelectMany(Reads).Distinct()];

        IEnumerable<EmbeddingTable> Reads(Node node) =>
            node switch
            {
                { OpType: "Gather", Domain: "" } when node.Int("axis", 0) == 0 => Table(node.Inputs[0], Origin(node.Inputs[1])),
                { OpType: "Slice", Domain: "" } => Table(node.Inputs[0], null),
                { OpType: "EmbedLayerNormalization", Inputs.Length: > 4 } =>
                [
                    .. Table(node.Inputs[2], Origin(node.Inputs[0])),
                    .. Table(node.Inputs[3], null),
                    .. Table(node.Inputs[4], Origin(node.Inputs[1]) ?? node.Inputs[1]),
                ],
                _ => [],
            };

        IEnumerable<EmbeddingTable> Table(string data, string? input) =>
            Constant(data, transposed: false) is var (name, shape)
                ? shape switch
                {
                    [var rows, var width] => [new(name, rows, width, input)],
                    [1, var rows, var width] => [new(name, rows, width, input)],
                    _ => [],
                }
                : [];

        // The float constant behind a value, whatever stands between.
        (string Name, IReadOnlyList<long> Shape)? Constant(string value, bool transposed)
        {
            if (uses.Constant(value) is { } tensor)
                return IsFloat(tensor.Type) ? (value, transposed ? [.. tensor.Shape.Reverse()] : [.. tensor.Shape]) : null;
            return uses.Producer(value) switch
            {
                { OpType: "Cast" or "Identity" } node => Constant(node.Inputs[0], transposed),
                { OpType: "Transpose" } node => Constant(node.Inputs[0], !transposed),
                _ => null,
            };
        }

        string? Origin(string value)
        {
            while (!inputs.Contains(value))
            {
                if (uses.Producer(value) is not { } node || !Through.Contains(node.OpType))
                    return null;
                value = node.Inputs[0];
            }
            return value;
        }
    }

    public bool IsNamedPosition => Name.Contains("position", StringComparison.OrdinalIgnoreCase);

    private static bool IsFloat(ElementType type) =>
        type is ElementType.Float or ElementType.Float16 or ElementType.BFloat16 or ElementType.Double;
}
