using CsCheck;
using ModelPipeline.Devices;
using ModelPipeline.Latency;

namespace ModelPipeline.Tests.Latency;

/// <summary>Which shape takes which passage.</summary>
public sealed class BucketPlanTests
{
    private static readonly int[] Shapes = [16, 32, 64, 128];

    /// <summary>Shapes, each with a mean time, and lengths of passages that may fit none of them.</summary>
    private static readonly Gen<(ArtifactLatency[] Artifacts, int[] Tokens)> Cases = Gen.Select(
        Gen.Bool.Array[4].Where(kept => kept.Any(each => each)),
        Gen.Int[1, 40].Array[4],
        Gen.Int[3, 150].Array[1, 30],
        (kept, ms, tokens) =>
            (
                Shapes
                    .Index()
                    .Where(shape => kept[shape.Index])
                    .Select(shape => Latencies.Artifact("int8", shape.Item, [ms[shape.Index]]))
                    .ToArray(),
                tokens
            )
    );

    [Fact]
    public void No_choice_of_shapes_that_fit_is_faster_than_the_plan() =>
        Cases.Sample(
            (artifacts, tokens) =>
            {
                var plan = BucketPlan.Of(artifacts, tokens, 5);
                var best = tokens.Average(length =>
                    Fitting(artifacts, length).Min(artifact => artifact.Sequential!.Passage.Figures.Mean.Value)
                );
                Assert.Equal(best, Assert.Single(plan.Expected).PassageMs, 1e-3);
            }
        );

    [Fact]
    public void Each_passage_goes_to_the_smallest_bucket_that_it_fits() =>
        Cases.Sample(
            (artifacts, tokens) =>
            {
                var plan = BucketPlan.Of(artifacts, tokens, 5);
                var limits = plan.Buckets.Select(bucket => bucket.MaxTokens).ToArray();
                Assert.Equal(limits.Order(), limits);
                Assert.Equal(artifacts.Max(artifact => artifact.Tokens), limits[^1]);
                Assert.Equal(
                    limits.Select(limit => tokens.Count(length => limits.FirstOrDefault(each => length <= each, limits[^1]) == limit)),
                    plan.Buckets.Select(bucket => bucket.Passages)
                );
                Assert.Equal(1, plan.Buckets.Sum(bucket => bucket.Share), 1e-5);
            }
        );

    /// <summary>Without a measurement there is no reason to leave a shape out.</summary>
    [Fact]
    public void A_shape_is_left_out_only_if_a_device_ran_a_longer_one_as_fast()
    {
        ArtifactLatency[] artifacts =
        [
            Latencies.Artifact("int8", 32, [50]),
            Latencies.Artifact("int8", 64, [40]),
            Latencies.Artifact("int8", 128, [90]),
        ];
        Assert.Equal([64, 128], BucketPlan.Of(artifacts, [20, 100], 5).Buckets.Select(bucket => bucket.MaxTokens));
        var simulated = BucketPlan.Of([.. artifacts.Select(artifact => artifact with { OnDevice = false })], [20, 100], 5);
        Assert.Equal([32, 64, 128], simulated.Buckets.Select(bucket => bucket.MaxTokens));
        Assert.False(simulated.OnDevice);
        var unmeasured = BucketPlan.Of([.. artifacts.Select(artifact => artifact with { Plans = [] })], [20, 100], 5);
        Assert.Equal([32, 64, 128], unmeasured.Buckets.Select(bucket => bucket.MaxTokens));
        Assert.Empty(unmeasured.Expected);
    }

    [Fact]
    public void Noise_alone_leaves_no_shape_out()
    {
        double[] noisy = [.. Enumerable.Range(0, 20).Select(run => run % 5 == 0 ? 30.0 : 7.0)],
            steady = [.. Enumerable.Repeat(11.0, 20)];
        Assert.True(noisy.Average() > steady.Average());
        Assert.Equal(
            [64, 128],
            BucketPlan
                .Of([Latencies.Artifact("int8", 64, noisy), Latencies.Artifact("int8", 128, steady)], [20, 100], 5)
                .Buckets.Select(bucket => bucket.MaxTokens)
        );
    }

