using MathNet.Numerics.Distributions;
using ModelPipeline.Core;

namespace ModelPipeline.Metrics;

/// <summary>Where the figure of all queries of this kind lies, as far as those that were asked can tell.</summary>
/// <param name="Low">Lower end of the 95 % interval.</param>
/// <param name="High">Its upper end.</param>
/// <param name="Error">Standard error of the figure.</param>
/// <param name="Units">How many queries or texts the figure is of.</param>
[OneLine]
public sealed record Interval(double Low, double High, double Error, int Units)
{
    /// <summary>Of the ends.</summary>
    public const double Confidence = 0.95;

    /// <summary>The ends at another confidence, as far from the figure as normal quantiles are from each other.</summary>
    /// <param name="figure">That the interval is of.</param>
    /// <param name="confidence">Of both ends together, above 0 and below 1.</param>
    public (double Low, double High) At(double figure, double confidence)
    {
        var scale = Quantile(confidence) / Quantile(Confidence);
        return (figure - ((figure - Low) * scale), figure + ((High - figure) * scale));

        static double Quantile(double confidence) => Normal.InvCDF(0, 1, (1 + confidence) / 2);
    }

    /// <summary>Chance, 0 to 0.5, that as many other queries put the figure on the other side of a limit: both their figure and this one
    /// vary.</summary>
    /// <param name="margin">Distance of the figure to the limit.</param>
    public double ChanceBeyond(double margin) => Error == 0 ? 0 : Normal.CDF(0, 1, -Math.Abs(margin) / (Math.Sqrt(2) * Error));
}

/// <summary>Of the figures of a variant, by metric name. Figures without one are not of queries, or are extremes, of which resamples say
/// nothing: the largest difference, the smallest cosine, the number of distinct scores.</summary>
/// <param name="Figures">Of the figures themselves.</param>
/// <param name="Drops">Of fp32's minus the variant's, for the same queries.</param>
public sealed record Intervals(IReadOnlyDictionary<string, Interval> Figures, IReadOnlyDictionary<string, Interval> Drops)
{
    public static Intervals None { get; } = new(new Dictionary<string, Interval>(), new Dictionary<string, Interval>());
}
