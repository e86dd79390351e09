namespace ModelPipeline.Quantization;

/// <summary>Per-tensor asymmetric int8: <c>real = (q - ZeroPoint) * Scale</c>, q in [-128, 127].</summary>
public readonly record struct AffineParameters(float Scale, sbyte ZeroPoint)
{
    /// <summary>
    /// Covers [min, max] widened to hold zero, so that zero is exact: scale = (max - min) / 255, zero point = round(-128 - min / scale).
    /// A range of a single zero takes scale 1.
    /// </summary>
    public static AffineParameters Covering(float min, float max)
    {
        min = MathF.Min(min, 0);
        max = MathF.Max(max, 0);
        if (!float.IsFinite(min) || !float.IsFinite(max))
            throw new ArgumentOutOfRangeException(nameof(min), $"[{min}, {max}] cannot be quantized");
        var scale = (float)(((double)max - min) / 255);
        if (scale < SmallestNormal)
            return new AffineParameters(1, 0);
        return new AffineParameters(scale, (sbyte)Math.Clamp(MathF.Round(-128 - min / scale), -128, 127));
    }

    /// <summary>Smallest scale: below it division loses precision, and a runtime may flush it to zero.</summary>
    internal const float SmallestNormal = 1.17549435e-38f;

    /// <summary>Round half to even, then saturate.</summary>
    public sbyte Quantize(float value) => (sbyte)Math.Clamp(MathF.Round(value / Scale) + ZeroPoint, -128, 127);

    public float Dequantize(sbyte value) => (value - ZeroPoint) * Scale;
}
