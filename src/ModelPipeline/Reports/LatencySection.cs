using System.Globalization;
using ModelPipeline.Decision;
using ModelPipeline.Latency;
using ModelPipeline.Metrics;
using ModelPipeline.Validation;

namespace ModelPipeline.Reports;

/// <summary>
/// The part of the report on latency and length buckets. Only what a device measured is in it: times of a simulator are no figures, and
/// would make another page of every run.
/// </summary>
/// <param name="Latency">Of the session.</param>
/// <param name="Routings">Of the variants in it.</param>
public sealed record LatencySection(LatencyReport Latency, IReadOnlyList<VariantRouting> Routings)
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    /// <param name="reports">Of the variants at every shape.</param>
    internal string Render(IReadOnlyList<ValidationReport> reports) =>
        Template.Html(
            "report-latency.html",
            new
            {
                Latency.Device,
                Latency.Passages,
                Gate.NeedsDevice,
                Measured = Latency.OnDevice ? new[] { Measured() } : [],
                Cuts = Routings[0].Truncation is { Passages: > 0 } cut ? new[] { Cut(cut) } : [],
                Charts = Routings
                    .Where(routing => routing.Expected.Count > 0 && routing.Buckets.Count > 1)
                    .Select(routing => LatencyCharts.Buckets(routing, Latency.Passages))
                    .Prepend(LatencyCharts.Lengths(Latency.Lengths.Tokens, Routings.MaxBy(routing => routing.Buckets.Count)!.Buckets)),
                Buckets = Routings.SelectMany(routing =>
                    routing.Buckets.Select(bucket => new
                    {
                        routing.Variant,
                        bucket.Artifact,
                        Tokens = bucket.MaxTokens,
                        Passages = bucket.Passages.ToString("N0", Invariant),
                        Share = Fixed(100 * bucket.Share, 1),
                        // What fp32 itself loses to cutting at this length.
                        Ndcg = Shown(
                            reports
                                .First(report =>
                                    report.Subject.Variant == routing.Variant
                                    && report.Subject.Shape.EndsWith($"x{bucket.MaxTokens}", StringComparison.Ordinal)
                                )
                                .Reference,
                            Metric.NdcgAt10
                        ),
                    })
                ),
                Routed = Routings.Where(routing => routing.Buckets.Count > 1).Select(Routed),
            }
        );

    private object Measured()
    {
        var machine = Latency.Machine;
        string[] facts =
        [
            machine.Platform,
            .. machine.Soc.Take(1),
            .. Versions(machine.Driver, "NPU driver"),
            .. Versions(machine.Runtime, "runtime"),
        ];
        ArtifactLatency[] all = [.. Latency.Reference, .. Latency.Artifacts],
            counting = [.. all.Where(Counts)];
        return new
        {
            Where = $"{Latency.Device} ({string.Join(", ", facts)})",
            Notes = Latency
                .Notes.Select(note => new { Word = "note", Text = note })
                .Concat(
                    all.SelectMany(artifact =>
                        artifact.Doubts.Select(doubt => new { Word = "doubtful", Text = $"{Name(artifact)}: {doubt}" })
                    )
                ),
            Charts = new[] { LatencyCharts.Passages(counting), LatencyCharts.Requests(counting, Latency.Passages) },
            Artifacts = all.Select(artifact => new
            {
                Name = Name(artifact),
                Ratio = artifact.RatioToFp32?.ToString("F2", Invariant) ?? "",
                NotMeasured = artifact.NotMeasured.Length > 0 ? artifact.NotMeasured : Gate.NeedsDevice,
                Plans = Counts(artifact) ? artifact.Plans.Select(Plan) : [],
            }),
            Operators = all.Where(artifact => artifact.Operators is not null).Select(Operators),
        };

        static IEnumerable<string> Versions(string version, string of) => version.Length == 0 ? [] : [$"{of} {version}"];
    }

    private static object Plan(PlanLatency plan)
    {
        var (passage, request) = (plan.Passage.Figures, plan.Request.Figures);
        Estimate[] times = [passage.P50, passage.P95, passage.P99, passage.Mean, request.Mean, request.P95];
        return new
        {
            Name = plan.Plan,
            Times = times.Select(time => new
            {
                Value = Fixed(time.Value, 1),
                Low = Fixed(time.Low, 1),
                High = Fixed(time.High, 1),
            }),
        };
    }

    /// <summary>Where an artifact's time goes, by its runtime.</summary>
    private static object Operators(ArtifactLatency artifact) =>
        new
        {
            Name = Name(artifact),
            IsEmulated = artifact.Operators!.Emulated,
            Classes = artifact.Operators.Classes.Select(each => new
            {
                Name = OperatorProfile.Word(each.Class),
                each.Count,
                Ms = Fixed(each.Ms, 2),
                Share = Fixed(100 * each.Share, 1),
                Expected = each.ExpectedMs is { } expected ? Fixed(expected, 2) : "-",
                Targets = string.Join(", ", each.Targets.Select(on => $"{on.Value} on {on.Key}")),
            }),
        };

    /// <summary>A variant of several shapes as it serves the corpus.</summary>
    private static object Routed(VariantRouting routing)
    {
        var fastest = routing.Expected.MinBy(expected => expected.RequestMs);
        return new
        {
            Name = routing.Variant,
            Ndcg = Shown(routing.Figures, Metric.NdcgAt10),
            Tau = Shown(routing.Figures, Metric.KendallTau),
            Plan = fastest?.Plan ?? "-",
            Times = new[] { fastest?.PassageMs, fastest?.LargestPassageMs, fastest?.RequestMs, fastest?.LargestRequestMs }.Select(time =>
                time is { } ms ? Fixed(ms, 1) : "-"
            ),
            Gates = string.Join("; ", routing.Gates.Select(gate => gate.Statement)),
        };
    }

    private static object Cut(Truncation cut) =>
        new
        {
            Share = Fixed(100 * cut.Share, 1),
            Mean = Fixed(cut.MeanTokensCut, 0),
            Max = cut.MaxTokensCut,
            Costs = cut.Cost is { } cost ? new[] { Cost(cost) } : [],
        };

    private static object Cost(TruncationCost cost) =>
        new
        {
            Tokens = cost.ModelTokens,
            Whole = cost.WholeNdcg is { } whole ? Fixed(whole, 3) : "",
            Cut = cost.CutNdcg is { } cut ? Fixed(cut, 3) : "",
            Tau = Fixed(cost.KendallTau, 3),
            Difference = Fixed(cost.MaxScoreDifference, 2),
        };

    private static bool Counts(ArtifactLatency artifact) => artifact.OnDevice && artifact.Plans.Count > 0;

    internal static string Name(ArtifactLatency artifact) => $"{artifact.Variant} {artifact.Shape}";

    private static string Shown(IReadOnlyDictionary<string, double> figures, string metric) =>
        figures.TryGetValue(metric, out var figure) ? Metric.Named(metric).Format(figure) : "-";

    private static string Fixed(double value, int decimals) => value.ToString("F" + decimals, Invariant);
}
