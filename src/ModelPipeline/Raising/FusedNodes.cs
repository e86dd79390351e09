using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Raising;

/// <summary>
/// What transformer optimizers fused (domain com.microsoft, and LayerNormalization before its opset) said again in standard operators, as
/// exporters write them: only these are quantized, and only these does rknn-toolkit2 load. Semantics after ONNX Runtime's
/// ContribOperators.md.
/// </summary>
internal static class FusedNodes
{
    private const string Microsoft = "com.microsoft";
    private const int FirstLayerNormalization = 17;

    private static readonly Dictionary<string, Action<Expansion>> Expanders = new()
    {
        ["LayerNormalization"] = Norms.Layer,
        ["SimplifiedLayerNormalization"] = Norms.RootMeanSquare,
        ["SkipLayerNormalization"] = Norms.SkipLayer,
        ["SkipSimplifiedLayerNormalization"] = Norms.SkipRootMeanSquare,
        ["EmbedLayerNormalization"] = FusedAttention.Embed,
        ["Attention"] = FusedAttention.Attention,
        ["MultiHeadAttention"] = FusedAttention.MultiHead,
        ["Gelu"] = expansion => Activations.Gelu(expansion, expansion.Node.Inputs[0]),
        ["BiasGelu"] = expansion => Activations.Gelu(expansion, Activations.Biased(expansion)),
        ["FastGelu"] = expansion => Activations.TanhGelu(expansion, Activations.Biased(expansion)),
        ["QuickGelu"] = expansion => Activations.SigmoidLinear(expansion, 1.702f),
        ["BiasAdd"] = Activations.BiasAdd,
        ["BiasSoftmax"] = Activations.BiasSoftmax,
        ["FusedMatMul"] = Products.MatMul,
        ["TransposeMatMul"] = Products.MatMul,
        ["FusedGemm"] = Products.Gemm,
    };

    /// <exception cref="PipelineException">An operator of another domain that is not known, or known but used in a way that is
    /// not.</exception>
    public static Rewritten Apply(OnnxModel model)
    {
        var fused = model.Graph.Nodes.Where(node => IsFused(node, model.Opset)).ToList();
        if (fused.Count == 0)
            return Rewritten.Nothing(model);
        if (
            fused.Where(node => !Expanders.ContainsKey(node.OpType)).Select(node => $"{node.OpType} ({node.Domain})").Distinct().ToList() is
            { Count: > 0 } unknown
        )
        {
            throw new PipelineException(
                $"{model.Graph.Name}: holds {string.Join(", ", unknown)}, which no standard operator says and no NPU toolkit loads; start "
                    + $"from the model as it was exported "
                    + "(model.onnx), not from an optimized one (model_optimized.onnx, model_O2.onnx or the like)"
            );
        }
        var expanded = ExpandedGraph.Apply(model, node => IsFused(node, model.Opset) ? Expanders[node.OpType] : null);
        return new Rewritten(
            expanded.WithOnlyStandardOperators(),
            [
                .. fused
                    .CountBy(node => node.OpType)
                    .OrderBy(count => count.Key, StringComparer.Ordinal)
                    .Select(count => $"{count.Value} {count.Key} said in standard operators"),
            ]
        );
    }

    private static bool IsFused(Node node, int opset) =>
        node.Domain.Length > 0
        || node.OpType == "SimplifiedLayerNormalization"
        || (node.OpType == "LayerNormalization" && opset < FirstLayerNormalization);
}
