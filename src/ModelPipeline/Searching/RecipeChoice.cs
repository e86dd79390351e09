using System.Globalization;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;

namespace ModelPipeline.Searching;

/// <summary>Which of the built recipes is taken.</summary>
internal static class RecipeChoice
{
    /// <summary>Losses so close are equal: queries are few.</summary>
    private const double Tolerance = 0.05;

    public static readonly string Rule = string.Create(
        CultureInfo.InvariantCulture,
        $"Of the recipes that keep to the limits on the confirm part, the one closest to fp32; of those whose loss is at most "
            + $"{Tolerance:0%} larger than its, the smallest file; of equal files the faster."
    );

    /// <summary>With limits and front noted, best first.</summary>
    public static IReadOnlyList<BuiltRecipe> Judged(IReadOnlyList<BuiltRecipe> built, SearchSpec spec) =>
        [
            .. built
                .Select(each => each with { Breaks = [.. Breaks(each, spec)], OnFront = !built.Any(other => Dominates(other, each)) })
                .OrderBy(each => each.Breaks.Count > 0)
                .ThenBy(each => each.Loss),
        ];

    /// <summary>Null if none keeps to the limits.</summary>
    public static BuiltRecipe? Of(IReadOnlyList<BuiltRecipe> judged)
    {
        var allowed = judged.Where(each => each.Breaks.Count == 0).ToList();
        if (allowed.Count == 0)
            return null;
        var limit = allowed.Min(each => each.Loss) * (1 + Tolerance);
        return allowed.Where(each => each.Loss <= limit).OrderBy(each => each.Mb).ThenBy(each => each.Ms).ThenBy(each => each.Loss).First();
    }

    private static bool Dominates(BuiltRecipe one, BuiltRecipe other) =>
        one.Loss <= other.Loss
        && one.Mb <= other.Mb
        && (one.Ms ?? 0) <= (other.Ms ?? 0)
        && (one.Loss < other.Loss || one.Mb < other.Mb || one.Ms < other.Ms);

    private static IEnumerable<string> Breaks(BuiltRecipe built, SearchSpec spec)
    {
        if (built.Mb > spec.MaxMb)
            yield return Text($"{built.Mb:0.00} MB of {spec.MaxMb}");
        if (built.Ms > spec.MaxLatencyMs)
            yield return Text($"{(built.OnDevice ? "" : "about ")}{built.Ms:0.0} ms of {spec.MaxLatencyMs}");
        foreach (var (metric, least) in new[] { (Metric.KendallTau, spec.MinTau), (Metric.CosineMean, spec.MinCosine) })
        {
            if (least is { } limit && (!built.Figures.TryGetValue(metric, out var figure) || figure < limit))
                yield return Text($"{metric} {built.Figures.GetValueOrDefault(metric):0.000} of {limit}");
        }
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
