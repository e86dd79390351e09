using System.Globalization;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Planning;
using ModelPipeline.Validation;

namespace ModelPipeline.Decision;

/// <summary>What a plan adds to the advice, as sentences without their full stops; see --target=Plan.</summary>
/// <param name="Lengths">Which shapes serve the corpus, and what that rests on.</param>
/// <param name="Cost">What they are expected to take.</param>
public sealed record PlanAdvice(string Lengths, string Cost)
{
    /// <summary>What --target=Plan found; null without a plan that keeps to its limits.</summary>
    public static PlanAdvice? Of(PlanReport? plan) =>
        plan?.Best is not { } best
            ? null
            : new(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"By the plan, the corpus is served best at {best.ShapesText} tokens in {best.PrecisionText}, "
                        + $"{best.CorePlan.Replace('_', ' ')}"
                )
                    + (
                        best.CutShare > 0
                            ? string.Create(CultureInfo.InvariantCulture, $", which cuts {100 * best.CutShare:0.#} % of it")
                            : ""
                    ),
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"It expects {plan.Passages} passages in about {best.RequestMs:0} ms ({best.RequestMs * plan.Low:0} to "
                        + $"{best.RequestMs * plan.High:0}), estimated and not measured"
                ) + (plan.CpuRequestMs is { } cpu ? string.Create(CultureInfo.InvariantCulture, $", on the chip's CPU about {cpu:0}") : "")
            );
}

/// <summary>What the advice is made of.</summary>
/// <param name="Reports">Of all variants, in the order of models.yaml.</param>
/// <param name="Served">Those that the choice runs, one a shape, the largest last; empty if no variant may run.</param>
/// <param name="Routing">How they are served; null if no variant may run.</param>
/// <param name="OnNpu">The NPU runs them.</param>
/// <param name="LatencyLimit">Largest p95 of a passage on the NPU, in milliseconds.</param>
internal sealed record Choice(
    IReadOnlyList<ValidationReport> Reports,
    IReadOnlyList<ValidationReport> Served,
    VariantRouting? Routing,
    bool OnNpu,
    double LatencyLimit
);

