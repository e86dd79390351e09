using System.Diagnostics;

namespace ModelPipeline.Benchmarks;

/// <summary>Median times of two actions run in turn, so that whatever slows the machine slows both.</summary>
/// <param name="Ratio">Median of the ratios of neighbouring runs, second to first.</param>
internal sealed record PairedRuns(double FirstMilliseconds, double SecondMilliseconds, double Ratio)
{
    public static PairedRuns Measure(Action<int> first, Action<int> second, int rounds)
    {
        first(0);
        second(0);
        var (a, b) = (new double[rounds], new double[rounds]);
        for (var round = 0; round < rounds; round++)
            (a[round], b[round]) = (Milliseconds(() => first(round)), Milliseconds(() => second(round)));
        return new PairedRuns(Median(a), Median(b), Median([.. a.Zip(b, (x, y) => y / x)]));
    }

    public static double Milliseconds(Action action)
    {
        var start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }

    public static double Median(double[] values) => values.Order().ElementAt(values.Length / 2);
}
