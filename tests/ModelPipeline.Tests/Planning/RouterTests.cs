using CsCheck;
using ModelPipeline.Planning;

namespace ModelPipeline.Tests.Planning;

/// <summary>The one rule by which passages are served.</summary>
public sealed class RouterTests
{
    private static readonly Gen<(double[] Times, int Contexts)> Requests = Gen.Select(
        Gen.Int[1, 60].Select(ms => (double)ms).Array[1, 30],
        Gen.Int[1, 5]
    );

    [Fact]
    public void No_passage_is_lost_or_run_twice() =>
        Requests.Sample(
            (times, contexts) =>
            {
                var routing = Router.Route(times, contexts);
                Assert.Equal(contexts, routing.Contexts.Count);
                Assert.Equal(Enumerable.Range(0, times.Length), routing.Contexts.SelectMany(passages => passages).Order());
                Assert.Equal(routing.Contexts.Max(passages => passages.Sum(passage => times[passage])), routing.Makespan, 1e-9);
            }
        );

    [Fact]
    public void A_request_takes_at_most_four_thirds_of_the_bound() =>
        Requests.Sample(
            (times, contexts) =>
            {
                // No schedule beats the mean load, the longest passage, or the two that share a context where there are more long ones than
                // contexts.
                var longest = times.OrderDescending().ToArray();
                var pair = longest.Length > contexts ? longest[contexts - 1] + longest[contexts] : 0;
                var bound = Math.Max(Math.Max(times.Sum() / contexts, longest[0]), pair);
                var makespan = Router.Route(times, contexts).Makespan;
                Assert.InRange(makespan, bound - 1e-9, (bound * 4 / 3) + 1e-9);
            }
        );

    [Fact]
    public void The_makespan_alone_is_that_of_the_routing() =>
        Requests.Sample((times, contexts) => Math.Abs(Router.Makespan(times, contexts) - Router.Route(times, contexts).Makespan) < 1e-9);

    [Fact]
    public void Passages_alike_keep_their_order() => Assert.Equal([1, 3, 0, 2, 4], Router.LongestFirst([5, 9, 5, 9, 5]));

    [Fact]
    public void A_passage_goes_to_the_smallest_bucket_that_it_fits_and_else_to_the_largest() =>
        Assert.Equal([0, 0, 1, 2, 2], new[] { 3, 64, 65, 512, 600 }.Select(tokens => Router.BucketOf([64, 128, 512], tokens)));
}
