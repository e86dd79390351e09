using System.Numerics.Tensors;

namespace ModelPipeline.Metrics;

/// <summary>How a figure follows from the mean of what its units add.</summary>
internal enum SampleForm
{
    Mean,
    RootMean,
    Total,
}

/// <summary>
/// A figure as what its units, queries or texts, add to it: their sums over their weights, so that a resample of units has a figure
/// without anything being ranked again.
/// </summary>
/// <param name="Sums">One a unit.</param>
/// <param name="Weights">What each counts for; 0 for one that has no such figure, whose sum is 0 then.</param>
internal sealed record Sample(double[] Sums, double[] Weights)
{
    private readonly bool isWhole = Weights.All(weight => weight == 1);

    public SampleForm Form { get; init; }

    /// <summary>Every sum is 0 or 1: the figure is the share of units that have something.</summary>
    public bool IsShare { get; init; }

    /// <summary>Those that count.</summary>
    public int Units { get; } = Weights.Count(weight => weight != 0);

    public double Figure => Formed(Sums.Sum() / Weights.Sum());

    /// <summary>A mean over the units that have a value.</summary>
    public static Sample Mean(IReadOnlyList<double?> values) =>
        new([.. values.Select(value => value ?? 0)], [.. values.Select(value => value is null ? 0.0 : 1)]);

    /// <summary>The figure of a statistic that is no mean, by what each unit's weight changes of it (the infinitesimal
    /// jackknife).</summary>
    /// <param name="figure">Of all units.</param>
    /// <param name="influences">Of each unit; their mean is 0.</param>
    public static Sample Linear(double figure, IEnumerable<double> influences) =>
        Mean([.. influences.Select(influence => (double?)(figure + influence))]);

    /// <summary>The figure of a resample.</summary>
    /// <param name="times">How often each unit is in it, as many in all as there are units; NaN if none of those counts.</param>
    public double Of(double[] times)
    {
        var sum = TensorPrimitives.Dot<double>(times, Sums);
        return Formed(sum / (isWhole ? Sums.Length : TensorPrimitives.Dot<double>(times, Weights)));
    }

    /// <summary>What each unit's weight changes of the figure, times the number of units that count: the influence function; their mean
    /// is 0.</summary>
    public double[] Influences()
    {
        var (mean, weight) = (Sums.Sum() / Weights.Sum(), Weights.Sum() / Units);
        var slope = Form switch
        {
            SampleForm.Mean => 1,
            SampleForm.RootMean => mean > 0 ? 1 / (2 * Math.Sqrt(mean)) : 0,
            SampleForm.Total => Weights.Length,
        };
        return [.. Sums.Zip(Weights, (sum, own) => slope * (sum - (mean * own)) / weight)];
    }

    private double Formed(double mean) =>
        Form switch
        {
            SampleForm.Mean => mean,
            SampleForm.RootMean => Math.Sqrt(mean),
            SampleForm.Total => mean * Weights.Length,
        };
}
