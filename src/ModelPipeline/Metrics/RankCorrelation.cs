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
