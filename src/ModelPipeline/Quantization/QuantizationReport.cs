using ModelPipeline.Onnx;

namespace ModelPipeline.Quantization;

/// <summary>How a variant was quantized: content of quantization.json.</summary>
/// <param name="LayerNorms">Fused, found in the graph.</param>
/// <param name="Gelus">Fused, found in the graph.</param>
/// <param name="Attentions">Fused, found in the graph.</param>
/// <param name="Tensors">Activations in graph order.</param>
public sealed record QuantizationReport(int LayerNorms, int Gelus, int Attentions, IReadOnlyList<QuantizedTensor> Tensors)
{
    /// <summary>What became int8 of the weights; null for an fp16 build.</summary>
    public WeightShare? Weights { get; init; }

    internal static QuantizationReport Of(
        FusedOperators fused,
        IReadOnlyDictionary<string, ActivationRange> ranges,
        IReadOnlySet<string> fp16
    ) =>
        new(
            fused.LayerNorms,
            fused.Gelus,
            fused.Attentions,
            [
                .. fused.Points.Select(point =>
                    !fp16.Contains(point)
                    && ranges.TryGetValue(point, out var range)
                    && AffineParameters.Covering(range.Min, range.Max) is var parameters
                        ? new QuantizedTensor(point, "int8", range.Min, range.Max, parameters.Scale, parameters.ZeroPoint)
                        : new QuantizedTensor(point, "float16", null, null, null, null)
                ),
            ]
        );
}

/// <summary>How a CPU variant was quantized: content of its quantization.json.</summary>
/// <param name="Share">What became int8 of what may.</param>
/// <param name="Weights">In graph order.</param>
public sealed record CpuQuantizationReport(WeightShare Share, IReadOnlyList<CpuWeightReport> Weights);

/// <summary>One activation.</summary>
/// <param name="Name">In the prepared graph.</param>
/// <param name="Type">int8 or float16.</param>
/// <param name="Min">Smallest value on the calibration set; null for float16.</param>
/// <param name="Max">Largest value likewise.</param>
/// <param name="Scale">Real size of one step.</param>
/// <param name="ZeroPoint">Stands for 0.</param>
public sealed record QuantizedTensor(string Name, string Type, float? Min, float? Max, float? Scale, int? ZeroPoint);
