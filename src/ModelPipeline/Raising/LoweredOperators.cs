using ModelPipeline.Onnx;

namespace ModelPipeline.Raising;

/// <summary>Operators of opset 20 and later said at opset 19.</summary>
internal static class LoweredOperators
{
    public static void Gelu(Expansion e)
    {
        var approximate = e.Node.Attribute("approximate")?.S.ToStringUtf8() ?? "none";
        if (approximate == "tanh")
            Activations.TanhGelu(e, e.Node.Inputs[0]);
        else
            Activations.Gelu(e, e.Node.Inputs[0]);
    }

    /// <summary>Query, key, value [batch, heads, tokens, size] and a mask that is added or, as booleans, selects; without a
    /// cache.</summary>
    public static void Attention(Expansion e)
    {
        if (
            e.Node.Int("is_causal", 0) != 0
            || e.Has(4)
            || e.Has(5)
            || e.Writes(1)
            || e.Writes(2)
            || e.Writes(3)
            || (e.Node.Attribute("softcap")?.F ?? 0) != 0
        )
            throw e.Refused("is causal, capped or keeps a cache; export the encoder at opset 19 or below");
        if (
            e.Graph.Shape(e.Node.Inputs[0]) is not { Count: 4 } shape
            || shape[3].Value is not { } size
            || e.Graph.Shape(e.Node.Inputs[1]) is not { Count: 4 } keys
            || keys[1] != shape[1]
        )
            throw e.Refused(
                "its query and key are not [batch, heads, tokens, size] with equally many heads; export the model at opset 19 or below"
            );
        var product = e.Value("MatMul", "scores", [e.Node.Inputs[0], e.Transpose("keys", e.Node.Inputs[1], 0, 1, 3, 2)]);
        var scale = e.Node.Attribute("scale") is { HasF: true } given ? given.F : 1 / MathF.Sqrt(size);
        var scores = e.Value("Mul", "scaled", [product, e.Constant("scale", Tensor.Scalar(scale))]);
        if (e.Has(3))
            scores = e.Value(
                "Add",
                "masked",
                [scores, e.Graph.TypeOf(e.Node.Inputs[3]) == ElementType.Bool ? Selected(e) : e.Node.Inputs[3]]
            );
        e.Write(e.Node.Output, "MatMul", [e.Value("Softmax", "probabilities", [scores], Attributes.Of("axis", -1L)), e.Node.Inputs[2]]);
    }

    /// <summary>0 where the mask is true, else the most negative number.</summary>
    private static string Selected(Expansion e) =>
        e.Value(
            "Where",
            "mask",
            [e.Node.Inputs[3], e.Constant("open", Tensor.Scalar(0f)), e.Constant("closed", Tensor.Scalar(-float.MaxValue))]
        );
}