/// <summary>
/// The paragraph that report, card, summary and decision.json open with: what to run, where, at which lengths, what it costs in accuracy
/// and time, against what, and what would change it.
/// </summary>
internal static class Advice
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    public static string Of(Choice choice, PlanAdvice? plan)
    {
        string?[] sentences =
        [
            What(choice),
            Lengths(choice),
            plan?.Lengths,
            choice.Served is [.., var served] ? Accuracy(served) : null,
            choice.Served is [.., var largest] ? Cost(largest) : null,
            plan?.Cost,
            Against(choice),
            .. Changes(choice),
        ];
        return string.Join(' ', sentences.OfType<string>().Select(sentence => sentence + "."));
    }

    private static string What(Choice choice)
    {
        if (choice.Routing is not { } routing)
            return "Run none of these variants: none passes its accuracy gates on what it is made for";
        var files = string.Join(
            ", ",
            routing.Buckets.SkipLast(1).Select(bucket => $"{bucket.Artifact} for up to {bucket.MaxTokens} tokens")
        );
        var shorter = files.Length == 0 ? "" : $" ({files})";
        return choice.OnNpu
            ? $"Run {routing.Largest}{shorter} on the NPU{(routing.CorePlan is { } cores ? $" with the core plan {cores}" : "")}"
            : $"Run {routing.Largest}{shorter} on the CPU";
    }

    private static string? Lengths(Choice choice)
    {
        if (choice.Routing is not { } routing)
            return null;
        var cut = routing.Truncation;
        var takes = string.Create(Invariant, $"It takes texts of up to {routing.Buckets[^1].MaxTokens:N0} tokens");
        if (cut.Passages == 0)
            return $"{takes}, as all of the corpus are";
        var cost = cut.Cost switch
        {
            { WholeNdcg: { } whole, CutNdcg: { } after } => string.Create(
                Invariant,
                $", which moves fp32's own NDCG@10 from {whole:F3} to {after:F3}"
            ),
            { } unjudged => string.Create(Invariant, $", which moves fp32's own order (Kendall tau {unjudged.KendallTau:F3} to the uncut)"),
            null => "",
        };
        return string.Create(Invariant, $"{takes}; {100 * cut.Share:0.#} % of the corpus are longer and are cut{cost}");
    }

    /// <summary>The task's two most telling figures: what is judged by the corpus as a drop from fp32, what compares with fp32 as it
    /// is.</summary>
    private static string Accuracy(ValidationReport report)
    {
        var told = report
            .Subject.Task.Headline.Take(2)
            .Select(Metric.Named)
            .Where(metric => report.Figures.ContainsKey(metric.Name))
            .Select(metric => Told(report, metric))
            .ToList();
        var units = report.Intervals.Figures.GetValueOrDefault(report.Subject.Task.Headline[0])?.Units ?? 0;
        var basis = units == 0 ? "" : string.Create(Invariant, $" (in brackets 95 % intervals over {units:N0} {UnitsOf(report)})");
        var mark = report.Subject.Simulated ? ", as a simulator has it" : "";
        return $"On corpus {report.Subject.Corpus}{mark}, {string.Join(", and ", told)}{basis}";
    }

    private static string UnitsOf(ValidationReport report) => Metric.Named(report.Subject.Task.Headline[0]).Units;

    private static string Told(ValidationReport report, Metric metric)
    {
        var figure = report.Figures[metric.Name];
        var (own, drop) = (report.Intervals.Figures.GetValueOrDefault(metric.Name), report.Intervals.Drops.GetValueOrDefault(metric.Name));
        // fp32 agrees with itself wholly: that is no figure of its own.
        if (metric.ComparesWithFp32 || !report.Reference.TryGetValue(metric.Name, out var whole))
            return $"{metric.Label} to fp32 is {metric.Format(figure)}{Between(metric, own)}";
        return $"{metric.Label} is {metric.Format(figure)} where fp32 has {metric.Format(whole)}, a drop of "
            + $"{metric.Format(Math.Round(whole - figure, 9) + 0.0)}{Between(metric, drop)}";
    }

    internal static string Between(Metric metric, Interval? interval) =>
        interval is null ? "" : $" [{metric.Format(interval.Low)}, {metric.Format(interval.High)}]";

    private static string Cost(ValidationReport report)
    {
        var (own, fp32) = (report.Subject.ArtifactDigest.Size, report.Subject.ReferenceDigest.Size);
        var size = string.Create(Invariant, $"{own / 1e6:F2} MB, {100.0 * own / fp32:F0} % of fp32's");
        if (report.Subject.OnDevice && report.Figures.TryGetValue(Metric.LatencyP95Ms, out var p95))
        {
            var fp32Time = report.Reference.TryGetValue(Metric.LatencyP95Ms, out var whole)
                ? string.Create(Invariant, $", fp32 on its CPU {whole:F1}")
                : "";
            return string.Create(Invariant, $"A passage takes {p95:F1} ms at the 95th percentile, measured on {report.Subject.Device}")
                + $"{fp32Time}; the file has {size}";
        }
        return report.Toolkit?.Estimate is { } estimate
            ? $"A passage is expected to take {estimate.Range} ms, estimated and not measured; the file has {size}"
            : $"Its time was not measured on a device; the file has {size}";
    }

    private static string? Against(Choice choice)
    {
        if (choice.Reports.Select(report => report.Baselines).FirstOrDefault(each => each is not null) is not { } baselines)
            return null;
        string[] others =
        [
            .. baselines.Bm25 is { } words ? new[] { string.Create(Invariant, $"BM25 has {words:F3}") } : [],
            .. baselines.RandomOrders is { } chance ? new[] { string.Create(Invariant, $"random orders have {chance:F3}") } : [],
        ];
        return others.Length == 0 ? null : $"Without a model, {string.Join(" and ", others)} on NDCG@10";
    }

    private static IEnumerable<string> Changes(Choice choice)
    {
        var variants = choice
            .Reports.Where(report => report.Subject.Backend != Backend.Onnx)
            .GroupBy(report => report.Subject.Variant)
            .Where(variant => !choice.Served.Any(report => report.Subject.Variant == variant.Key))
            .ToList();
        if (choice.OnNpu)
        {
            yield return string.Create(Invariant, $"A p95 above {choice.LatencyLimit:0.###} ms on the board would change that")
                + (Closest(choice.Served) is { } gate ? $", or figures beyond its closest gate: {gate.Statement}" : "");
            yield break;
        }
        if (variants.Count == 0)
            yield break;
        var open = Names(variants.Where(variant => Judged(variant).All(gate => gate.Result == GateResult.Passed)));
        if (open.Length > 0)
        {
            var limit = choice.LatencyLimit.ToString("0.###", Invariant);
            yield return $"A board would change that: {open} would run on its NPU after passing the same gates there, "
                + $"with a p95 within {limit} ms";
        }
        foreach (var variant in variants)
        {
            var against = Judged(variant).Where(gate => !gate.Result.Holds()).ToList();
            var gates = against.Select(gate => $"{gate.Metric} ({gate.Verdict})").Distinct();
            if (against.Count > 0)
                yield return $"{variant.Key} would have to pass {string.Join(", ", gates)}";
        }

        static IEnumerable<GateOutcome> Judged(IEnumerable<ValidationReport> variant) =>
            variant.SelectMany(report => report.Gates).Where(gate => Metric.Named(gate.Metric).Kind != MetricKind.Latency);

        static string Names(IEnumerable<IGrouping<string, ValidationReport>> variants) =>
            string.Join(" or ", variants.Select(variant => variant.Key));
    }

    /// <summary>The accuracy gate whose figure is fewest standard errors from its limit.</summary>
    private static GateOutcome? Closest(IReadOnlyList<ValidationReport> reports) =>
        reports
            .SelectMany(report => report.Gates)
            .Where(gate => Metric.Named(gate.Metric).Kind == MetricKind.Accuracy && gate.Margin is not null)
            .MinBy(gate => gate.Margin);
}
