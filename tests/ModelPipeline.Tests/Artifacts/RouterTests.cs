using CsCheck;
using ModelPipeline.Artifacts;

namespace ModelPipeline.Tests.Artifacts;

/// <summary>The one rule by which passages are served.</summary>
public sealed class RouterTests
{
    private static readonly Gen<(Bucket[] Buckets, int[] Tokens, int Contexts)> Requests = Gen.Select(
        Gen.Select(Gen.Int[1, 16], Gen.Int[1, 4], Gen.Int[1, 60]).Array[1, 6],
        Gen.Int[1, 600].Array[1, 30],
        Gen.Int[1, 5],
        (sizes, tokens, contexts) =>
            (
                sizes
                    .DistinctBy(size => size.Item1)
                    .OrderBy(size => size.Item1)
                    .Select(size => new Bucket(size.Item1 * 32, size.Item2, size.Item3))
                    .ToArray(),
                tokens,
                contexts
            )
    );

    [Fact]
    public void No_passage_is_lost_or_run_twice() =>
        Requests.Sample(
            (buckets, tokens, contexts) =>
            {
                var routing = Router.Route(buckets, tokens, contexts);
                Assert.Equal(contexts, routing.Contexts.Count);
                var runs = routing.Contexts.SelectMany(context => context).ToArray();
                Assert.Equal(Enumerable.Range(0, tokens.Length), runs.SelectMany(run => run.Passages).Order());
                Assert.All(runs, run => Assert.InRange(run.Passages.Count, 1, buckets[run.Bucket].Batch));
                Assert.All(
                    runs,
                    run =>
                        Assert.All(
                            run.Passages,
                            passage => Assert.Equal(Router.BucketOf([.. buckets.Select(each => each.Tokens)], tokens[passage]), run.Bucket)
                        )
                );
                // No more runs than it takes: all but the last of a bucket are full.
                Assert.All(
                    runs.GroupBy(run => run.Bucket),
                    own => Assert.True(own.Count(run => run.Passages.Count < buckets[own.Key].Batch) <= 1)
                );
                Assert.Equal(routing.Contexts.Max(context => context.Sum(run => buckets[run.Bucket].Cost)), routing.Makespan, 1e-9);
            }
        );

    [Fact]
    public void No_schedule_is_shorter_than_three_quarters_of_the_routing() =>
        Requests
            .Where(request => request.Tokens.Length <= 7 && request.Contexts <= 3)
            .Sample(
                (buckets, tokens, contexts) =>
                {
                    var routing = Router.Route(buckets, tokens, contexts);
                    var best = Shortest([.. Costs(routing, buckets)], 0, new double[contexts]);
                    Assert.InRange(routing.Makespan, best - 1e-9, (best * ((4.0 / 3) - (1.0 / (3 * contexts)))) + 1e-9);
                },
                iter: 300
            );

    // Of many runs the best is not known: no context waits while runs are left, so the last to end began before the others were done.
    [Fact]
    public void No_context_waits_while_runs_are_left() =>
        Requests.Sample(
            (buckets, tokens, contexts) =>
            {
                var routing = Router.Route(buckets, tokens, contexts);
                double[] costs = [.. Costs(routing, buckets)];
                var bound = (costs.Sum() / contexts) + (costs.Max() * (1 - (1.0 / contexts)));
                Assert.InRange(routing.Makespan, costs.Sum() / contexts - 1e-9, bound + 1e-9);
            }
        );

    private static IEnumerable<double> Costs(Routing routing, Bucket[] buckets) =>
        routing.Contexts.SelectMany(context => context).Select(run => buckets[run.Bucket].Cost);

    /// <summary>The least time in which runs from <paramref name="next"/> on can be done, by trying each context for each.</summary>
    private static double Shortest(double[] costs, int next, double[] busy)
    {
        if (next == costs.Length)
            return busy.Max();
        var best = double.PositiveInfinity;
        for (var context = 0; context < busy.Length; context++)
        {
            busy[context] += costs[next];
            best = Math.Min(best, Shortest(costs, next + 1, busy));
            busy[context] -= costs[next];
        }
        return best;
    }

    [Fact]
    public void Each_context_has_its_longest_runs_first_and_those_alike_in_their_order() =>
        Requests.Sample(
            (buckets, tokens, contexts) =>
            {
                foreach (var context in Router.Route(buckets, tokens, contexts).Contexts)
                {
                    var order = context.Select(run => (-buckets[run.Bucket].Cost, run.Passages[0])).ToArray();
                    Assert.Equal(order.Order(), order);
                    Assert.All(context, run => Assert.Equal(run.Passages.Order(), run.Passages));
                }
            }
        );

    [Fact]
    public void The_makespan_alone_is_that_of_the_routing() =>
        Requests.Sample(
            (buckets, tokens, contexts) =>
            {
                int[] limits = [.. buckets.Select(bucket => bucket.Tokens)];
                int[] chosen = [.. tokens.Select(length => Router.BucketOf(limits, length))];
                Assert.Equal(Router.Route(buckets, tokens, contexts).Makespan, Router.Makespan(buckets, chosen, contexts), 1e-9);
            }
        );

    [Fact]
    public void Ties_go_by_order_to_the_first_context()
    {
        var routing = Router.Route([new(64, 1, 5), new(128, 1, 9)], [10, 100, 10, 100, 10], 2);
        Assert.Equal(
            [
                [1, 0, 4],
                [3, 2],
            ],
            routing.Contexts.Select(context => context.SelectMany(run => run.Passages).ToArray())
        );
        Assert.Equal(19, routing.Makespan);
    }

    [Fact]
    public void A_passage_goes_to_the_smallest_bucket_that_it_fits_and_else_to_the_largest() =>
        Assert.Equal([0, 0, 1, 2, 2], new[] { 3, 64, 65, 512, 600 }.Select(tokens => Router.BucketOf([64, 128, 512], tokens)));
}
