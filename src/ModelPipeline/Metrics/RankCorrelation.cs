using System.Numerics;
using MathNet.Numerics.Statistics;

namespace ModelPipeline.Metrics;

/// <summary>Agreement of two score lists for the same items. Scores must be finite; both lists have equal length.</summary>
public static class RankCorrelation
{
    /// <summary>
    /// Kendall's tau-b in O(n log n), -1 to 1: (C - D) / sqrt((n0 - tiesX) (n0 - tiesY)) with n0 = n (n - 1) / 2
    /// (Knight, "A Computer Method for Calculating Kendall's Tau with Ungrouped Data", JASA 1966).
    /// NaN if a list is constant or has fewer than two items.
    /// </summary>
    public static double KendallTauB<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> y)
        where T : INumber<T>
    {
        RequireSameLength(x.Length, y.Length);
        var pairs = new (T X, T Y)[x.Length];
        for (var i = 0; i < pairs.Length; i++)
            pairs[i] = (x[i], y[i]);
        Array.Sort(pairs);
        var sorted = Array.ConvertAll(pairs, pair => pair.Y);
        var discordant = SortCountingInversions<T>(sorted, new T[sorted.Length]);

        var all = PairsAmong(pairs.Length);
        var tiedX = TiedNeighbours(pairs.Length, i => pairs[i].X == pairs[i - 1].X);
        var tiedBoth = TiedNeighbours(pairs.Length, i => pairs[i] == pairs[i - 1]);
        var tiedY = TiedNeighbours(sorted.Length, i => sorted[i] == sorted[i - 1]);
        // The count of concordant pairs is what remains of all pairs after the ties and the discordant ones.
        var concordantMinusDiscordant = all - tiedX - tiedY + tiedBoth - 2 * discordant;
        return concordantMinusDiscordant / Math.Sqrt((double)(all - tiedX) * (all - tiedY));
    }

    /// <summary>Spearman's rho, -1 to 1: Pearson's correlation of the average ranks. NaN if a list is constant or has fewer than two
    /// items.</summary>
    public static double Spearman<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> y)
        where T : INumber<T>
    {
        RequireSameLength(x.Length, y.Length);
        return Correlation.Spearman(Doubles(x), Doubles(y));

        static double[] Doubles(ReadOnlySpan<T> values) => Array.ConvertAll(values.ToArray(), double.CreateChecked);
    }

    /// <summary>
    /// What each item's weight changes of <see cref="Spearman"/>, times the number of items; their mean is 0. Rho is C / sqrt(Vx Vy) with
    /// C = E[F(X) G(Y)] - 1/4, V = (1 - sum of p^3) / 12, F and G the mid-distribution functions and p the shares of equal values; an item
    /// changes its own product and the ranks of all above it (the influence function: Croux and Dehon, "Influence functions of the Spearman
    /// and Kendall correlation measures", Statistical Methods and Applications 19, 2010, here with ties).
    /// </summary>
    /// <param name="x">Finite, not all equal.</param>
    /// <param name="y">Likewise, as many.</param>
    internal static double[] SpearmanInfluences(double[] x, double[] y)
    {
        RequireSameLength(x.Length, y.Length);
        int[] byX = Order(x),
            byY = Order(y);
        var (f, tiesX) = MidDistribution(x, byX);
        var (g, tiesY) = MidDistribution(y, byY);
        var (aboveX, aboveY) = (MeanAbove(x, byX, g), MeanAbove(y, byY, f));
        var product = f.Zip(g, (a, b) => a * b).Average();
        var (cubesX, cubesY) = (tiesX.Average(share => share * share), tiesY.Average(share => share * share));
        var (covariance, varianceX, varianceY) = (product - 0.25, (1 - cubesX) / 12, (1 - cubesY) / 12);
        var scale = Math.Sqrt(varianceX * varianceY);
        return
        [
            .. x.Select(
                (_, i) =>
                {
                    var ofCovariance = (f[i] * g[i]) + aboveX[i] + aboveY[i] - (3 * product);
                    var ofX = -((tiesX[i] * tiesX[i]) - cubesX) / 4;
                    var ofY = -((tiesY[i] * tiesY[i]) - cubesY) / 4;
                    return (ofCovariance / scale) - (covariance / scale / 2 * ((ofX / varianceX) + (ofY / varianceY)));
                }
            ),
        ];

        static int[] Order(double[] values) => [.. Enumerable.Range(0, values.Length).OrderBy(i => values[i])];
    }

    /// <summary>For each value the share of smaller ones and of half of its equals, and the share of its equals.</summary>
    private static (double[] Below, double[] Equal) MidDistribution(double[] values, int[] order)
    {
        var (below, equal) = (new double[values.Length], new double[values.Length]);
        foreach (var (first, tied) in Ties(values, order))
        {
            foreach (var i in tied)
                (below[i], equal[i]) = ((first + (tied.Length / 2.0)) / values.Length, (double)tied.Length / values.Length);
        }
        return (below, equal);
    }

    /// <summary>For each value the sum of the others' <paramref name="weights"/> that are above it, and of half of its equals', over the
    /// number of all.</summary>
    private static double[] MeanAbove(double[] values, int[] order, double[] weights)
    {
        var above = new double[values.Length];
        var sum = 0.0;
        foreach (var (_, tied) in Ties(values, order).AsEnumerable().Reverse())
        {
            var own = tied.Sum(i => weights[i]);
            foreach (var i in tied)
                above[i] = (sum + (own / 2)) / values.Length;
            sum += own;
        }
        return above;
    }

    /// <summary>The runs of equal values in order, each with how many are before it.</summary>
    private static List<(int First, int[] Tied)> Ties(double[] values, int[] order)
    {
        var runs = new List<(int, int[])>();
        var first = 0;
        while (first < order.Length)
        {
            var end = first + 1;
            while (end < order.Length && values[order[end]] == values[order[first]])
                end++;
            runs.Add((first, order[first..end]));
            first = end;
        }
        return runs;
    }

    /// <summary>Number of pairs of equal values.</summary>
    public static long TiedPairs<T>(ReadOnlySpan<T> values)
        where T : INumber<T>
    {
        var sorted = values.ToArray();
        Array.Sort(sorted);
        return TiedNeighbours(sorted.Length, i => sorted[i] == sorted[i - 1]);
    }

    private static long PairsAmong(long count) => count * (count - 1) / 2;

    /// <summary>Pairs within the runs of equal items of a sorted list.</summary>
    private static long TiedNeighbours(int count, Func<int, bool> equalsPrevious)
    {
        long pairs = 0,
            run = 0;
        for (var i = 1; i < count; i++)
        {
            run = equalsPrevious(i) ? run + 1 : 0;
            pairs += run;
        }
        return pairs;
    }

    /// <summary>Merge sort; returns how many pairs stood in strictly descending order.</summary>
    private static long SortCountingInversions<T>(Span<T> values, Span<T> buffer)
        where T : INumber<T>
    {
        if (values.Length < 2)
            return 0;
        var half = values.Length / 2;
        var inversions = SortCountingInversions(values[..half], buffer[..half]) + SortCountingInversions(values[half..], buffer[half..]);
        for (int left = 0, right = half, to = 0; to < values.Length; to++)
        {
            if (right == values.Length || (left < half && values[left] <= values[right]))
            {
                buffer[to] = values[left++];
            }
            else
            {
                buffer[to] = values[right++];
                inversions += half - left;
            }
        }
        buffer.CopyTo(values);
        return inversions;
    }

    private static void RequireSameLength(int x, int y)
    {
        if (x != y)
            throw new ArgumentException($"Score lists have {x} and {y} items; they must describe the same items.");
    }
}
