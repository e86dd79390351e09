using System.Numerics.Tensors;

namespace ModelPipeline.Rewrites;

/// <summary>The toolkit's int8 grid over a range that holds zero: 255 equal steps, asymmetric.</summary>
internal readonly record struct Int8Grid(float Scale, float ZeroPoint)
{
    private const float Least = 1e-30f;

    public static Int8Grid Covering(float low, float high)
    {
        (low, high) = (MathF.Min(low, 0), MathF.Max(high, 0));
        var scale = MathF.Max((high - low) / 255, Least);
        return new(scale, MathF.Round(-128 - (low / scale)));
    }

    /// <summary>Replaces numbers by what int8 leaves of them.</summary>
    public void Round(Span<float> values)
    {
        TensorPrimitives.Divide(values, Scale, values);
        TensorPrimitives.Round(values, values);
        TensorPrimitives.Add(values, ZeroPoint, values);
        TensorPrimitives.Clamp(values, -128, 127, values);
        TensorPrimitives.Subtract(values, ZeroPoint, values);
        TensorPrimitives.Multiply(values, Scale, values);
    }

    /// <summary>Likewise a matrix [rows, columns], each column by its own grid.</summary>
    public static void RoundColumns(float[] matrix, IReadOnlyList<Int8Grid> columns)
    {
        float[] scales = [.. columns.Select(grid => grid.Scale)];
        float[] zeroPoints = [.. columns.Select(grid => grid.ZeroPoint)];
        for (var start = 0; start < matrix.Length; start += columns.Count)
        {
            var row = matrix.AsSpan(start, columns.Count);
            TensorPrimitives.Divide(row, scales, row);
            TensorPrimitives.Round(row, row);
            TensorPrimitives.Add(row, zeroPoints, row);
            TensorPrimitives.Clamp(row, -128, 127, row);
            TensorPrimitives.Subtract(row, zeroPoints, row);
            TensorPrimitives.Multiply(row, scales, row);
        }
    }
}
