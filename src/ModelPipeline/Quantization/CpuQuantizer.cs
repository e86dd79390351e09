using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Passes;

namespace ModelPipeline.Quantization;

/// <summary>What the CPU quantizer may leave in fp32.</summary>
public sealed record CpuQuantizationSettings
{
    /// <summary>Names of MatMul, Gemm or Gather nodes that keep their fp32 weights.</summary>
    public IReadOnlyCollection<string> KeepFloat { get; init; } = [];

    /// <summary>Weights with fewer elements stay in fp32: they take no room and little time.</summary>
    public int MinElements { get; init; } = 4096;
}

/// <summary>How a weight is stored and used.</summary>
public enum CpuWeightForm
{
    /// <summary>fp32, as in the source.</summary>
    Float,
    /// <summary>int8 with one scale a column, multiplied in integers with activations quantized as they come.</summary>
    Integer,
    /// <summary>int8 with one scale a row, turned back into fp32 before use.</summary>
    Stored,
}

/// <summary>What became of one weight.</summary>
/// <param name="Node">The node that reads it.</param>
/// <param name="Shape">[rows, columns].</param>
public sealed record CpuWeightReport(string Node, string Weight, IReadOnlyList<long> Shape, CpuWeightForm Form);

/// <summary>A quantized model and what became of each weight, in graph order.</summary>
public sealed record CpuQuantization(OnnxModel Model, IReadOnlyList<CpuWeightReport> Weights);

/// <summary>
/// int8 weights and dynamically quantized activations with standard operators only (DynamicQuantizeLinear and MatMulInteger, opset 11), so that
/// any ONNX Runtime runs the file at any [batch, sequence] and fuses it into its integer kernels.
/// </summary>
public static class CpuQuantizer
{
    private const int LowestOpset = 11;

    private static readonly HashSet<string> QuantizedOperators =
    [
        "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearMatMul", "ConvInteger", "QLinearConv",
        "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "MatMulNBits",
    ];

    /// <exception cref="PipelineException">The model is quantized already, is older than opset 11, or lacks a node that is to stay in fp32.</exception>
    public static CpuQuantization Quantize(OnnxModel model, CpuQuantizationSettings settings, CancellationToken cancellation = default)
    {
        if (model.Graph.Nodes.FirstOrDefault(node => QuantizedOperators.Contains(node.OpType)) is { } quantized)
            throw new PipelineException($"{model.Graph.Name}: node '{quantized.Name}' ({quantized.OpType}) shows a model that is quantized already; start from the fp32 file");
        if (model.Opset < LowestOpset)
            throw new PipelineException($"{model.Graph.Name}: opset {model.Opset} has no DynamicQuantizeLinear; export the model at opset {LowestOpset} or later (14 is usual)");
        if (settings.KeepFloat.FirstOrDefault(name => !model.Graph.Nodes.Any(node => node.Name == name)) is { } unknown)
            throw new PipelineException($"{model.Graph.Name}: no node is called '{unknown}', which is to stay in fp32");
        var rewriting = new CpuRewriting(CpuSlimming.Apply(model), settings);
        rewriting.QuantizeWeights(cancellation);
        return new CpuQuantization(DeadNodes.Apply(rewriting.Rewritten()).Model, rewriting.Report);
    }
}
