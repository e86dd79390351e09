namespace ModelPipeline.Raising;

/// <summary>Matrix products with what optimizers fuse into them.</summary>
internal static class Products
{
    private static readonly HashSet<string> PlainActivations = ["Relu", "Tanh", "Sigmoid"];

    /// <summary>alpha op(A) op(B), where op may swap the last two axes.</summary>
    public static void MatMul(Expansion e)
    {
        if (e.Node.Int("transBatchA", 0) != 0 || e.Node.Int("transBatchB", 0) != 0)
            throw e.Refused("swaps its operands' batch with their rows, which is not known here; start from the model as it was exported");
        var (a, b) = (Swapped(e, 0, "transA"), Swapped(e, 1, "transB"));
        var alpha = e.Node.Attribute("alpha")?.F ?? 1;
        if (alpha == 1)
            e.Write(e.Node.Output, "MatMul", [a, b]);
        else
            e.Write(e.Node.Output, "Mul", [e.Value("MatMul", "product", [a, b]), e.Constant("alpha", Tensor.Scalar(alpha))]);
    }

    /// <summary>A Gemm, and the activation behind it.</summary>
    public static void Gemm(Expansion e)
    {
        var activation = e.Node.Attribute("activation")?.S.ToStringUtf8() ?? "";
        if (!PlainActivations.Contains(activation))
            throw e.Refused($"has the activation '{activation}'; known are {string.Join(", ", PlainActivations)}");
        var product = e.Value(
            "Gemm",
            "product",
            e.Node.Inputs,
            [.. e.Node.Attributes.Where(attribute => !attribute.Name.StartsWith("activation", StringComparison.Ordinal))]
        );
        e.Write(e.Node.Output, activation, [product]);
    }

    private static string Swapped(Expansion e, int input, string attribute)
    {
        var value = e.Node.Inputs[input];
        if (e.Node.Int(attribute, 0) == 0)
            return value;
        var rank =
            e.Graph.Shape(value)?.Count
            ?? throw e.Refused($"'{value}', which it transposes, has a rank that does not follow from the graph");
        if (rank < 2)
            return value;
        long[] order = [.. Enumerable.Range(0, rank - 2), rank - 1, rank - 2];
        return e.Transpose($"{attribute}posed", value, order);
    }
}
