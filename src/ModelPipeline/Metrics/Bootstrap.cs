using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using MathNet.Numerics.Distributions;
using ModelPipeline.Core;

namespace ModelPipeline.Metrics;

/// <summary>
/// Intervals by the paired bootstrap over units, queries or texts (Efron and Tibshirani, An Introduction to the Bootstrap, 1993): whole
/// units are drawn with replacement, as many as there are, each time for the variant and fp32 alike. Seeded: the same figures give the same
/// intervals.
/// </summary>
/// <remarks>
/// The percentiles are those that a sample of n needs: as far out as Student's t with n - 1 degrees of freedom puts them, times
/// sqrt(n / (n - 1)) (Hesterberg, "What Teachers Should Know about the Bootstrap", The American Statistician 69, 2015, section 3.3.3). Each
/// end is then the outer one of that percentile and of the t interval, for where few units differ from fp32 at all, the resamples of those
/// few say too little. Of 2,000 corpora of 30 queries drawn from the sample's, for tau, NDCG@10, its drop and the score difference of two
/// int8 builds, 0.94 to 0.96 of these intervals held the figure of all; for the drop percentiles alone did in 0.86, BCa in 0.78. A share of
/// units has the Wilson score interval (JASA 22, 1927) in the place of the t interval: also where all agree, some that were not asked may
/// not.
/// </remarks>
internal static class Bootstrap
{
    public const int Resamples = 10_000;

    private const ulong Seed = 18;
    private const double Tail = (1 - Interval.Confidence) / 2;

    /// <summary>Intervals of all figures that have samples, and of fp32's minus them where fp32 has one of the same units.</summary>
    /// <param name="variant">By metric name.</param>
    /// <param name="reference">fp32's.</param>
    public static Intervals Of(IReadOnlyDictionary<string, Sample> variant, IReadOnlyDictionary<string, Sample> reference)
    {
        var (figures, drops) = (new Dictionary<string, Interval>(), new Dictionary<string, Interval>());
        foreach (var alike in variant.Where(sample => sample.Value.Units > 1).GroupBy(sample => sample.Value.Sums.Length))
        {
            var all = alike
                .Select(sample => (sample.Key, Own: sample.Value, Whole: reference.GetValueOrDefault(sample.Key)))
                .Select(pair => pair with { Whole = pair.Whole?.Sums.Length == alike.Key ? pair.Whole : null })
                .ToList();
            var wholes = all.Where(pair => pair.Whole is not null).ToList();
            var drawn = Draw([.. all.Select(pair => pair.Own), .. wholes.Select(pair => pair.Whole!)]);
            foreach (var (i, (name, own, whole)) in wholes.Index())
            {
                var dropped = new double[Resamples];
                TensorPrimitives.Subtract(drawn[all.Count + i], drawn[all.FindIndex(pair => pair.Key == name)], dropped);
                var influences = new double[own.Sums.Length];
                TensorPrimitives.Subtract(whole!.Influences(), own.Influences(), influences);
                drops[name] = Around(whole.Figure - own.Figure, dropped, influences, own.Units);
            }
            foreach (var (i, (name, own, _)) in all.Index())
                figures[name] = Within(Metric.Named(name), Around(own.Figure, drawn[i], own.Influences(), own.Units, own.IsShare));
        }
        return new(Sorted(figures), Sorted(drops));

        static OrderedDictionary<string, Interval> Sorted(Dictionary<string, Interval> intervals) =>
            new(
                Metric
                    .All.Where(metric => intervals.ContainsKey(metric.Name))
                    .Select(metric => KeyValuePair.Create(metric.Name, intervals[metric.Name]))
            );
    }

    /// <summary>The figures of each sample in every resample, [sample][resample]; of several samples in the same resamples.</summary>
    /// <param name="samples">Of as many units each.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double[][] Draw(Sample[] samples)
    {
        var units = samples[0].Sums.Length;
        var figures = Array.ConvertAll(samples, _ => new double[Resamples]);
        var times = new double[units];
        var random = new SplitMix64(Seed);
        for (var resample = 0; resample < Resamples; resample++)
        {
            Array.Clear(times);
            // Two units of each number; that some units come up 2^-32 more often than others is nothing beside chance.
            for (var left = units; left > 0; left -= 2)
            {
                var bits = random.Next();
                times[(int)(((bits >> 32) * (ulong)units) >> 32)]++;
                if (left > 1)
                    times[(int)(((bits & uint.MaxValue) * (ulong)units) >> 32)]++;
            }
            for (var i = 0; i < samples.Length; i++)
                figures[i][resample] = samples[i].Of(times);
        }
        return figures;
    }

    private static Interval Around(double figure, double[] drawn, double[] influences, int units, bool isShare = false)
    {
        var error = TensorPrimitives.Norm<double>(influences) / Math.Sqrt((double)units * (units - 1));
        var student = StudentT.InvCDF(0, 1, units - 1, 1 - Tail);
        // Resamples without any unit that counts have no figure.
        var sorted = Array.TrueForAll(drawn, double.IsFinite) ? drawn : Array.FindAll(drawn, double.IsFinite);
        Array.Sort(sorted);
        var outward = Normal.CDF(0, 1, -student * Math.Sqrt(units / (units - 1.0)));
        var (low, high) = isShare ? Wilson(figure, units) : (figure - (student * error), figure + (student * error));
        if (sorted.Length > 0)
            (low, high) = (Math.Min(low, Quantile(sorted, outward)), Math.Max(high, Quantile(sorted, 1 - outward)));
        return new(Round(Math.Min(low, figure)), Round(Math.Max(high, figure)), Round(error), units);

        static double Round(double value) => Math.Round(value, 6) + 0.0;
    }

    private static (double Low, double High) Wilson(double share, int units)
    {
        var z = Normal.InvCDF(0, 1, 1 - Tail);
        var middle = (share + (z * z / (2 * units))) / (1 + (z * z / units));
        var half = z * Math.Sqrt((share * (1 - share) / units) + (z * z / (4.0 * units * units))) / (1 + (z * z / units));
        return (middle - half, middle + half);
    }

    /// <summary>Between the two nearest, at (n + 1) p from 1 (Davison and Hinkley, Bootstrap Methods, 1997, section 5.2).</summary>
    private static double Quantile(double[] sorted, double share)
    {
        var place = Math.Clamp(((sorted.Length + 1) * share) - 1, 0, sorted.Length - 1);
        var below = (int)place;
        return below + 1 < sorted.Length ? double.Lerp(sorted[below], sorted[below + 1], place - below) : sorted[below];
    }

    private static Interval Within(Metric metric, Interval interval) =>
        interval with
        {
            Low = Math.Max(interval.Low, metric.Low ?? double.NegativeInfinity),
            High = Math.Min(interval.High, metric.High ?? double.PositiveInfinity),
        };
}
