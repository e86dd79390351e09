using ModelPipeline.Artifacts;
using ModelPipeline.Latency;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;
using ModelPipeline.Text;
using ModelPipeline.Validation;

namespace ModelPipeline.Decision;

/// <summary>
/// A variant as production serves it: every passage by the artifact of its length. Scores of one query then come from several artifacts,
/// each with ranges of its own, so the ranking they make together is validated like any other.
/// </summary>
/// <param name="Variant">Key in models.yaml.</param>
/// <param name="Buckets">Which artifact takes which lengths, ascending.</param>
/// <param name="Truncation">What the largest takes cut.</param>
/// <param name="Expected">By core plan; empty unless measured on a device.</param>
/// <param name="Figures">By metric name, of the ranking against fp32's at the largest shape, and the expected p95; empty for
/// embedders.</param>
/// <param name="Gates">The variant's gates on accuracy, judged by <paramref name="Figures"/>.</param>
public sealed record VariantRouting(
    string Variant,
    IReadOnlyList<LengthBucket> Buckets,
    Truncation Truncation,
    IReadOnlyList<ExpectedLatency> Expected,
    IReadOnlyDictionary<string, double> Figures,
    IReadOnlyList<GateOutcome> Gates
)
{
    /// <summary>Of the figures on accuracy.</summary>
    public Intervals Intervals { get; init; } = Intervals.None;

    /// <summary>The artifact that takes every length.</summary>
    public string Largest => Buckets[^1].Artifact;

    /// <summary>The core plan whose requests are expected to take least; null if no device measured any.</summary>
    public string? CorePlan => Expected.MinBy(expected => expected.RequestMs)?.Plan;

    /// <summary>Joins the scores that the reports have at each shape.</summary>
    /// <param name="plan">The variant's.</param>
    /// <param name="gates">The variant's.</param>
    /// <param name="reports">The variant's, by the length of their shape; those of the plan's buckets among them.</param>
    /// <param name="queries">The test collection of the reports.</param>
    /// <param name="tokens">Length of every candidate with its query, in the order of <paramref name="queries"/>.</param>
    public static VariantRouting Of(
        BucketPlan plan,
        IReadOnlyList<GateSpec> gates,
        IReadOnlyDictionary<int, ValidationReport> reports,
        IReadOnlyList<CorpusQuery> queries,
        IReadOnlyList<int> tokens
    )
    {
        var expected = plan.OnDevice ? plan.Expected : [];
        var largest = reports[plan.Buckets[^1].MaxTokens];
        if (largest.Queries.Count == 0)
            return new(plan.Variant, plan.Buckets, plan.Truncation, expected, new Dictionary<string, double>(), []);

        var next = 0;
        int[] limits = [.. plan.Buckets.Select(bucket => bucket.MaxTokens)];
        float[][] scores =
        [
            .. queries.Select(
                (query, q) =>
                    query
                        .Candidates.Select(
                            (_, candidate) => reports[limits[Router.BucketOf(limits, tokens[next++])]].Queries[q].Scores[candidate]
                        )
                        .ToArray()
            ),
        ];
        float[][] reference = [.. largest.Queries.Select(query => query.ReferenceScores.ToArray())];
        var measured = RerankValidation.Measure(queries, reference, scores);
        var intervals = Bootstrap.Of(measured.Samples, RerankValidation.Measure(queries, reference, reference).Samples);
        var latency = expected.Take(1).Select(sequence => KeyValuePair.Create(Metric.LatencyP95Ms, (double?)sequence.PassageP95Ms));
        var figures = Figure.Set(measured.Figures.Select(figure => KeyValuePair.Create(figure.Key, (double?)figure.Value)).Concat(latency));
        return new(
            plan.Variant,
            plan.Buckets,
            plan.Truncation,
            expected,
            figures,
            [
                .. gates
                    .Where(gate => Metric.Named(gate.Metric).Kind == MetricKind.Accuracy)
                    .Select(gate => Gate.Judge(gate, figures, largest.Reference, plan.OnDevice, intervals)),
            ]
        )
        {
            Intervals = intervals,
        };
    }
}
