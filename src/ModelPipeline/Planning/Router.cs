namespace ModelPipeline.Planning;

/// <summary>Which context runs which passages of a request.</summary>
/// <param name="Contexts">Indices of the passages of each context, in the order they are run.</param>
/// <param name="Makespan">When the last context is done.</param>
internal sealed record Routing(IReadOnlyList<IReadOnlyList<int>> Contexts, double Makespan);

/// <summary>
/// The one rule by which passages are served: each goes to the smallest bucket that it fits, or cut to the largest; of a request the
/// longest go first,
/// those alike in their order, each to the context that is free first. No schedule of a request is shorter than 3/4 of this one (Graham,
/// Bounds on
/// multiprocessing timing anomalies, 1969: longest processing time first stays within 4/3 - 1/(3 m) of the best).
/// </summary>
internal static class Router
{
    /// <summary>Index of the bucket that takes a passage.</summary>
    /// <param name="maxTokens">Of the buckets, ascending, at least one.</param>
    /// <param name="tokens">Of the passage with its query.</param>
    public static int BucketOf(IReadOnlyList<int> maxTokens, int tokens)
    {
        for (var bucket = 0; bucket < maxTokens.Count; bucket++)
        {
            if (tokens <= maxTokens[bucket])
                return bucket;
        }
        return maxTokens.Count - 1;
    }

    /// <param name="times">Of each passage of a request.</param>
    /// <param name="contexts">At least one.</param>
    public static Routing Route(IReadOnlyList<double> times, int contexts)
    {
        var (busy, passages) = (new double[contexts], new List<int>[contexts]);
        for (var context = 0; context < contexts; context++)
            passages[context] = [];
        foreach (var passage in LongestFirst(times))
        {
            var free = Array.IndexOf(busy, busy.Min());
            busy[free] += times[passage];
            passages[free].Add(passage);
        }
        return new(passages, busy.Max());
    }

    /// <summary>When the last context is done, without saying which passages it had.</summary>
    public static double Makespan(ReadOnlySpan<double> times, int contexts)
    {
        if (contexts == 1)
            return Sum(times);
        Span<double> longest = times.Length <= 64 ? stackalloc double[times.Length] : new double[times.Length];
        Span<double> busy = contexts <= 16 ? stackalloc double[contexts] : new double[contexts];
        busy.Clear();
        times.CopyTo(longest);
        longest.Sort();
        for (var i = longest.Length - 1; i >= 0; i--)
        {
            var free = 0;
            for (var context = 1; context < busy.Length; context++)
            {
                if (busy[context] < busy[free])
                    free = context;
            }
            busy[free] += longest[i];
        }
        var last = 0.0;
        foreach (var context in busy)
            last = Math.Max(last, context);
        return last;
    }

    private static double Sum(ReadOnlySpan<double> times)
    {
        var sum = 0.0;
        foreach (var time in times)
            sum += time;
        return sum;
    }

    /// <summary>Indices of passages in the order they are started.</summary>
    public static IReadOnlyList<int> LongestFirst(IReadOnlyList<double> times)
    {
        int[] order = [.. Enumerable.Range(0, times.Count)];
        Array.Sort(order, (a, b) => times[a] != times[b] ? times[b].CompareTo(times[a]) : a.CompareTo(b));
        return order;
    }
}
