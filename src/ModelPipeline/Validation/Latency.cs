namespace ModelPipeline.Validation;

/// <summary>Latency figures of a series of runs.</summary>
public static class Latency
{
    /// <summary>Mean and percentiles by metric name. A percentile is the smallest time that at least that share of the runs took no longer than (nearest rank).</summary>
    /// <param name="milliseconds">One a run, at least one.</param>
    public static IReadOnlyDictionary<string, double> Figures(IReadOnlyList<double> milliseconds)
    {
        var sorted = milliseconds.Order().ToArray();
        double Percentile(double share) => sorted[Math.Max((int)Math.Ceiling(share * sorted.Length) - 1, 0)];
        return Figure.Set(
        [
            new("latency_mean_ms", sorted.Average()),
            new("latency_p50_ms", Percentile(0.50)),
            new(Metric.LatencyP95Ms, Percentile(0.95)),
            new("latency_p99_ms", Percentile(0.99)),
        ]);
    }
}
