using System.Numerics.Tensors;

namespace ModelPipeline.Quantization;

/// <summary>
/// A streamed histogram: equal bins over [-limit, limit], where limit is the smallest power of two above every value so far. Growing
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
        if (!float.IsFinite(largest))
            return;
        if (limit == 0)
            limit = MathF.ScaleB(1, Math.Clamp(MathF.ILogB(largest) + 1, -100, 127));
        while (limit <= largest)
            Grow();
        // A power of two, so products are exact: a value at a bin's edge falls to the same side before and after growing.
        double perUnit = Bins / 2 / limit;
        foreach (var value in values)
            counts[(int)Math.Floor(value * perUnit) + (Bins / 2)]++;
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
