using System.Numerics.Tensors;

namespace ModelPipeline.Quantization;

/// <summary>A matrix as int8 with one scale and zero point, or one a channel.</summary>
/// <param name="Values">int8, the shape of the weight.</param>
/// <param name="Scales">float [channels], or a scalar.</param>
/// <param name="ZeroPoints">int8, likewise.</param>
/// <param name="Axis">The channel axis; null for one scale.</param>
internal sealed record QuantizedWeight(Tensor Values, Tensor Scales, Tensor ZeroPoints, int? Axis);

internal static class WeightQuantizer
{
    /// <summary>Asymmetric int8 for each index along <paramref name="axis"/> of a matrix, each range widened to hold zero.</summary>
    public static QuantizedWeight PerChannel(Tensor weight, int axis)
    {
        var (rows, columns) = (checked((int)weight.Shape[0]), checked((int)weight.Shape[1]));
        var values = weight.Span<float>();
        var (min, max) = (new float[axis == 0 ? rows : columns], new float[axis == 0 ? rows : columns]);
        for (var r = 0; r < rows; r++)
        {
            var row = values.Slice(r * columns, columns);
            if (axis == 0)
                (min[r], max[r]) = (TensorPrimitives.Min(row), TensorPrimitives.Max(row));
            else
            {
                TensorPrimitives.Min(row, min, min);
                TensorPrimitives.Max(row, max, max);
            }
        }
        var parameters = min.Zip(max, AffineParameters.Covering).ToArray();
        var quantized = new sbyte[values.Length];
        for (var i = 0; i < quantized.Length; i++)
            quantized[i] = parameters[axis == 0 ? i / columns : i % columns].Quantize(values[i]);
        return new QuantizedWeight(
            Tensor.Of(weight.Shape.AsSpan(), quantized),
            Tensor.Vector([.. parameters.Select(p => p.Scale)]),
            Tensor.Vector([.. parameters.Select(p => p.ZeroPoint)]),
            axis
        );
    }

    /// <summary>Asymmetric int8 with one scale, its range widened to hold zero.</summary>
    public static QuantizedWeight PerTensor(Tensor weight)
    {
        var parameters = AffineParameters.Covering(TensorPrimitives.Min(weight.Span<float>()), TensorPrimitives.Max(weight.Span<float>()));
        return new QuantizedWeight(
            PerTensor(weight, parameters),
            Tensor.Scalar(parameters.Scale),
            Tensor.Scalar(parameters.ZeroPoint),
            null
        );
    }

    /// <summary>Every element of a tensor through one affine scale.</summary>
    public static Tensor PerTensor(Tensor weight, AffineParameters parameters)
    {
        var values = weight.Span<float>();
        var quantized = new sbyte[values.Length];
        for (var i = 0; i < values.Length; i++)
            quantized[i] = parameters.Quantize(values[i]);
        return Tensor.Of(weight.Shape.AsSpan(), quantized);
    }
}
