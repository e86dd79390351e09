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

    /// <summary>Expected plans, the best of each precision, core plan, number of shapes and largest shape that keeps to the
    /// limits.</summary>
    /// <param name="question">What for.</param>
    /// <param name="work">Of the model.</param>
    /// <param name="milliseconds">Of one run: shape's tokens, precision, cores that share it.</param>
    public static IReadOnlyList<ServingPlan> Plans(PlanQuestion question, ModelWork work, Func<int, Precision, int, double> milliseconds)
    {
        int[] candidates = [.. question.Candidates.Order()];
        var counts = new int[candidates.Length];
        foreach (var length in question.Tokens)
            counts[Router.BucketOf(candidates, length)]++;
        return
        [
            .. from precision in question.Precisions
            from cores in question.CorePlans
            let times = candidates.Select(tokens => milliseconds(tokens, precision, cores.Cores)).ToArray()
            from shapes in ShapeSets(counts, times, question.MostShapes)
            select Expected(
                question,
                work,
                new Choice(precision, cores, [.. shapes.Select(index => candidates[index])], [.. shapes.Select(index => times[index])])
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
        return own.Where(plan => plan.RequestMs <= limit).MinBy(plan => (plan.DiskMb, plan.RequestMs));
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
    /// <param name="Shapes">Tokens, ascending.</param>
    /// <param name="Times">Of a run of each, ms.</param>
    private sealed record Choice(Precision Precision, PlannedCores Cores, int[] Shapes, double[] Times);

    private static ServingPlan Expected(PlanQuestion question, ModelWork work, Choice choice)
    {
        double[] passages = [.. question.Tokens.Select(length => choice.Times[Router.BucketOf(choice.Shapes, length)])];
        // A last request of fewer passages would make requests look faster than they are.
        double[] requests =
        [
            .. passages
                .Chunk(question.Passages)
                .Where((request, index) => index == 0 || request.Length == question.Passages)
                .Select(request => Router.Makespan(request, choice.Cores.Contexts)),
        ];
        Array.Sort(passages);
        var mean = requests.Average();
        Array.Sort(requests);
        var bytes = OperatorWork.BytesOf(choice.Precision);
        return new ServingPlan
        {
            Precision = choice.Precision,
            CorePlan = choice.Cores.Name,
            Shapes = choice.Shapes,
            PassageP50Ms = Round(Percentile(passages, 50)),
            PassageP95Ms = Round(Percentile(passages, 95)),
            RequestMs = Round(mean),
            RequestP50Ms = Round(Percentile(requests, 50)),
            RequestP95Ms = Round(Percentile(requests, 95)),
            DiskMb = Round(work.Sizes.DiskMb(bytes, choice.Shapes.Length, question.OneFile)),
            MemoryMb = Round(work.Sizes.MemoryMb(bytes, choice.Shapes, choice.Cores.Contexts, question.OneFile)),
            CutShare = Math.Round(question.Tokens.Count(length => length > choice.Shapes[^1]) / (double)question.Tokens.Count, 6),
        };
    }

    /// <summary>By nearest rank.</summary>
    private static double Percentile(double[] sorted, int percent) => sorted[(int)((((long)percent * sorted.Length) + 99) / 100) - 1];

    private static double Round(double value) => Math.Round(value, 3);
}
