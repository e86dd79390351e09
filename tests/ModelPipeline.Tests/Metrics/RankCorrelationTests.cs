using CsCheck;
using ModelPipeline.Metrics;

namespace ModelPipeline.Tests.Metrics;

public class RankCorrelationTests
{
    /// <summary>Two lists of equal length with many ties, down to a single value.</summary>
    private static readonly Gen<(int[] X, int[] Y)> TiedLists =
        from length in Gen.Int[0, 60]
        from levels in Gen.Int[1, 30]
        from x in Gen.Int[0, levels].Array[length]
        from y in Gen.Int[0, levels].Array[length]
        select (x, y);

    [Fact]
    public void Kendall_tau_equals_counting_all_pairs() =>
        TiedLists.Sample(lists =>
        {
            long concordant = 0,
                discordant = 0,
                tiedX = 0,
                tiedY = 0,
                all = 0;
            for (var i = 0; i < lists.X.Length; i++)
            {
                for (var j = 0; j < i; j++)
                {
                    var (dx, dy) = (lists.X[i].CompareTo(lists.X[j]), lists.Y[i].CompareTo(lists.Y[j]));
                    all++;
                    concordant += dx * dy > 0 ? 1 : 0;
                    discordant += dx * dy < 0 ? 1 : 0;
                    tiedX += dx == 0 ? 1 : 0;
                    tiedY += dy == 0 ? 1 : 0;
                }
            }
            var expected = (concordant - discordant) / Math.Sqrt((double)(all - tiedX) * (all - tiedY));
            Assert.Equal(expected, RankCorrelation.KendallTauB<int>(lists.X, lists.Y), 1e-12);
        });

    [Fact]
    public void Spearman_equals_Pearson_of_ranks_counted_one_by_one() =>
        TiedLists.Sample(lists =>
        {
            double[] x = [.. lists.X.Select(value => CountedRank(lists.X, value))],
                y = [.. lists.Y.Select(value => CountedRank(lists.Y, value))];
            var expected = double.NaN;
            if (x.Length > 0)
            {
                double meanX = x.Average(),
                    meanY = y.Average();
                var covariance = x.Zip(y, (a, b) => (a - meanX) * (b - meanY)).Sum();
                expected = covariance / Math.Sqrt(x.Sum(a => (a - meanX) * (a - meanX)) * y.Sum(b => (b - meanY) * (b - meanY)));
            }
            Assert.Equal(expected, RankCorrelation.Spearman<int>(lists.X, lists.Y), 1e-9);
        });

    [Fact]
    public void Tied_pairs_equal_counting_all_pairs() =>
        TiedLists.Sample(lists =>
            lists.X.SelectMany((x, i) => lists.X.Take(i).Where(y => x == y)).Count() == RankCorrelation.TiedPairs<int>(lists.X)
        );

    [Fact]
    public void Correlations_depend_on_order_alone_and_change_sign_with_it() =>
        TiedLists
            .Where(lists => lists.X.Distinct().Count() > 1)
            .Sample(lists =>
            {
                double[] stretched = [.. lists.X.Select(value => Math.Exp(value) + 3)];
                double[] reversed = [.. lists.X.Select(value => -(double)value)];
                double[] same = [.. lists.X];
                Assert.Equal(1, RankCorrelation.KendallTauB<double>(same, stretched), 1e-12);
                Assert.Equal(-1, RankCorrelation.KendallTauB<double>(same, reversed), 1e-12);
                Assert.Equal(1, RankCorrelation.Spearman<double>(same, stretched), 1e-12);
                Assert.Equal(-1, RankCorrelation.Spearman<double>(same, reversed), 1e-12);
            });

    [Fact]
    public void A_hundred_thousand_scores_are_not_compared_pair_by_pair()
    {
        var random = new Random(1);
        float[] x = [.. Enumerable.Range(0, 100_000).Select(_ => (float)random.Next(5_000))],
            y = [.. x.Select(value => value + random.Next(1_000))];
        var clock = System.Diagnostics.Stopwatch.StartNew();
        Assert.InRange(RankCorrelation.KendallTauB<float>(x, y), 0.8, 1);
        Assert.InRange(clock.ElapsedMilliseconds, 0, 5_000);
    }

    [Fact]
    public void Lists_of_different_length_are_refused() =>
        Assert.Throws<ArgumentException>(() => RankCorrelation.KendallTauB<int>([1, 2], [1]));

    private static double CountedRank(int[] values, int value) =>
        values.Count(other => other < value) + (values.Count(other => other == value) + 1) / 2.0;
}
