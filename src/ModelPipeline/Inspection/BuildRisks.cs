using ModelPipeline.Onnx;

namespace ModelPipeline.Inspection;

/// <summary>What rknn-toolkit2 will make of a prepared graph, as far as builds with 2.3.2 and 2.5.0 have shown: told before one is
/// begun.</summary>
internal static class BuildRisks
{
    /// <summary>The newest that load_onnx takes.</summary>
    private const int NewestOpset = 19;

    /// <summary>Operators of integers and truth values, which both versions leave to the CPU.</summary>
    private static readonly string[] OnTheCpu =
    [
        "And",
        "Equal",
        "GatherND",
        "Greater",
        "GreaterOrEqual",
        "IsNaN",
        "Less",
        "LessOrEqual",
        "Not",
        "Or",
        "Xor",
    ];

    /// <summary>A sentence each, without its full stop; the usual first.</summary>
    /// <param name="model">With fixed shapes and rewritten.</param>
    /// <param name="source">As it was before: where its tables are.</param>
    public static IReadOnlyList<Finding> Of(OnnxModel model, OnnxModel source)
    {
        var graph = model.Graph;
        var counts = graph.Nodes.CountBy(node => node.OpType).ToDictionary();
        List<Finding> findings =
        [
            new("opset", $"{model.Opset}, of which the toolkit takes up to {NewestOpset}", model.Opset > NewestOpset),
            .. EmbeddingTable
                .Of(source.Graph)
                .Where(table => table.Input == "input_ids")
                .Select(table => new Finding(
                    "vocabulary",
                    FormattableString.Invariant(
                        $"{table.Rows:N0} rows of {table.Width}: {table.Rows * table.Width * 2 / 1e6:0.0} MB in fp16, read by the CPU"
                    )
                )),
            .. EmbeddingTable
                .Of(source.Graph)
                .Where(table => table.Input is null && table.IsNamedPosition)
                .Select(table => new Finding("positions", FormattableString.Invariant($"'{table.Name}' has {table.Rows:N0} rows"))),
        ];
        string[] cpu = [.. OnTheCpu.Where(counts.ContainsKey).Select(Counted)];
        if (cpu.Length > 0)
            findings.Add(
                new Finding("toolkit", $"{string.Join(", ", cpu)} will run on the CPU, and each way there and back takes time", true)
            );
        if (counts.ContainsKey("CumSum"))
            findings.Add(
                new Finding(
                    "toolkit",
                    $"{Counted("CumSum")}: 2.3.2 makes a custom operator of it that boards may not have, 2.5.0 leaves it to the CPU; the "
                        + $"rewrite 'positions' takes it out",
                    true
                )
            );
        if (counts.ContainsKey("Erf") && graph.Nodes.Any(node => IsHalvedFirst(node, graph)))
            findings.Add(
                new Finding(
                    "toolkit",
                    $"{Counted("Erf")}: 2.3.2 leaves a GELU in this order to the CPU; the rewrite 'gelu-order' turns it",
                    true
                )
            );
        if (graph.Nodes.Any(node => node.OpType == "GatherElements"))
            findings.Add(
                new Finding(
                    "toolkit",
                    $"{Counted("GatherElements")}: both versions fail on DeBERTa's; the rewrite 'skew' writes it by slices",
                    true
                )
            );
        if (counts.ContainsKey("If"))
            findings.Add(
                new Finding("toolkit", $"{Counted("If")}: both versions fail on it; the rewrite 'fold-shapes' takes its branch", true)
            );
        if (counts.ContainsKey("And") && counts.ContainsKey("Where"))
            findings.Add(
                new Finding(
                    "toolkit",
                    "2.5.0 was seen never to end on a mask made by And and Where: 'toolkit_minutes' ends such a build",
                    true
                )
            );
        return findings;

        string Counted(string op) => $"{op}{(counts[op] > 1 ? $" x {counts[op]}" : "")}";
    }

    /// <summary>x * (0.5 * (1 + erf)), as dynamo's exports have it: a product of the constant half and what stands on an Erf.</summary>
    private static bool IsHalvedFirst(Node node, Graph graph) =>
        node.OpType == "Mul"
        && node.Inputs.Any(input =>
            graph.Initializers.GetValueOrDefault(input) is { Count: 1, Type: ElementType.Float } half && half.Span<float>()[0] == 0.5f
        )
        && node.Inputs.Any(input =>
            graph.Nodes.FirstOrDefault(each => each.Outputs.Contains(input)) is { OpType: "Add" } sum
            && sum.Inputs.Any(term => graph.Nodes.Any(each => each.OpType == "Erf" && each.Outputs.Contains(term)))
        );
}
