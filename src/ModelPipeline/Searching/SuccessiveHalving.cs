namespace ModelPipeline.Searching;

/// <summary>One round of <see cref="SuccessiveHalving"/>.</summary>
/// <param name="Candidates">That are compared in it.</param>
/// <param name="Size">Of what they are compared on.</param>
public readonly record struct Rung(int Candidates, int Size);

/// <summary>
/// Many candidates on little, few on much: each round keeps the better part of what is left and compares it on more (Jamieson and
/// Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016).
/// </summary>
public static class SuccessiveHalving
{
    /// <summary>Rounds from all candidates on the least to few on all. Of each round to the next the size grows by the factor by which the
    /// number of candidates shrinks, so that rounds cost about the same.</summary>
    /// <param name="candidates">At least 1.</param>
    /// <param name="kept">Candidates of the last round, at least 1.</param>
    /// <param name="least">Size of the first round, at least 1.</param>
    /// <param name="size">Of the last round, at least 1.</param>
    /// <param name="factor">Greater than 1.</param>
    /// <returns>Ascending in size, descending in candidates; the last has <paramref name="size"/>.</returns>
    public static IReadOnlyList<Rung> Rungs(int candidates, int kept, int least, int size, double factor = 2)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(candidates, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(kept, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(least, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(factor, 1);
        var rungs = new List<Rung>();
        var (left, of) = ((double)candidates, (double)Math.Min(least, size));
        while (of < size && left > kept)
        {
            rungs.Add(new((int)Math.Ceiling(left), (int)Math.Ceiling(of)));
            (left, of) = (Math.Max(kept, left / factor), of * factor);
        }
        rungs.Add(new((int)Math.Ceiling(Math.Min(left, candidates)), size));
        return rungs;
    }

    /// <summary>The candidates that came to the last round with their losses there, best first; of equal ones the earlier.</summary>
    /// <param name="candidates">All of them.</param>
    /// <param name="rungs">By <see cref="Rungs"/>.</param>
    /// <param name="loss">Of a candidate on a size: less is better; NaN is worse than any number.</param>
    public static async Task<IReadOnlyList<(T Candidate, double Loss)>> RunAsync<T>(
        IReadOnlyList<T> candidates,
        IReadOnlyList<Rung> rungs,
        Func<T, int, Task<double>> loss
    )
    {
        IReadOnlyList<(T Candidate, double Loss)> left = [.. candidates.Select(candidate => (candidate, 0.0))];
        foreach (var rung in rungs)
        {
            var measured = new List<(T Candidate, double Loss)>();
            foreach (var (candidate, _) in left.Take(rung.Candidates))
                measured.Add((candidate, await loss(candidate, rung.Size).ConfigureAwait(false)));
            left = [.. measured.OrderBy(each => double.IsNaN(each.Loss) ? double.PositiveInfinity : each.Loss)];
        }
        return left;
    }
}
