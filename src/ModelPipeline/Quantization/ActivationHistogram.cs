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

    /// <summary>The range without the outermost <paramref name="share"/> of the values on each side, to the width of a bin; never wider than <see cref="Range"/>.</summary>
    public ActivationRange Without(double share)
    {
        var total = counts.Sum();
        if (total == 0)
            return Range;
        var (low, high) = (0, Bins - 1);
        for (var cut = counts[low]; cut < total * share; cut += counts[++low]) { }
        for (var cut = counts[high]; cut < total * share; cut += counts[--high]) { }
        float Edge(int bin) => ((float)bin / (Bins / 2) - 1) * limit;
        return new(MathF.Max(Range.Min, Edge(low)), MathF.Min(Range.Max, Edge(high + 1)));
    }
}
