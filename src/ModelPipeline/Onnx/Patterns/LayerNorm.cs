namespace ModelPipeline.Onnx.Patterns;

/// <summary>
/// (x - mean) / sqrt(mean((x - mean)^2) + epsilon) * scale + bias over the last axis: as one operator or as exporters write it out, without
/// the bias (ModernBERT), or without the mean (RMS norm).
/// </summary>
/// <param name="Nodes">All of it, in graph order; the last one writes <see cref="Output"/>.</param>
/// <param name="Input">x</param>
/// <param name="Scale">Name of a constant [channels].</param>
/// <param name="Bias">Name of a constant [channels]; null if there is none.</param>
/// <param name="Epsilon">Added to the variance.</param>
/// <param name="Centered">False for an RMS norm.</param>
internal sealed record LayerNorm(IReadOnlyList<Node> Nodes, string Input, string Scale, string? Bias, float Epsilon, bool Centered)
{
    public string Output => Nodes[^1].Output;

    /// <summary>The norm of which a node is the operator, or the square root; null for any other node.</summary>
    /// <param name="node">Any node.</param>
    /// <param name="uses">Of its graph.</param>
    /// <param name="rank">Of a value; null if it is not known.</param>
    public static LayerNorm? Of(Node node, UseDef uses, Func<string, int?> rank) =>
        node switch
        {
            { OpType: "LayerNormalization" or "RMSNormalization" or "SimplifiedLayerNormalization" } => Operator(node, uses, rank),
            { OpType: "Sqrt", Domain: "" } => Written(node, uses),
            _ => null,
        };

    private static LayerNorm? Operator(Node node, UseDef uses, Func<string, int?> rank)
    {
        var bias = node.Inputs.ElementAtOrDefault(2) is { Length: > 0 } name ? name : null;
        var axis = node.Int("axis", -1);
        return IsVector(node.Inputs[1]) && (bias is null || IsVector(bias)) && (axis == -1 || axis == rank(node.Inputs[0]) - 1)
            ? new(
                [node],
                node.Inputs[0],
                node.Inputs[1],
                bias,
                node.Attribute("epsilon") is { HasF: true } epsilon ? epsilon.F : 1e-5f,
                Centered: node.OpType == "LayerNormalization"
            )
            : null;

        bool IsVector(string value) => uses.Constant(value) is { Type: ElementType.Float, Rank: 1 };
    }

    private static LayerNorm? Written(Node sqrt, UseDef uses)
    {
        if (
            uses.Producer(sqrt.Inputs[0]) is not { OpType: "Add" } sum
            || uses.Scalar(sum) is not var (epsilon, variance)
            || uses.Producer(variance) is not { OpType: "ReduceMean" } mean
            || uses.Producer(mean.Inputs[0]) is not { OpType: "Pow" or "Mul" } square
            || !IsSquare(square, uses)
        )
            return null;
        var value = square.Inputs[0];
        List<Node> nodes = [square, mean, sum, sqrt];
        if (
            Divided(value, sqrt, uses, nodes) is not { } normal
            || uses.OnlyConsumer(normal.Output) is not { OpType: "Mul" } scaled
            || Vector(scaled, normal.Output, uses) is not { } scale
        )
            return null;
        nodes.Add(scaled);
        var bias = uses.OnlyConsumer(scaled.Output) is { OpType: "Add" } shifted ? Vector(shifted, scaled.Output, uses) : null;
        if (bias is not null)
            nodes.Add(uses.OnlyConsumer(scaled.Output)!);
        if (
            uses.Producer(value) is { OpType: "Sub" } centered
            && uses.Producer(centered.Inputs[1]) is { OpType: "ReduceMean" } center
            && center.Inputs[0] == centered.Inputs[0]
        )
            return new([center, centered, .. nodes], centered.Inputs[0], scale, bias, epsilon, Centered: true);
        return new(nodes, value, scale, bias, epsilon, Centered: false);
    }

    private static bool IsSquare(Node node, UseDef uses) =>
        node.OpType == "Mul" ? node.Inputs[0] == node.Inputs[1] : uses.Constant(node.Inputs[1])?.SingleFloat() is 2;

    /// <summary>value / sqrt, or value times what is one over it.</summary>
    private static Node? Divided(string value, Node sqrt, UseDef uses, List<Node> nodes)
    {
        if (uses.OnlyConsumer(sqrt.Output) is not { } reader)
            return null;
        if (reader.OpType == "Div" && reader.Inputs[1] == sqrt.Output && reader.Inputs[0] == value)
        {
            nodes.Add(reader);
            return reader;
        }
        var inverse = reader.OpType == "Reciprocal" || (reader.OpType == "Div" && uses.Constant(reader.Inputs[0])?.SingleFloat() is 1);
        if (!inverse || uses.OnlyConsumer(reader.Output) is not { OpType: "Mul" } product || uses.Other(product, reader.Output) != value)
            return null;
        nodes.AddRange([reader, product]);
        return product;
    }

    private static string? Vector(Node node, string value, UseDef uses) =>
        uses.Other(node, value) is { } name && uses.Constant(name) is { Type: ElementType.Float, Rank: 1, Count: > 1 } ? name : null;
}
