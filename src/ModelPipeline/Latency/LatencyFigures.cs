using ModelPipeline.Core;

namespace ModelPipeline.Latency;

/// <summary>A figure with the interval that holds the true one in 95 of 100 measurements.</summary>
public sealed record Estimate(double Value, double Low, double High);

/// <summary>What a series of runs took, in milliseconds.</summary>
/// <param name="Runs">Number of runs.</param>
/// <param name="Mean">Arithmetic mean.</param>
/// <param name="P50">Median; percentiles are by nearest rank, so each is the time of one run.</param>
/// <param name="P95">95th percentile.</param>
/// <param name="P99">99th percentile. With fewer than 300 runs its interval is too short: none of them need have been slow enough.</param>
public sealed record LatencyFigures(int Runs, Estimate Mean, Estimate P50, Estimate P95, Estimate P99)
{
    /// <summary>Resamples of the bootstrap. The k-th of them in order is the k / (Resamples + 1) quantile (Davison and Hinkley, Bootstrap
    /// Methods, 1997, section 5.2).</summary>
    private const int Resamples = 999;
    private const int LowRank = 25,
        HighRank = 975;
    private const ulong Seed = 5;

    /// <summary>Figures with percentile-bootstrap intervals, which take the runs for independent: the same for the same runs.</summary>
    /// <param name="milliseconds">One a run, at least one, in any order.</param>
    public static LatencyFigures Of(IReadOnlyList<double> milliseconds)
    {
        ArgumentOutOfRangeException.ThrowIfZero(milliseconds.Count);
        double[] sorted = [.. milliseconds.Order()];
        var random = new SplitMix64(Seed);
        var (mean, p50, p95, p99) = (new double[Resamples], new double[Resamples], new double[Resamples], new double[Resamples]);
        var drawn = new int[sorted.Length];
        var resample = new double[sorted.Length];
        for (var i = 0; i < Resamples; i++)
        {
            for (var j = 0; j < drawn.Length; j++)
                drawn[j] = random.Between(0, sorted.Length - 1);
            Array.Sort(drawn);
            for (var j = 0; j < drawn.Length; j++)
                resample[j] = sorted[drawn[j]];
            (mean[i], p50[i], p95[i], p99[i]) = (
                resample.Average(),
                Percentile(resample, 50),
                Percentile(resample, 95),
                Percentile(resample, 99)
            );
        }
        return new(
            sorted.Length,
            Within(sorted.Average(), mean),
            Within(Percentile(sorted, 50), p50),
            Within(Percentile(sorted, 95), p95),
            Within(Percentile(sorted, 99), p99)
        );
    }

    /// <summary>The smallest of <paramref name="sorted"/> that at least so many percent of them are no larger than: nearest rank,
    /// definition 1 of Hyndman and Fan (Sample Quantiles in Statistical Packages, 1996). In whole numbers, for 0.07 * 100 in floating point
    /// is above 7.</summary>
    /// <param name="sorted">Ascending, at least one.</param>
    /// <param name="percent">1 to 100.</param>
    public static double Percentile(ReadOnlySpan<double> sorted, int percent) =>
        sorted[(int)((((long)percent * sorted.Length) + 99) / 100) - 1];

    private static Estimate Within(double figure, double[] resampled)
    {
        Array.Sort(resampled);
        return new(Round(figure), Round(resampled[LowRank - 1]), Round(resampled[HighRank - 1]));

        // To nanoseconds: the rest is the order in which a mean was summed up.
        static double Round(double milliseconds) => Math.Round(milliseconds, 6);
    }
}
