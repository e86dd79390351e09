using CsCheck;
using ModelPipeline.Quantization;

namespace ModelPipeline.Tests.Quantization;

public sealed class KlThresholdTests
{
    private static readonly Gen<long[]> Histograms = Gen.OneOf(
        Gen.Long[0, 50].Array[24, 60],
        Gen.OneOf(Gen.Const(0L), Gen.Long[1, 100_000]).Array[24, 60]
    );

    [Fact]
    public void It_keeps_as_many_bins_as_a_slow_reference() =>
        Histograms.Sample(counts => Assert.Equal(Slow(counts, levels: 16), KlThreshold.Find(counts, 16)));

    [Fact]
    public void A_far_outlier_is_cut_off_and_an_even_distribution_is_kept_whole()
    {
        var bell = Enumerable.Range(0, 512).Select(i => (long)(1e6 * Math.Exp(-i * i / 3000.0))).ToArray();
        bell[^1] = 1;
        Assert.InRange(KlThreshold.Find(bell, 256), 256, 400);

        Assert.Equal(512, KlThreshold.Find([.. Enumerable.Repeat(100L, 512)], 256));
    }

    [Fact]
    public void An_empty_histogram_is_kept_whole() => Assert.Equal(32, KlThreshold.Find(new long[32], 16));

    /// <summary>The two distributions written out for every cut, and the divergence summed as its formula reads.</summary>
    private static int Slow(long[] counts, int levels)
    {
        var bins = counts.Select(count => (double)count).ToArray();
        bins[0] = bins[1];
        if (bins.Sum() == 0)
            return bins.Length;
        var divergences = Enumerable
            .Range(levels, bins.Length - levels + 1)
            .ToDictionary(
                kept => kept,
                kept =>
                {
                    var inside = bins[..kept];
                    if (inside.Sum() == 0)
                        return double.PositiveInfinity;
                    var p = inside.ToArray();
                    p[^1] += bins[kept..].Sum();
                    p = [.. p.Select(count => count / bins.Sum())];
                    var level = Enumerable
                        .Range(0, kept)
                        .Select(bin => Enumerable.Range(0, levels).Last(l => l * kept / levels <= bin))
                        .ToArray();
                    var q = new double[kept];
                    foreach (var group in Enumerable.Range(0, kept).GroupBy(bin => level[bin]))
                    {
                        var filled = group.Where(bin => inside[bin] > 0).ToList();
                        foreach (var bin in filled)
                            q[bin] = group.Sum(other => inside[other]) / filled.Count / inside.Sum();
                    }
                    return p.Zip(q)
                        .Where(pair => pair.First > 0)
                        .Sum(pair => pair.First * Math.Log((pair.First + 1e-9) / (pair.Second + 1e-9)));
                }
            );
        return divergences.Where(cut => cut.Value <= divergences.Values.Min() + 1e-12).Min(cut => cut.Key);
    }
}