    [Fact]
    public void What_fits_no_shape_is_counted_with_what_it_loses()
    {
        var plan = BucketPlan.Of([Latencies.Artifact("int8", 64, [1]), Latencies.Artifact("int8", 128, [2])], [64, 65, 128, 129, 140], 5);
        Assert.Equal([(64, 1), (128, 4)], plan.Buckets.Select(bucket => (bucket.MaxTokens, bucket.Passages)));
        Assert.Equal(new Truncation(2, 0.4, 6.5, 12), plan.Truncation);
        Assert.Equal(new Truncation(0, 0, 0, 0), BucketPlan.Of([Latencies.Artifact("int8", 64, [1])], [64, 3], 5).Truncation);
    }

    [Fact]
    public void A_request_lasts_until_the_last_context_is_done()
    {
        ArtifactLatency[] artifacts =
        [
            .. new[] { (64, 10.0), (128, 30.0) }.Select(shape =>
                Latencies.Artifact("int8", shape.Item1, [shape.Item2]) with
                {
                    Plans =
                    [
                        Latencies.Plan(CorePlan.Sequence, [shape.Item2], [1]),
                        Latencies.Plan(CorePlan.ThreeContexts, [shape.Item2 * 1.5], [1]),
                    ],
                }
            ),
        ];
        // Two requests of five; the seventh to ninth passage make no whole one, and count for the mean of passages alone.
        var plan = BucketPlan.Of(artifacts, [60, 60, 60, 60, 100, 100, 100, 100, 60, 60, 10, 10], 5);
        var (sequence, parallel) = (plan.Expected[0], plan.Expected[1]);
        Assert.Equal((70 + 110) / 2.0, sequence.RequestMs);
        Assert.Equal(150, sequence.LargestRequestMs);
        Assert.Equal((4 * 30 + 8 * 10) / 12.0, sequence.PassageMs, 1e-3);
        // 45, 15 and 15 on one context each, then 15 and 15 behind the short ones; 45 45 45, then 15 and 15 behind the first two.
        Assert.Equal((45 + 60) / 2.0, parallel.RequestMs);
        Assert.Equal(90, parallel.LargestRequestMs);
        Assert.Equal(parallel, plan.Fastest);
    }

    /// <summary>What the original board took in sequence, and what its three cores alone can bring.</summary>
    [Fact]
    public void Five_passages_of_185_ms_take_925_ms_in_sequence_and_370_on_three_cores()
    {
        var fp16 = Latencies.Artifact("fp16", 512, [185]) with
        {
            Plans = [Latencies.Plan(CorePlan.Sequence, [185], [925]), Latencies.Plan(CorePlan.ThreeContexts, [185], [370])],
        };
        Assert.Equal([925, 370], BucketPlan.Of([fp16], [.. Enumerable.Repeat(300, 50)], 5).Expected.Select(expected => expected.RequestMs));
    }

    /// <summary>With one bucket the percentile over passages is the artifact's own.</summary>
    [Fact]
    public void The_95th_percentile_weighs_each_bucket_by_its_passages()
    {
        Gen.Int[1, 500]
            .Array[1, 80]
            .Sample(
                times =>
                {
                    var artifact = Latencies.Artifact("int8", 64, [.. times.Select(time => (double)time)]);
                    return Assert.Single(BucketPlan.Of([artifact], [5, 6, 7], 5).Expected).PassageP95Ms
                        == artifact.Sequential!.Passage.Figures.P95.Value;
                },
                iter: 50
            );
        // A twentieth of the passages is long: 95 of 100 take 10 ms.
        ArtifactLatency[] two = [Latencies.Artifact("int8", 64, [10, 10]), Latencies.Artifact("int8", 128, [40, 40, 40])];
        Assert.Equal(10, BucketPlan.Of(two, [.. Enumerable.Repeat(20, 19), 100], 5).Expected[0].PassageP95Ms);
        Assert.Equal(40, BucketPlan.Of(two, [.. Enumerable.Repeat(20, 18), 100, 100], 5).Expected[0].PassageP95Ms);
    }

    private static ArtifactLatency[] Fitting(ArtifactLatency[] artifacts, int length) =>
        artifacts.Where(artifact => artifact.Tokens >= length).ToArray() is [_, ..] fitting
            ? fitting
            : [artifacts.MaxBy(artifact => artifact.Tokens)!];
}
