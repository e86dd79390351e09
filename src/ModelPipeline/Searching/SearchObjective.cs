using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;

namespace ModelPipeline.Searching;

/// <summary>What Search makes as good as can be.</summary>
/// <param name="Metric">One of the task's.</param>
internal sealed record SearchObjective(Metric Metric)
{
    /// <summary>Metrics of which less is better.</summary>
    private static readonly string[] Costs =
    [
        Metric.WithinQueryResidual,
        Metric.MaxScoreDifference,
        Metric.MeanScoreDifference,
        Metric.TiedPairs,
    ];

    /// <summary>By the variant's <c>search</c>; else the task's figure that says most of few texts.</summary>
    public static SearchObjective Of(ModelTask task, SearchSpec spec) =>
        new(Metric.Named(spec.Maximise ?? Steadiest.First(name => task.Metrics.Contains(name))));

    private static readonly string[] Steadiest = [Metric.WithinQueryResidual, Metric.CosineMean, Metric.LabelAgreement];

    /// <summary>Less is better; 0 or the least number there can be for fp32's own outputs. NaN if the figures lack the metric.</summary>
    public double Loss(IReadOnlyDictionary<string, double> figures) =>
        figures.TryGetValue(Metric.Name, out var figure) ? Figure(figure) : double.NaN;

    /// <summary>The metric's figure of a loss, or the loss of a figure.</summary>
    public double Figure(double loss) => Costs.Contains(Metric.Name) ? loss : (Metric.High ?? 0) - loss;

    /// <summary>What a loss is called.</summary>
    public string LossLabel => Costs.Contains(Metric.Name) ? Metric.Label : $"{Metric.High ?? 0:0} - {Metric.Label}";
}
