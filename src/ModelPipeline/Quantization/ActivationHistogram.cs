using System.Numerics.Tensors;

namespace ModelPipeline.Quantization;

/// <summary>
/// A streamed histogram: equal bins over [-limit, limit], where limit is the smallest power of two that holds every value so far. Growing
/// merges bins in pairs, so memory is fixed and the result does not depend on the order of the samples.
/// </summary>
internal sealed class ActivationHistogram
{
    /// <summary>Over both signs.</summary>
    private const int Bins = 8192;

    private readonly long[] counts = new long[Bins];
    private float limit;

    public ActivationRange Range { get; private set; } = ActivationRange.Empty;

    public void Add(ReadOnlySpan<float> values)
    {
        Range = Range.Union(new(TensorPrimitives.Min(values), TensorPrimitives.Max(values)));
        var largest = MathF.Max(MathF.Abs(Range.Min), MathF.Abs(Range.Max));
        if (!float.IsFinite(largest) || largest == 0)
            return;
        if (limit == 0)
            limit = MathF.ScaleB(1, Math.Clamp((int)MathF.Ceiling(MathF.Log2(largest)), -100, 127));
        while (limit < largest)
            Grow();
        var perUnit = Bins / 2 / limit;
        foreach (var value in values)
            counts[Math.Min((int)((value * perUnit) + (Bins / 2)), Bins - 1)]++;
    }

    private void Grow()
    {
        // [-limit, limit] becomes the middle half of the doubled range.
        var half = new long[Bins];
        for (var i = 0; i < Bins; i++)
            half[(Bins / 4) + (i / 2)] += counts[i];
        half.CopyTo(counts, 0);
        limit *= 2;
    }

    /// <summary>Histogram of magnitudes: equal bins from zero to the largest.</summary>
    public long[] Magnitudes(int bins)
    {
        var magnitudes = new long[bins];
        var largest = MathF.Max(MathF.Abs(Range.Min), MathF.Abs(Range.Max));
        for (var i = 0; i < Bins && largest > 0; i++)
        {
            if (counts[i] > 0)
                magnitudes[Math.Min((int)(MathF.Abs(((i + 0.5f) / (Bins / 2)) - 1) * limit / largest * bins), bins - 1)] += counts[i];
        }
        return magnitudes;
    }
}
