using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Planning;

/// <summary>Finds the shapes that serve a corpus in the least time, and what more shapes, fewer megabytes or cut passages would
/// give.</summary>
internal static class PlanSearch
{
    /// <summary>A plan with the more exact precision wins if it takes no more than this over the best: estimates tell no smaller difference
    /// apart, and int8 costs accuracy.</summary>
    private const double PrecisionIsWorth = 1.5;

    /// <summary>Fewer megabytes win if the plan takes no more than this over the best.</summary>
    private const double Alike = 1.1;

    /// <summary>Plans that cut passages are looked at up to these shares.</summary>
    private static readonly double[] CutShares = [0, 0.01, 0.05, 0.1];

    /// <summary>Expected plans, the best of each precision, core plan, batch, number of shapes and largest shape that keeps to the
    /// limits.</summary>
    /// <param name="question">What for.</param>
    /// <param name="work">Of the model.</param>
    /// <param name="milliseconds">Of one run: shape, precision, cores that share it.</param>
    public static IReadOnlyList<ServingPlan> Plans(
        PlanQuestion question,
        ModelWork work,
        Func<InputShape, Precision, int, double> milliseconds
    )
    {
        int[] candidates = [.. question.Candidates.Order()];
        int[] places = [.. question.Tokens.Select(length => Router.BucketOf(candidates, length))];
        var counts = new int[candidates.Length];
        foreach (var place in places)
            counts[place]++;
        return
        [
            .. from precision in question.Precisions
            from cores in question.CorePlans
            from batch in question.Batches
            let times = candidates.Select(tokens => milliseconds(new(batch, tokens), precision, cores.Cores)).ToArray()
            from shapes in ShapeSets(counts, times, question.MostShapes)
            let buckets = candidates.Select((_, place) => Math.Min(shapes.Count(index => index < place), shapes.Count - 1)).ToArray()
            select Expected(
                question,
                work,
                new Choice(precision, cores, [.. shapes.Select(index => new Bucket(candidates[index], batch, times[index]))]),
                [.. places.Select(place => buckets[place])]
            ) into plan
            where plan.DiskMb <= (question.MostDiskMb ?? double.MaxValue) && plan.MemoryMb <= (question.MostMemoryMb ?? double.MaxValue)
            select plan,
        ];
    }

    /// <summary>
    /// The plan to take: of those that cut least, the fastest request; one that is as exact or as small for next to nothing is taken
    /// instead.
    /// </summary>
    /// <returns>Null if there is no plan.</returns>
    public static ServingPlan? Best(IReadOnlyList<ServingPlan> plans, IReadOnlyList<Precision> precisions)
    {
        if (plans.Count == 0)
            return null;
        var least = plans.Min(plan => plan.CutShare);
        var whole = plans.Where(plan => plan.CutShare <= least).ToArray();
        var fastest = whole.Min(plan => plan.RequestMs);
        var exact = precisions.First(precision =>
            whole.Any(plan => plan.Precision == precision && plan.RequestMs <= fastest * PrecisionIsWorth)
        );
        var own = whole.Where(plan => plan.Precision == exact).ToArray();
        var limit = own.Min(plan => plan.RequestMs) * Alike;
        return own.Where(plan => plan.RequestMs <= limit).MinBy(plan => (plan.DiskMb, plan.Batch, plan.RequestMs));
    }

    /// <summary>Plans that no other beats in time, memory and cut passages at once, fastest first.</summary>
    public static IReadOnlyList<ServingPlan> Front(IReadOnlyList<ServingPlan> plans) =>
        [.. plans.Where(plan => !plans.Any(other => Beats(other, plan))).OrderBy(plan => plan.RequestMs).ThenBy(plan => plan.MemoryMb)];

    private static bool Beats(ServingPlan a, ServingPlan b) =>
        a.RequestMs <= b.RequestMs
        && a.MemoryMb <= b.MemoryMb
        && a.CutShare <= b.CutShare
        && (a.RequestMs < b.RequestMs || a.MemoryMb < b.MemoryMb || a.CutShare < b.CutShare);

