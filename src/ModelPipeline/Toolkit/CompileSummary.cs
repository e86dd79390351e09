using System.Globalization;
using System.Text.Json.Serialization;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;

namespace ModelPipeline.Toolkit;

/// <summary>The figures of a compile report that are judged, compared and shown.</summary>
/// <param name="Compiler">Its version; null if the log was cut before it.</param>
/// <param name="Layers">Number of them.</param>
/// <param name="Cycles">Of one inference, as far as the compiler models them.</param>
/// <param name="TrafficKb">Memory read and written by one inference, KiB.</param>
/// <param name="InternalKb">Internal memory, KiB; null if the log was cut before it.</param>
/// <param name="WeightKb">Weight memory, KiB; null if the log was cut before it.</param>
/// <param name="CpuOperators">Kinds of operators that fell back to the CPU, sorted.</param>
public sealed record CompileSummary(
    string? Compiler,
    int Layers,
    long Cycles,
    long TrafficKb,
    double? InternalKb,
    double? WeightKb,
    IReadOnlyList<string> CpuOperators
)
{
    private const double KbPerMb = 1000;

    /// <summary>Attentions that are one operator of the NPU's; null if the log was cut before the table of layers, or in summaries of older
    /// versions.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? FusedAttentions { get; init; }

    /// <summary>Attentions in all; null likewise.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? Attentions { get; init; }

    public static CompileSummary Of(CompileReport report) =>
        new(report.Compiler, report.Layers.Count, report.Cycles, report.TrafficKb, report.InternalKb, report.WeightKb, report.CpuOperators)
        {
            FusedAttentions = report.Layers.Count == 0 ? null : report.FusedAttentions,
            Attentions = report.Layers.Count == 0 ? null : report.FusedAttentions + report.OpenAttentions,
        };

    /// <summary>By metric name; those that a cut log lacks are left out.</summary>
    [JsonIgnore]
    public IReadOnlyDictionary<string, double> Figures =>
        Figure.Set(
            new(Metric.CompileCpuOps, CpuOperators.Count),
            new(Metric.CompileFusedAttention, FusedAttentions),
            new(Metric.CompileWeightMb, WeightKb / KbPerMb),
            new(Metric.CompileInternalMb, InternalKb / KbPerMb)
        );

    /// <summary>One outcome for each limit that is set.</summary>
    public IReadOnlyList<GateOutcome> Judge(CompileLimits limits)
    {
        var figures = Figures;
        return
        [
            .. CpuGate(limits.CpuOps),
            .. limits.FusesAllAttention ? [AttentionGate()] : Array.Empty<GateOutcome>(),
            .. Limit(Metric.CompileWeightMb, limits.WeightMb),
            .. Limit(Metric.CompileInternalMb, limits.InternalMb),
        ];

        IEnumerable<GateOutcome> Limit(string metric, double? limit) =>
            limit is null
                ? []
                : [Gate.Judge(new GateSpec(metric, null, limit, null), figures, new Dictionary<string, double>(), onDevice: false)];
    }

    private GateOutcome AttentionGate()
    {
        const string Name = Metric.CompileFusedAttention;
        if (FusedAttentions is not { } fused || Attentions is not { } all)
            return new(Name, GateResult.NotMeasured, null, 0, null, $"{Name} not measured: the toolkit's log has no table of layers");
        var found = $"{Name}: {fused} of {all} attentions are fused";
        return all > 0 && fused == all
            ? new(Name, GateResult.Passed, fused, all, 0, found)
            : new(Name, GateResult.Failed, fused, all, fused - all, $"{found}, all were to be; prepare.json says what its rewrites found");
    }

    private IEnumerable<GateOutcome> CpuGate(IReadOnlyList<string>? allowed)
    {
        if (allowed is null)
            return [];
        if (Layers == 0)
            return
            [
                new(
                    Metric.CompileCpuOps,
                    GateResult.NotMeasured,
                    null,
                    0,
                    null,
                    $"{Metric.CompileCpuOps} not measured: the toolkit's log has no table of layers"
                ),
            ];
        string[] others = [.. CpuOperators.Except(allowed)];
        return others.Length == 0
            ? [new(Metric.CompileCpuOps, GateResult.Passed, 0, 0, 0, $"{Metric.CompileCpuOps}: only {List(CpuOperators)} run on the CPU")]
            :
            [
                new(
                    Metric.CompileCpuOps,
                    GateResult.Failed,
                    others.Length,
                    0,
                    -others.Length,
                    $"{Metric.CompileCpuOps}: {List(others)} fell back to the CPU; allowed are {List(allowed)}"
                ),
            ];

        static string List(IReadOnlyList<string> names) => names.Count == 0 ? "no operators" : string.Join(", ", names);
    }
}

/// <summary>One figure of two compile reports.</summary>
/// <param name="Name">As in compile.json.</param>
/// <param name="Before">Of the last release; ? if unknown.</param>
/// <param name="After">Of this build.</param>
public sealed record CompileChange(string Name, string Before, string After)
{
    /// <summary>What differs, in a fixed order; empty for equal figures.</summary>
    public static IReadOnlyList<CompileChange> Between(CompileSummary before, CompileSummary after)
    {
        (string Name, Func<CompileSummary, string> Figure)[] figures =
        [
            ("compiler", report => report.Compiler ?? "?"),
            ("layers", report => Text(report.Layers)),
            ("cycles", report => Text(report.Cycles)),
            ("traffic_kb", report => Text(report.TrafficKb)),
            ("internal_kb", report => Text(report.InternalKb)),
            ("weight_kb", report => Text(report.WeightKb)),
            ("fused_attentions", report => Text(report.FusedAttentions)),
            ("cpu_operators", report => string.Join(", ", report.CpuOperators)),
        ];
        return
        [
            .. figures
                .Select(figure => new CompileChange(figure.Name, figure.Figure(before), figure.Figure(after)))
                .Where(change => change.Before != change.After),
        ];
    }

    private static string Text(double? value) => value?.ToString("0.###", CultureInfo.InvariantCulture) ?? "?";
}
