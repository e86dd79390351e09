namespace ModelPipeline.Raising;

/// <summary>Normalizations over the last axis.</summary>
internal static class Norms
{
    private const float LayerEpsilon = 1e-5f,
        SkipEpsilon = 1e-12f;

    public static void Layer(Expansion e) => Layer(e, e.Node.Inputs[0], (1, 2), Epsilon(e, LayerEpsilon));

    public static void RootMeanSquare(Expansion e) => RootMeanSquare(e, e.Node.Inputs[0], 1, Epsilon(e, LayerEpsilon));

    /// <summary>Of x + skip (+ bias); the fourth output is that sum.</summary>
    public static void SkipLayer(Expansion e) => Layer(e, Sum(e, e.Has(4) ? e.Node.Inputs[4] : null), (2, 3), Epsilon(e, SkipEpsilon));

    public static void SkipRootMeanSquare(Expansion e) =>
        RootMeanSquare(e, Sum(e, e.Has(3) ? e.Node.Inputs[3] : null), 2, Epsilon(e, SkipEpsilon));

    public static float Epsilon(Expansion e, float otherwise) => e.Node.Attribute("epsilon")?.F ?? otherwise;

    /// <summary>y = (x - mean) / sqrt(variance + epsilon) * scale + bias; scale and bias are inputs of the node, the bias may be
    /// absent.</summary>
    public static void Layer(Expansion e, string x, (int Scale, int Bias) weights, float epsilon)
    {
        RequirePlain(e, x);
        var centered = e.Value("Sub", "centered", [x, e.Mean("mean", x)]);
        var variance = e.Mean("variance", e.Value("Pow", "squares", [centered, e.Constant("two", Tensor.Scalar(2f))]));
        var deviation = e.Value(
            "Sqrt",
            "deviation",
            [e.Value("Add", "variance_epsilon", [variance, e.Constant("epsilon", Tensor.Scalar(epsilon))])]
        );
        var normal = e.Value("Div", "normal", [centered, deviation]);
        if (e.Has(weights.Bias))
            e.Write(e.Node.Output, "Add", [e.Value("Mul", "scaled", [normal, e.Node.Inputs[weights.Scale]]), e.Node.Inputs[weights.Bias]]);
        else
            e.Write(e.Node.Output, "Mul", [normal, e.Node.Inputs[weights.Scale]]);
    }

    private static void RootMeanSquare(Expansion e, string x, int scale, float epsilon)
    {
        RequirePlain(e, x);
        var mean = e.Mean("mean_square", e.Value("Mul", "squares", [x, x]));
        var root = e.Value("Sqrt", "root", [e.Value("Add", "mean_square_epsilon", [mean, e.Constant("epsilon", Tensor.Scalar(epsilon))])]);
        e.Write(e.Node.Output, "Mul", [e.Value("Div", "normal", [x, root]), e.Node.Inputs[scale]]);
    }

    /// <summary>x + skip, with the bias added to what a weight made: it was that product's own before it was fused.</summary>
    private static string Sum(Expansion e, string? bias)
    {
        var (x, skip) = (e.Node.Inputs[0], e.Node.Inputs[1]);
        if (bias is not null && e.Graph.Uses.Producer(skip) is { OpType: "MatMul" } && e.Graph.Uses.Producer(x) is not { OpType: "MatMul" })
            (x, skip) = (skip, x);
        if (bias is not null)
            x = e.Value("Add", "biased", [x, bias]);
        return e.Writes(3) ? e.Write(e.Node.Outputs[3], "Add", [x, skip]) : e.Value("Add", "sum", [x, skip]);
    }

    /// <summary>Over the last axis, and without the mean and deviation as outputs, which only training reads.</summary>
    private static void RequirePlain(Expansion e, string x)
    {
        var axis = e.Node.Int("axis", -1);
        if (axis != -1 && e.Graph.Shape(x)?.Count - 1 != axis)
            throw e.Refused($"normalizes from axis {axis}; only the last axis is known");
        if (e.Node.OpType != "EmbedLayerNormalization" && (e.Writes(1) || e.Writes(2)))
            throw e.Refused("its mean or deviation is an output, which only training needs; export the model for inference");
    }
}
