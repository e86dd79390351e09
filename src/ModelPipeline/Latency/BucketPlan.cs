using System.Text.Json.Serialization;
using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Devices;
using ModelPipeline.Metrics;

namespace ModelPipeline.Latency;

/// <summary>The passages that one artifact takes.</summary>
/// <param name="MaxTokens">Passages of at most so many tokens, with the query and special tokens, that no smaller bucket takes.</param>
/// <param name="Artifact">File name.</param>
/// <param name="Passages">Of the corpus.</param>
/// <param name="Share">Of the corpus' passages, 0 to 1.</param>
[OneLine]
public sealed record LengthBucket(int MaxTokens, string Artifact, int Passages, double Share)
{
    /// <summary>Passages that one run takes.</summary>
    public int Batch { get; init; } = 1;

    /// <summary>Mean of a run under the core plan whose requests are expected to take least; null unless a device measured it.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? RunMs { get; init; }
}

/// <summary>Passages longer than the largest bucket, which takes them cut.</summary>
/// <param name="Passages">Of the corpus.</param>
/// <param name="Share">Of the corpus' passages, 0 to 1.</param>
/// <param name="MeanTokensCut">Of those that are cut; 0 if none is.</param>
/// <param name="MaxTokensCut">Of the longest.</param>
/// <param name="Cost">What that does to fp32's ranking; null if none is cut, or before it is known.</param>
public sealed record Truncation(
    int Passages,
    double Share,
    double MeanTokensCut,
    int MaxTokensCut,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] TruncationCost? Cost = null
);

/// <summary>What the corpus' passages take under one core plan if each goes to its bucket, in milliseconds.</summary>
/// <param name="Plan">Name of the core plan.</param>
/// <param name="PassageMs">Mean.</param>
/// <param name="PassageP95Ms">95th percentile over passages and runs.</param>
/// <param name="RequestMs">Mean over the corpus' requests of the time until the last context is done, by the one
/// <see cref="Router"/>.</param>
/// <param name="LargestPassageMs">Mean if every passage went to the largest shape.</param>
/// <param name="LargestRequestMs">Likewise of requests.</param>
[OneLine]
public sealed record ExpectedLatency(
    string Plan,
    double PassageMs,
    double PassageP95Ms,
    double RequestMs,
    double LargestPassageMs,
    double LargestRequestMs
);

