namespace ModelPipeline.Onnx.Patterns;

/// <summary>x W + b: a MatMul, or a Gemm without factors, with a constant fp32 matrix, and the addition of a constant vector behind
/// it.</summary>
/// <param name="Product">The MatMul or Gemm.</param>
/// <param name="Sum">The Add of the bias; null if there is none, or a Gemm adds it.</param>
/// <param name="WeightName">[inputs, outputs], or the other way round if <see cref="Transposed"/>.</param>
/// <param name="Weight">Its value.</param>
/// <param name="BiasName">[outputs], or one number for all of them; null if there is none.</param>
internal sealed record Linear(Node Product, Node? Sum, string WeightName, Tensor Weight, string? BiasName)
{
    public string Input => Product.Inputs[0];

    /// <summary>The value with its bias.</summary>
    public string Output => (Sum ?? Product).Output;

    /// <summary>Whether the weight stands there as [outputs, inputs].</summary>
    public bool Transposed => Product.OpType == "Gemm" && Product.Int("transB", 0) == 1;

    public int Inputs => (int)Weight.Shape[Transposed ? 1 : 0];

    public int Outputs => (int)Weight.Shape[Transposed ? 0 : 1];

    /// <summary>The projection whose product a node is; null for any other node.</summary>
    public static Linear? Of(Node node, UseDef uses)
    {
        if (
            node is not { OpType: "MatMul" or "Gemm", Domain: "" }
            || uses.Constant(node.Inputs[1]) is not { Type: ElementType.Float, Rank: 2 } weight
        )
            return null;
        if (node.OpType == "Gemm")
        {
            var plain = node.Int("transA", 0) == 0 && Factor(node, "alpha") == 1 && Factor(node, "beta") == 1;
            var added = node.Inputs.ElementAtOrDefault(2) is { Length: > 0 } name ? name : null;
            var outputs = weight.Shape[node.Int("transB", 0) == 1 ? 0 : 1];
            return plain && (added is null || IsVector(uses.Constant(added), outputs))
                ? new Linear(node, null, node.Inputs[1], weight, added)
                : null;
        }
        return
            uses.OnlyConsumer(node.Output) is { OpType: "Add" } sum
            && uses.Other(sum, node.Output) is { } bias
            && uses.Constant(bias) is { Rank: <= 1 } vector
            && IsVector(vector, weight.Shape[1])
            ? new Linear(node, sum, node.Inputs[1], weight, bias)
            : new Linear(node, null, node.Inputs[1], weight, null);
    }

    /// <summary>Whether a constant holds one number for each output, or one for all.</summary>
    private static bool IsVector(Tensor? constant, long outputs) =>
        constant is { Type: ElementType.Float } && (constant.Count == 1 || (constant.Count == outputs && constant.Shape[^1] == outputs));

    private static float Factor(Node gemm, string name) => gemm.Attribute(name) is { HasF: true } attribute ? attribute.F : 1;

    /// <summary>The addition of the output to another activation, of which it is the only reader; null if there is none.</summary>
    public Node? Residual(UseDef uses) =>
        uses.OnlyConsumer(Output) is { OpType: "Add" } residual
        && uses.Other(residual, Output) is { } stream
        && uses.Constant(stream) is null
            ? residual
            : null;
}
