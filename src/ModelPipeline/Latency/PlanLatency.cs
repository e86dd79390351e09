using ModelPipeline.Core;

namespace ModelPipeline.Latency;

/// <summary>The times of a series of runs, and their figures.</summary>
/// <param name="Figures">In milliseconds.</param>
/// <param name="Microseconds">Of each run, in the order of the runs.</param>
[OneLine]
public sealed record Series(LatencyFigures Figures, IReadOnlyList<long> Microseconds)
{
    /// <summary>Slower by this factor at the end than at the beginning, and the series was not measured under one condition.</summary>
    private const double Drift = 1.1;
    private const int FewestRuns = 12;

    public static Series Of(IEnumerable<TimeSpan> times)
    {
        long[] microseconds = [.. times.Select(time => (long)Math.Round(time.TotalMicroseconds))];
        return new(LatencyFigures.Of([.. microseconds.Select(time => time / 1000.0)]), microseconds);
    }

    /// <summary>How much slower the median of the last third of the runs is than that of the first, as a factor; null if it is not, or if
    /// the runs are too few to say.</summary>
    public double? Slowdown()
    {
        var third = Microseconds.Count / 3;
        if (Microseconds.Count < FewestRuns)
            return null;
        var factor = Median(Microseconds.TakeLast(third)) / Median(Microseconds.Take(third));
        return factor > Drift ? factor : null;

        static double Median(IEnumerable<long> times) => LatencyFigures.Percentile([.. times.Select(time => (double)time).Order()], 50);
    }
}

/// <summary>An artifact's latency under one core plan.</summary>
/// <param name="Plan">Name of the core plan.</param>
/// <param name="Passage">Of each run alone, as the runtime measured it while the plan's other contexts were busy; of a batch, each
/// passage's share of its run.</param>
/// <param name="Request">Of each request, from its first passage's start to its last one's end.</param>
public sealed record PlanLatency(string Plan, Series Passage, Series Request);
