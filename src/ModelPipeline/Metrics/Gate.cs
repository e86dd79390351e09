using System.Globalization;
using System.Text.Json.Serialization;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Metrics;

public enum GateResult
{
    Passed,
    Failed,

    /// <summary>The figure keeps to the limit, but so few queries cannot tell whether that is chance.</summary>
    Undecided,
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
public sealed record GateOutcome(string Metric, GateResult Result, double? Figure, double Limit, double? Margin, string Statement)
{
    /// <summary>The end of the figure's interval that is nearer to the limit or farther beyond it, at the gate's confidence; null for a
    /// gate without one.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? End { get; init; }

    /// <summary>Undecided: about how many queries, or texts, would decide; null if no number would, for the figure is at its
    /// limit.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? Needs { get; init; }

    /// <summary>Of a gate without a confidence: the chance, 0 to 0.5, that as many other queries say otherwise; null where the figure has
    /// no interval.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? ChanceOfOther { get; init; }

    /// <summary>The part of the texts that was judged: "length 65 to 128 tokens"; null for all of them.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Slice { get; init; }

    /// <summary>As words of one cell: "passed", "undecided: needs about 400 queries".</summary>
    [JsonIgnore]
    public string Verdict =>
        Result switch
        {
            GateResult.Passed => "passed",
            GateResult.Failed => "failed",
            GateResult.Undecided => $"undecided: {Gate.Needed(Metric, Needs)}",
            GateResult.NotMeasured => "not measured",
        };
}

/// <summary>What the last release recorded of a variant at a shape.</summary>
/// <param name="Version">Of the release; null if there is nothing to compare with.</param>
/// <param name="Figures">By metric name.</param>
/// <param name="Reason">Why there is nothing to compare with; null if there is.</param>
public sealed record ReleasedFigures(string? Version, IReadOnlyDictionary<string, double> Figures, string? Reason)
{
    /// <param name="reason">A sentence without its full stop.</param>
    public static ReleasedFigures None(string reason) => new(null, new Dictionary<string, double>(), reason);
}

/// <summary>Judges figures by the limits of models.yaml.</summary>
public static class Gate
{
    public const string NeedsDevice = "not measured: needs a device";

    /// <summary>With fewer queries, resamples say too little of what was not drawn.</summary>
    public const int FewestUnits = 20;

    /// <summary>Whether a variant may be packaged with such a gate: what needs a device is open, not wrong, but what is undecided has no
    /// one to vouch for it.</summary>
    public static bool Holds(this GateResult result) =>
        result switch
        {
            GateResult.Passed or GateResult.NotMeasured => true,
            GateResult.Failed or GateResult.Undecided => false,
        };

    /// <summary>Judges one gate. Without a confidence it judges the figure; with one the figure and the bad end of its interval.</summary>
    /// <param name="gate">Exactly one limit set, a finite one.</param>
    /// <param name="variant">The variant's figures.</param>
    /// <param name="reference">fp32's figures, for <see cref="GateSpec.MaxDrop"/>.</param>
    /// <param name="onDevice">The variant itself ran on a board. Without it latency figures are simulated and count as not
    /// measured.</param>
    /// <param name="intervals">Of the variant's figures; null for none, and then a gate with a confidence is undecided.</param>
    /// <exception cref="PipelineException">The gate names an unknown metric or has no single finite limit.</exception>
    public static GateOutcome Judge(
        GateSpec gate,
        IReadOnlyDictionary<string, double> variant,
        IReadOnlyDictionary<string, double> reference,
        bool onDevice,
        Intervals? intervals = null
    )
    {
        var metric = Metric.Named(gate.Metric);
        var limit = SingleLimit(gate);
        if (metric.Kind == MetricKind.Latency && !(onDevice && variant.ContainsKey(metric.Name)))
            return NotMeasured($"{metric.Name} {NeedsDevice}");
        if (!variant.TryGetValue(metric.Name, out var figure))
            return NotMeasured($"{metric.Name} not measured: this validation gives no such figure");
        if (gate.MaxDrop is null)
            return new Judged(metric, metric.Name, figure, limit, gate.Min is null).By(
                gate.Confidence,
                intervals?.Figures.GetValueOrDefault(metric.Name)
            );
        if (!reference.TryGetValue(metric.Name, out var whole))
            return NotMeasured($"{metric.Name} not measured: fp32 has no such figure to drop from");
        return new Judged(metric, $"drop of {metric.Name} from fp32", Exact(whole - figure), limit, IsMaximum: true).By(
            gate.Confidence,
            intervals?.Drops.GetValueOrDefault(metric.Name)
        );

        GateOutcome NotMeasured(string statement) => new(metric.Name, GateResult.NotMeasured, null, limit, null, statement);
    }

