using ModelPipeline.Core;

namespace ModelPipeline.Onnx;

/// <summary>Sources that somebody quantized already. rknn-toolkit2 refuses them, and quantizing twice loses accuracy for nothing.</summary>
public static class Prequantized
{
    private static readonly HashSet<string> Operators =
    [
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "MatMulInteger",
        "ConvInteger", // standard
        "MatMulIntegerToFloat",
        "DynamicQuantizeMatMul",
        "DynamicQuantizeLSTM",
        "MatMulNBits",
        "GatherBlockQuantized",
        "QAttention",
        "QEmbedLayerNormalization",
        "QGemm", // ONNX Runtime
    ];

    /// <exception cref="PipelineException">The model holds operators of a quantizer.</exception>
    public static void Refuse(OnnxModel model, string name)
    {
        var found = model
            .Graph.Nodes.Select(node => node.OpType)
            .Where(op => Operators.Contains(op) || op.StartsWith("QLinear", StringComparison.Ordinal))
            .CountBy(op => op)
            .OrderBy(count => count.Key, StringComparer.Ordinal)
            .Select(count => $"{count.Value} {count.Key}")
            .ToList();
        if (found.Count > 0)
        {
            throw new PipelineException(
                $"{name}: is quantized already ({string.Join(", ", found)}); start from the fp32 file (model.onnx, not "
                    + $"model_quantized.onnx or the like): "
                    + "rknn-toolkit2 stops at such operators, which make its graph dynamic, and weights that were rounded once cannot be "
                    + "calibrated"
            );
        }
    }
}
