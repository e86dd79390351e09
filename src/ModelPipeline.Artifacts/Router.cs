using ModelPipeline.Core;

namespace ModelPipeline.Artifacts;

/// <summary>Where passages of up to so many tokens go: one shape of a file.</summary>
/// <param name="Tokens">Of the shape.</param>
/// <param name="Batch">Passages that one run takes; places that are left are padded.</param>
/// <param name="Cost">Of one run, in a unit that all buckets share.</param>
internal readonly record struct Bucket(int Tokens, int Batch, double Cost);

/// <summary>One run of a bucket's shape.</summary>
/// <param name="Bucket">Index of the shape.</param>
/// <param name="Passages">Indices of the passages, as many as the batch or fewer.</param>
[OneLine]
public sealed record RoutedRun(int Bucket, IReadOnlyList<int> Passages);

/// <summary>Which context does which runs of a request.</summary>
/// <param name="Contexts">Runs of each context, in their order.</param>
/// <param name="Makespan">When the last context is done, in the unit of costs.</param>
public sealed record Routing(IReadOnlyList<IReadOnlyList<RoutedRun>> Contexts, double Makespan);

/// <summary>
/// The one rule by which passages are served. Each goes to the smallest bucket that it fits, or cut to the largest; a bucket's passages
/// make runs in their order, a batch at a time; of a request the longest runs go first, those alike by their first passage, each to the
/// context that is free first. No schedule of the runs is shorter than 3/4 of this one (Graham, Bounds on multiprocessing timing anomalies,
/// 1969: longest processing time first stays within 4/3 - 1/(3 m) of the best).
/// </summary>
internal static class Router
{
    /// <summary>The rule in one sentence, as serve.json states it.</summary>
    public const string Rule =
        "A passage goes to the first shape of at least its tokens, with its query and the special tokens, or cut to the last; "
        + "passages of a shape make runs in their order, a batch at a time; runs go by falling cost, those alike by their first passage, "
        + "each to the context with the least cost so far, the first of those alike.";

    private const int MostOnStack = 64;

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

    /// <param name="buckets">By their tokens, ascending, at least one.</param>
    /// <param name="tokens">Of each passage of a request, with its query.</param>
    /// <param name="contexts">At least one.</param>
    public static Routing Route(IReadOnlyList<Bucket> buckets, IReadOnlyList<int> tokens, int contexts)
    {
        int[] limits = [.. buckets.Select(bucket => bucket.Tokens)];
        var runs = tokens
            .Select((length, passage) => (Passage: passage, Bucket: BucketOf(limits, length)))
            .GroupBy(each => each.Bucket, each => each.Passage)
            .SelectMany(own => own.Chunk(buckets[own.Key].Batch).Select(passages => new RoutedRun(own.Key, passages)))
            .OrderByDescending(run => buckets[run.Bucket].Cost)
            .ThenBy(run => run.Passages[0]);
        var (busy, done) = (new double[contexts], new List<RoutedRun>[contexts]);
        for (var context = 0; context < contexts; context++)
            done[context] = [];
        foreach (var run in runs)
        {
            var free = Array.IndexOf(busy, busy.Min());
            busy[free] += buckets[run.Bucket].Cost;
            done[free].Add(run);
        }
        return new(done, busy.Max());
    }

    /// <summary>When the last context is done, without saying which passages it had.</summary>
    /// <param name="buckets">As above.</param>
    /// <param name="chosen">Bucket of each passage of the request.</param>
    /// <param name="contexts">At least one.</param>
    public static double Makespan(ReadOnlySpan<Bucket> buckets, ReadOnlySpan<int> chosen, int contexts)
    {
        Span<int> passages = buckets.Length <= MostOnStack ? stackalloc int[buckets.Length] : new int[buckets.Length];
        passages.Clear();
        foreach (var bucket in chosen)
            passages[bucket]++;
        Span<double> costs = chosen.Length <= MostOnStack ? stackalloc double[chosen.Length] : new double[chosen.Length];
        var runs = 0;
        for (var bucket = 0; bucket < buckets.Length; bucket++)
        {
            for (var left = passages[bucket]; left > 0; left -= buckets[bucket].Batch)
                costs[runs++] = buckets[bucket].Cost;
        }
        costs = costs[..runs];
        costs.Sort();
        Span<double> busy = contexts <= MostOnStack ? stackalloc double[contexts] : new double[contexts];
        busy.Clear();
        for (var run = runs - 1; run >= 0; run--)
        {
            var free = 0;
            for (var context = 1; context < busy.Length; context++)
            {
                if (busy[context] < busy[free])
                    free = context;
            }
            busy[free] += costs[run];
        }
        var last = 0.0;
        foreach (var context in busy)
            last = Math.Max(last, context);
        return last;
    }
}
