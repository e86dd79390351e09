namespace ModelPipeline.Metrics;

/// <summary>How figures are kept: by metric name, finite, rounded to six decimals, so that what a report shows is what its gates
/// judged.</summary>
public static class Figure
{
    /// <summary>Six decimals; null for null, NaN and infinity, which are no figures.</summary>
    public static double? Round(double? value) => value is { } figure && double.IsFinite(figure) ? Math.Round(figure, 6) + 0.0 : null;

    /// <summary>The figures that there are, in the order of <see cref="Metric.All"/>. Later ones replace earlier ones of the same
    /// name.</summary>
    public static IReadOnlyDictionary<string, double> Set(params IEnumerable<KeyValuePair<string, double?>> figures)
    {
        var known = new Dictionary<string, double>();
        foreach (var (name, value) in figures)
        {
            if (Round(value) is { } figure)
                known[Metric.Named(name).Name] = figure;
        }
        return new OrderedDictionary<string, double>(
            Metric
                .All.Where(metric => known.ContainsKey(metric.Name))
                .Select(metric => KeyValuePair.Create(metric.Name, known[metric.Name]))
        );
    }
}
