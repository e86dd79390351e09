using System.Globalization;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Metrics;

public enum GateResult
{
    Passed,
    Failed,
    NotMeasured,
}

/// <summary>The verdict on one gate.</summary>
/// <param name="Metric">Key of <see cref="Metrics.Metric.All"/>.</param>
/// <param name="Result">Only <see cref="GateResult.Passed"/> lets a variant through.</param>
/// <param name="Figure">What was judged: the variant's figure or, for a drop, fp32's figure minus the variant's; null if not
/// measured.</param>
/// <param name="Limit">The gate's limit.</param>
/// <param name="Margin">Distance to the limit, negative beyond it; null if not measured.</param>
/// <param name="Statement">All of this as a sentence without its full stop.</param>
public sealed record GateOutcome(string Metric, GateResult Result, double? Figure, double Limit, double? Margin, string Statement);

/// <summary>Judges figures by the limits of models.yaml.</summary>
public static class Gate
{
    public const string NeedsDevice = "not measured: needs a device";

    /// <summary>Judges one gate.</summary>
    /// <param name="gate">Exactly one limit set, a finite one.</param>
    /// <param name="variant">The variant's figures.</param>
    /// <param name="reference">fp32's figures, for <see cref="GateSpec.MaxDrop"/>.</param>
    /// <param name="onDevice">The variant itself ran on a board. Without it latency figures are simulated and count as not
    /// measured.</param>
    /// <exception cref="PipelineException">The gate names an unknown metric or has no single finite limit.</exception>
    public static GateOutcome Judge(
        GateSpec gate,
        IReadOnlyDictionary<string, double> variant,
        IReadOnlyDictionary<string, double> reference,
        bool onDevice
    )
    {
        var metric = Metric.Named(gate.Metric);
        var limit = SingleLimit(gate);
        if (metric.Kind == MetricKind.Latency && !(onDevice && variant.ContainsKey(metric.Name)))
            return NotMeasured($"{metric.Name} {NeedsDevice}");
        if (!variant.TryGetValue(metric.Name, out var figure))
            return NotMeasured($"{metric.Name} not measured: this validation gives no such figure");
        if (gate.MaxDrop is null)
            return gate.Min is null
                ? Verdict(metric.Name, figure, "maximum", limit - figure)
                : Verdict(metric.Name, figure, "minimum", figure - limit);
        if (!reference.TryGetValue(metric.Name, out var whole))
            return NotMeasured($"{metric.Name} not measured: fp32 has no such figure to drop from");
        var drop = Exact(whole - figure);
        return Verdict($"drop of {metric.Name} from fp32", drop, "maximum", limit - drop);

        GateOutcome NotMeasured(string statement) => new(metric.Name, GateResult.NotMeasured, null, limit, null, statement);

        GateOutcome Verdict(string subject, double judged, string bound, double distance)
        {
            var margin = Exact(distance);
            var failed = margin < 0;
            var side = (failed, bound) switch
            {
                (true, "minimum") => "below its minimum",
                (true, _) => "above its maximum",
                (false, _) => $"within its {bound}",
            };
            var format = "F" + Decimals(metric, judged, limit, margin);
            var statement = $"{subject} {Text(judged)} is {side} {Text(limit)} by {Text(Math.Abs(margin))}";
            return new(metric.Name, failed ? GateResult.Failed : GateResult.Passed, judged, limit, margin, statement);

            string Text(double number) => number.ToString(format, CultureInfo.InvariantCulture);
        }
    }

    private static double SingleLimit(GateSpec gate)
    {
        double[] limits = [.. new[] { gate.Min, gate.Max, gate.MaxDrop }.OfType<double>()];
        return limits is [var limit] && double.IsFinite(limit)
            ? limit
            : throw new PipelineException(
                $"Gate {gate.Metric} needs exactly one finite limit: min, max or max_drop.",
                PipelineException.ConfigurationError
            );
    }

    /// <summary>Takes the binary rounding error out of a difference of two figures of six decimals.</summary>
    private static double Exact(double difference) => Math.Round(difference, 9) + 0.0;

    /// <summary>The metric's usual precision, or as much more as it takes to show the limit whole and a missed limit as missed.</summary>
    private static int Decimals(Metric metric, double figure, double limit, double margin)
    {
        var decimals = metric.Decimals;
        while (
            decimals < 9
            && (
                Math.Round(limit, decimals) != limit
                || (margin != 0 && (Math.Round(margin, decimals) == 0 || Math.Round(figure, decimals) == Math.Round(limit, decimals)))
            )
        )
            decimals++;
        return decimals;
    }
}