/// <summary>Which of a variant's artifacts takes which passages: each goes to the smallest that it fits, and what fits none is cut to the
/// largest.</summary>
/// <param name="Variant">Key in models.yaml.</param>
/// <param name="Buckets">Ascending. An artifact is left out if a device surely ran a longer one as fast: intervals of their means
/// apart.</param>
/// <param name="Truncation">What fits none.</param>
/// <param name="OnDevice">The latencies were measured on a device.</param>
/// <param name="Expected">By core plan; empty if nothing was measured.</param>
public sealed record BucketPlan(
    string Variant,
    IReadOnlyList<LengthBucket> Buckets,
    Truncation Truncation,
    bool OnDevice,
    IReadOnlyList<ExpectedLatency> Expected
)
{
    /// <summary>The core plan whose requests are expected to take least; null if nothing was measured.</summary>
    [JsonIgnore]
    public ExpectedLatency? Fastest => Expected.MinBy(expected => expected.RequestMs);

    /// <summary>Plans for lengths that a corpus has.</summary>
    /// <param name="artifacts">Of one variant, one a shape, at least one.</param>
    /// <param name="tokens">Length of every passage with its query, in the order of requests; at least one.</param>
    /// <param name="passages">In a request.</param>
    public static BucketPlan Of(IReadOnlyList<ArtifactLatency> artifacts, IReadOnlyList<int> tokens, int passages)
    {
        var timed = artifacts.All(artifact => artifact.Sequential is not null);
        var onDevice = timed && artifacts.All(artifact => artifact.OnDevice);
        var used = artifacts
            .DistinctBy(artifact => artifact.Tokens)
            .OrderBy(artifact => artifact.Tokens)
            .Where(artifact =>
                !onDevice
                || artifacts.All(other =>
                    other.Tokens <= artifact.Tokens || Mean(other, CorePlan.Sequence.Name).High > Mean(artifact, CorePlan.Sequence.Name).Low
                )
            )
            .ToArray();
        int[] limits = [.. used.Select(artifact => artifact.Tokens)];
        int[] choice = [.. tokens.Select(length => Router.BucketOf(limits, length))];
        var counts = choice.CountBy(bucket => bucket).ToDictionary();
        IReadOnlyList<ExpectedLatency> expected = timed ? [.. used[0].Plans.Select(plan => Expect(plan.Plan, used, choice, passages))] : [];
        var fastest = expected.MinBy(plan => plan.RequestMs)?.Plan;
        return new(
            artifacts[0].Variant,
            [
                .. used.Select(
                    (artifact, bucket) =>
                        new LengthBucket(
                            artifact.Tokens,
                            artifact.Artifact,
                            counts.GetValueOrDefault(bucket),
                            Share(counts.GetValueOrDefault(bucket), tokens.Count)
                        )
                        {
                            Batch = artifact.Batch,
                            RunMs = onDevice ? Round(artifact.Batch * Mean(artifact, fastest!).Value) : null,
                        }
                ),
            ],
            Cut(tokens, used[^1].Tokens),
            onDevice,
            expected
        );
    }

    private static Truncation Cut(IReadOnlyList<int> tokens, int largest)
    {
        int[] cut = [.. tokens.Where(length => length > largest).Select(length => length - largest)];
        return new(
            cut.Length,
            Share(cut.Length, tokens.Count),
            cut.Length == 0 ? 0 : Math.Round(cut.Average(), 6),
            cut.DefaultIfEmpty(0).Max()
        );
    }

    private static ExpectedLatency Expect(string plan, ArtifactLatency[] used, int[] choice, int passages)
    {
        var contexts = CorePlan.Named(plan).Contexts.Count;
        Bucket[] buckets =
        [
            .. used.Select(artifact => new Bucket(artifact.Tokens, artifact.Batch, artifact.Batch * Mean(artifact, plan).Value)),
        ];
        // A last request of fewer passages would make requests look faster than they are.
        var requests = choice.Chunk(passages).Where((request, index) => index == 0 || request.Length == passages).ToArray();
        return new(
            plan,
            Round(choice.Average(bucket => buckets[bucket].Cost / buckets[bucket].Batch)),
            Round(P95(used, choice, plan)),
            Round(requests.Average(request => Router.Makespan(buckets, request, contexts))),
            Round(buckets[^1].Cost / buckets[^1].Batch),
            Round(requests.Average(request => Router.Makespan([buckets[^1]], new int[request.Length], contexts)))
        );
    }

    /// <summary>The smallest time that 95 of 100 passages take no longer than, each bucket's runs standing for its passages.</summary>
    private static double P95(ArtifactLatency[] used, int[] choice, string plan)
    {
        var weighted = choice
            .CountBy(bucket => bucket)
            .SelectMany(bucket =>
            {
                var runs = Plan(used[bucket.Key], plan).Passage.Microseconds;
                return runs.Select(run => (Time: run / 1000.0, Weight: (double)bucket.Value / choice.Length / runs.Count));
            })
            .OrderBy(run => run.Time)
            .ToArray();
        var covered = 0.0;
        return weighted.First(run => (covered += run.Weight) >= 0.95 - 1e-9).Time;
    }

    private static PlanLatency Plan(ArtifactLatency artifact, string plan) => artifact.Plans.Single(measured => measured.Plan == plan);

    private static Estimate Mean(ArtifactLatency artifact, string plan) => Plan(artifact, plan).Passage.Figures.Mean;

    private static double Share(int part, int whole) => Math.Round((double)part / whole, 6);

    private static double Round(double milliseconds) => Math.Round(milliseconds, 3);
}