    /// <summary>Judges a gate against what the last release recorded of the same texts: the figures alone, whose queries are not recorded.
    /// Where there is nothing to compare with, it passes, and says so.</summary>
    /// <param name="gate">With <see cref="GateSpec.MaxDropVsRelease"/>.</param>
    /// <param name="variant">The variant's figures.</param>
    /// <param name="release">The release's.</param>
    public static GateOutcome Judge(GateSpec gate, IReadOnlyDictionary<string, double> variant, ReleasedFigures release)
    {
        var (metric, limit) = (Metric.Named(gate.Metric), gate.MaxDropVsRelease!.Value);
        if (release.Reason is { } reason)
            return new(metric.Name, GateResult.Passed, null, limit, null, $"drop of {metric.Name} from the last release: {reason}");
        if (!release.Figures.TryGetValue(metric.Name, out var before) || !variant.TryGetValue(metric.Name, out var figure))
            return new(
                metric.Name,
                GateResult.NotMeasured,
                null,
                limit,
                null,
                $"{metric.Name} not measured here and in release {release.Version} alike"
            );
        return new Judged(metric, $"drop of {metric.Name} from release {release.Version}", Exact(before - figure), limit, true).By(
            null,
            null
        );
    }

    /// <summary>"needs about 400 queries".</summary>
    internal static string Needed(string metric, int? units) =>
        units is { } number
            ? string.Create(CultureInfo.InvariantCulture, $"needs about {number:N0} {Metric.Named(metric).Units}")
            : $"no number of {Metric.Named(metric).Units} decides";

    /// <summary>A figure beside its limit.</summary>
    private sealed record Judged(Metric Metric, string Subject, double Figure, double Limit, bool IsMaximum)
    {
        private double Margin => Distance(Figure);

        private string Bound => IsMaximum ? "maximum" : "minimum";

        public GateOutcome By(double? confidence, Interval? interval)
        {
            if (confidence is not { } asked)
                return Plain with { ChanceOfOther = interval?.ChanceBeyond(Margin) is { } chance ? Math.Round(chance, 3) : null };
            if (Margin < 0)
                return Plain;
            if (interval is null || interval.Units < FewestUnits)
                return Undecided(
                    FewestUnits,
                    string.Create(CultureInfo.InvariantCulture, $"{interval?.Units ?? 0} {Metric.Units} say nothing of chance")
                );
            var (low, high) = interval.At(Figure, asked);
            var end = Math.Round(IsMaximum ? high : low, 6) + 0.0;
            var text = string.Create(CultureInfo.InvariantCulture, $"the {100 * asked:0.##} % interval ends at {Metric.Format(end)}");
            if (Distance(end) >= 0)
                return Plain with { End = end, Statement = $"{Plain.Statement}, and {text}" };
            return Undecided(Enough(interval.Units, Math.Abs(Figure - end)), text) with { End = end };
        }

        private GateOutcome Plain
        {
            get
            {
                var side = Margin < 0 ? $"{(IsMaximum ? "above" : "below")} its {Bound}" : $"within its {Bound}";
                var format = "F" + Decimals(Metric, Figure, Limit, Margin);
                return new(
                    Metric.Name,
                    Margin < 0 ? GateResult.Failed : GateResult.Passed,
                    Figure,
                    Limit,
                    Margin,
                    $"{Subject} {Text(Figure)} is {side} {Text(Limit)} by {Text(Math.Abs(Margin))}"
                );

                string Text(double number) => number.ToString(format, CultureInfo.InvariantCulture);
            }
        }

        private GateOutcome Undecided(int? needs, string why) =>
            Plain with
            {
                Result = GateResult.Undecided,
                Needs = needs,
                Statement = $"undecided: {Plain.Statement}, but {why}: {Needed(Metric.Name, needs)}",
            };

        /// <summary>An interval is as wide as one over the root of the number of queries: so many make its half fit into the margin, to two
        /// digits.</summary>
        private int? Enough(int units, double half)
        {
            if (Margin == 0)
                return null;
            var enough = units * Math.Pow(half / Margin, 2);
            var digit = Math.Pow(10, Math.Max(0, Math.Floor(Math.Log10(enough)) - 1));
            return (int)Math.Min(Math.Ceiling(enough / digit) * digit, 1e9);
        }

        private double Distance(double figure) => Exact(IsMaximum ? Limit - figure : figure - Limit);
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
