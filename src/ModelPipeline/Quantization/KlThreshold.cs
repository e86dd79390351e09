namespace ModelPipeline.Quantization;

/// <summary>
/// The range that loses least when a distribution is cut off and quantized, by Kullback-Leibler divergence: for each cut the clipped
/// distribution (what lies beyond added to the last bin) is compared with itself at the given number of levels (Migacz, "8-bit Inference
/// with TensorRT", 2017).
/// </summary>
internal static class KlThreshold
{
    /// <summary>Keeps the logarithm finite where the quantized distribution has a hole.</summary>
    private const double Epsilon = 1e-9;

    /// <summary>How many of the bins to keep, <paramref name="levels"/> to all of them; the fewest among equals.</summary>
    /// <param name="counts">Histogram of magnitudes, from zero up. The first bin is taken as high as the second: zeros need no
    /// precision.</param>
    /// <param name="levels">Quantization levels, at most the number of bins.</param>
    public static int Find(ReadOnlySpan<long> counts, int levels)
    {
        var bins = counts.ToArray();
        if (bins.Length > 1)
            bins[0] = bins[1];
        var cumulative = new long[bins.Length + 1];
        for (var i = 0; i < bins.Length; i++)
            cumulative[i + 1] = cumulative[i] + bins[i];
        var (best, least) = (bins.Length, double.PositiveInfinity);
        if (cumulative[^1] == 0)
            return best;
        for (var kept = levels; kept <= bins.Length; kept++)
        {
            if (cumulative[kept] > 0 && Divergence(bins, cumulative, kept, levels) is var divergence && divergence < least)
                (best, least) = (kept, divergence);
        }
        return best;
    }

    private static double Divergence(long[] bins, long[] cumulative, int kept, int levels)
    {
        double total = cumulative[^1];
        double inside = cumulative[kept];
        var divergence = 0.0;
        for (var level = 0; level < levels; level++)
        {
            var start = (int)((long)level * kept / levels);
            var end = (int)((long)(level + 1) * kept / levels);
            var filled = 0;
            for (var i = start; i < end; i++)
                filled += bins[i] > 0 ? 1 : 0;
            var spread = filled > 0 ? (cumulative[end] - cumulative[start]) / (filled * inside) : 0;
            for (var i = start; i < end; i++)
            {
                var p = (bins[i] + (i == kept - 1 ? cumulative[^1] - cumulative[kept] : 0)) / total;
                if (p > 0)
                    divergence += p * Math.Log((p + Epsilon) / ((bins[i] > 0 ? spread : 0) + Epsilon));
            }
        }
        return divergence;
    }
}