    /// <summary>For each largest shape worth it and each number of shapes, those that give the least mean time of a passage, by dynamic
    /// programming.</summary>
    private static IEnumerable<IReadOnlyList<int>> ShapeSets(int[] counts, double[] times, int most)
    {
        var total = (double)counts.Sum();
        // best[k][i]: least sum of times of the passages up to candidate i, which is the last of k + 1 shapes.
        var prefix = new long[counts.Length + 1];
        for (var i = 0; i < counts.Length; i++)
            prefix[i + 1] = prefix[i] + counts[i];
        var (best, before) = (new double[most][], new int[most][]);
        for (var k = 0; k < most; k++)
        {
            (best[k], before[k]) = (new double[counts.Length], new int[counts.Length]);
            for (var i = 0; i < counts.Length; i++)
            {
                (best[k][i], before[k][i]) = (k == 0 ? prefix[i + 1] * times[i] : double.MaxValue, -1);
                for (var j = k - 1; k > 0 && j < i; j++)
                {
                    var sum = best[k - 1][j] + ((prefix[i + 1] - prefix[j + 1]) * times[i]);
                    if (sum < best[k][i])
                        (best[k][i], before[k][i]) = (sum, j);
                }
            }
        }
        var whole = Array.FindLastIndex(counts, count => count > 0);
        var largest = CutShares.Select(share => Enumerable.Range(0, whole + 1).First(i => prefix[i + 1] >= total * (1 - share))).Distinct();
        return from last in largest from k in Enumerable.Range(0, Math.Min(most, last + 1)) select Chain(before, k, last);
    }

    private static IReadOnlyList<int> Chain(int[][] before, int k, int last)
    {
        var chain = new int[k + 1];
        for (; k >= 0; k--)
            (chain[k], last) = (last, before[k][last]);
        return chain;
    }

    /// <summary>Shapes under consideration.</summary>
    /// <param name="Precision">Of the files.</param>
    /// <param name="Cores">Core plan.</param>
    /// <param name="Buckets">By tokens, ascending; their cost is in ms.</param>
    private sealed record Choice(Precision Precision, PlannedCores Cores, Bucket[] Buckets);

    private static ServingPlan Expected(PlanQuestion question, ModelWork work, Choice choice, int[] chosen)
    {
        // A last request of fewer passages would make requests look faster than they are.
        var whole = Math.Max(1, chosen.Length / question.Passages);
        var requests = new double[whole];
        for (var request = 0; request < whole; request++)
        {
            var from = request * question.Passages;
            requests[request] = Router.Makespan(
                choice.Buckets,
                chosen.AsSpan(from, Math.Min(question.Passages, chosen.Length - from)),
                choice.Cores.Contexts
            );
        }
        var mean = requests.Average();
        Array.Sort(requests);
        var bytes = OperatorWork.BytesOf(choice.Precision);
        var (oneFile, batch) = (question.InOneFile.Contains(choice.Precision), choice.Buckets[0].Batch);
        var longest = choice.Buckets[^1].Tokens;
        return new ServingPlan
        {
            Precision = choice.Precision,
            CorePlan = choice.Cores.Name,
            Batch = batch,
            Shapes = [.. choice.Buckets.Select(bucket => bucket.Tokens)],
            OneFile = oneFile,
            PassageP50Ms = Round(Percentile(choice.Buckets, chosen, 50)),
            PassageP95Ms = Round(Percentile(choice.Buckets, chosen, 95)),
            RequestMs = Round(mean),
            RequestP50Ms = Round(requests[Rank(requests.Length, 50)]),
            RequestP95Ms = Round(requests[Rank(requests.Length, 95)]),
            DiskMb = Round(work.Sizes.DiskMb(bytes, choice.Buckets.Length, oneFile)),
            MemoryMb = Round(
                work.Sizes.MemoryMb(bytes, [.. choice.Buckets.Select(bucket => bucket.Tokens * batch)], choice.Cores.Contexts, oneFile)
            ),
            CutShare = Math.Round(question.Tokens.Count(length => length > longest) / (double)question.Tokens.Count, 6),
        };
    }

    /// <summary>Of the runs that passages wait for, by nearest rank.</summary>
    private static double Percentile(Bucket[] buckets, int[] chosen, int percent)
    {
        var counts = new int[buckets.Length];
        foreach (var bucket in chosen)
            counts[bucket]++;
        var left = Rank(chosen.Length, percent);
        foreach (var (bucket, index) in buckets.Select((bucket, index) => (bucket, index)).OrderBy(pair => pair.bucket.Cost))
        {
            left -= counts[index];
            if (left < 0)
                return bucket.Cost;
        }
        return buckets.Max(bucket => bucket.Cost);
    }

    /// <summary>Index in ascending order, by nearest rank.</summary>
    private static int Rank(int count, int percent) => (int)((((long)percent * count) + 99) / 100) - 1;

    private static double Round(double value) => Math.Round(value, 3);
}
