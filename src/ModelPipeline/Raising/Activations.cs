using ModelPipeline.Onnx;

namespace ModelPipeline.Raising;

/// <summary>Elementwise operators that optimizers fuse.</summary>
internal static class Activations
{
    /// <summary>The first input with the second added, if there is one.</summary>
    public static string Biased(Expansion e) =>
        e.Has(1) ? e.Value("Add", "biased", [e.Node.Inputs[0], e.Node.Inputs[1]]) : e.Node.Inputs[0];

    /// <summary>x (1 + erf(x / sqrt 2)) / 2, in the order that rknn-toolkit2 fuses.</summary>
    public static void Gelu(Expansion e, string x)
    {
        var erf = e.Value("Erf", "erf", [e.Value("Div", "divided", [x, e.Constant("root_two", Tensor.Scalar(MathF.Sqrt(2)))])]);
        var plusOne = e.Value("Add", "plus_one", [erf, e.Constant("one", Tensor.Scalar(1f))]);
        e.Write(e.Node.Output, "Mul", [e.Value("Mul", "doubled", [x, plusOne]), e.Constant("half", Tensor.Scalar(0.5f))]);
    }

    /// <summary>x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.</summary>
    public static void TanhGelu(Expansion e, string x)
    {
        var cubed = e.Value("Pow", "cubed", [x, e.Constant("three", Tensor.Scalar(3f))]);
        var sum = e.Value("Add", "inner_sum", [x, e.Value("Mul", "inner", [cubed, e.Constant("coefficient", Tensor.Scalar(0.044715f))])]);
        var tanh = e.Value(
            "Tanh",
            "tanh",
            [e.Value("Mul", "inner_scaled", [sum, e.Constant("root", Tensor.Scalar(MathF.Sqrt(2 / MathF.PI)))])]
        );
        var plusOne = e.Value("Add", "plus_one", [tanh, e.Constant("one", Tensor.Scalar(1f))]);
        e.Write(e.Node.Output, "Mul", [e.Value("Mul", "doubled", [x, plusOne]), e.Constant("half", Tensor.Scalar(0.5f))]);
    }

    /// <summary>x sigmoid(alpha x).</summary>
    public static void SigmoidLinear(Expansion e, float alpha)
    {
        alpha = e.Node.Attribute("alpha")?.F ?? alpha;
        var x = e.Node.Inputs[0];
        var scaled = alpha == 1 ? x : e.Value("Mul", "scaled", [x, e.Constant("alpha", Tensor.Scalar(alpha))]);
        e.Write(e.Node.Output, "Mul", [x, e.Value("Sigmoid", "gate", [scaled])]);
    }

    /// <summary>x + bias + skip.</summary>
    public static void BiasAdd(Expansion e) => e.Write(e.Node.Output, "Add", [Biased(e), e.Node.Inputs[2]]);

    public static void BiasSoftmax(Expansion e)
    {
        if (
            e.Graph.Shape(e.Node.Inputs[0]) is not { } shape
            || (e.Node.Int("axis", 1) is var axis && axis != -1 && axis != shape.Count - 1)
        )
            throw e.Refused("runs over more than the last axis, or over one that is not known");
        e.Write(e.Node.Output, "Softmax", [Biased(e)], Attributes.Of("axis", (long)shape.Count - 1));
    }
}
