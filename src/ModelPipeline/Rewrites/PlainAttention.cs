using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;

namespace ModelPipeline.Rewrites;

/// <summary>
/// Keeps the toolkit from fusing attention, so that a board can be asked which is faster: a product between Softmax and the second MatMul
/// is enough, and all of it stays on the NPU. A factor of 1 the toolkit drops (seen in 2.3.2 and 2.5.0), so probabilities are doubled and
/// the values halved, in the weights of their projection where there is one. Powers of two: exact.
/// </summary>
internal static class PlainAttention
{
    /// <summary>As written in models.yaml, for which <c>attention: plain</c> stands.</summary>
    public const string Name = "plain-attention";

    private const string Role = "halved";

    public static Rewritten Apply(OnnxModel model)
    {
        var matches = PatternMatches.Of(model.Graph);
        var fused = matches.Attentions.Where(FusedOperators.IsFused).ToList();
        if (fused.Count == 0)
            return Rewritten.Nothing(model, "there is no attention that the toolkit would fuse");
        var editing = new Editing(model, Role);
        var two = editing.Constant("attention_two", Tensor.Scalar(2f));
        var half = editing.Constant("attention_half", Tensor.Scalar(0.5f));
        foreach (var attention in fused)
        {
            List<Node> nodes = [];
            var context = editing.Now(attention.Context);
            nodes.Add(Times(context.Inputs[0], two));
            var value = context.Inputs[1];
            if (matches.OwnProjectionBehind(value) is { } projection)
            {
                var bias = editing.Bias(projection);
                editing.Change(projection, [.. editing.Matrix(projection).Select(Half)], bias is null ? null : [.. bias.Select(Half)]);
            }
            else
            {
                nodes.Add(Times(value, half));
                value = nodes[^1].Output;
            }
            editing.Replace(attention.Context, [.. nodes, context with { Inputs = [nodes[0].Output, value] }]);
        }
        return new Rewritten(editing.Apply(), [.. fused.Select(attention => $"{attention.Softmax.Output}: kept from being fused")]);

        Node Times(string input, string factor)
        {
            var output = model.Graph.Unused($"{input}_plain");
            return new Node("Mul", output, [input, factor], [output]);
        }

        static float Half(float weight) => weight / 2;
    }
}
