using CsCheck;
using ModelPipeline.Quantization;

namespace ModelPipeline.Tests.Quantization;

public sealed class ActivationHistogramTests
{
    private const int Bins = 64;

    /// <summary>Beyond 2^-100 the stream's finest bins end.</summary>
    private static readonly Gen<float[][]> Samples = Gen.OneOf(Gen.Float[-1, 1], Gen.Float[-300, 300], Gen.Const(0f))
        .Select(value => MathF.Abs(value) < 1e-25f ? 0 : value)
        .Array[1, 200]
        .Array[1, 6];

    [Fact]
    public void The_range_is_that_of_all_values() =>
        Samples.Sample(samples =>
        {
            var histogram = Of(samples);
            Assert.Equal(new ActivationRange(samples.Min(sample => sample.Min()), samples.Max(sample => sample.Max())), histogram.Range);
        });

    [Fact]
    public void The_order_of_the_samples_does_not_matter() =>
        Samples.Sample(samples => Assert.Equal(Of(samples).Magnitudes(Bins), Of([.. samples.Reverse()]).Magnitudes(Bins)));

    /// <summary>A value may fall into the neighbouring bin: the fine bins of the stream do not end where the coarse ones do.</summary>
    [Fact]
    public void Every_value_is_counted_in_the_bin_of_its_magnitude_or_the_next() =>
        Samples.Sample(samples =>
        {
            float[] values = [.. samples.SelectMany(sample => sample)];
            var largest = values.Max(MathF.Abs);
            var magnitudes = Of(samples).Magnitudes(Bins);
            if (largest == 0)
            {
                Assert.Equal(0, magnitudes.Sum());
                return;
            }
            Assert.Equal(values.Length, magnitudes.Sum());
            for (var bin = 0; bin <= Bins; bin++)
            {
                // Cumulative counts bracket the true ones at one bin either side.
                double Below(double limit) => values.Count(value => Math.Abs(value) < limit);
                var counted = magnitudes.Take(bin).Sum();
                Assert.InRange(
                    counted,
                    Below((bin - 1.0) / Bins * largest),
                    Below((bin + 1.0) / Bins * largest) + (bin == Bins ? values.Length : 0)
                );
            }
        });

    private static ActivationHistogram Of(float[][] samples)
    {
        var histogram = new ActivationHistogram();
        foreach (var sample in samples)
            histogram.Add(sample);
        return histogram;
    }
}
