using ModelPipeline.Searching;

namespace ModelPipeline.Tests.Searching;

/// <summary>Many candidates on little, few on much.</summary>
public sealed class SuccessiveHalvingTests
{
    public static TheoryData<int> Seeds => [.. Enumerable.Range(0, 200)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Rungs_grow_in_size_and_shrink_in_candidates_down_to_what_is_kept(int seed)
    {
        var (candidates, kept, least, size, factor) = Any(seed);

        var rungs = SuccessiveHalving.Rungs(candidates, kept, least, size, factor);

        Assert.Equal(candidates, rungs[0].Candidates);
        Assert.Equal(size, rungs[^1].Size);
        Assert.All(rungs, rung => Assert.InRange(rung.Candidates, Math.Min(kept, candidates), candidates));
        Assert.All(rungs, rung => Assert.InRange(rung.Size, 1, size));
        Assert.All(
            rungs.Zip(rungs.Skip(1)),
            pair => Assert.True(pair.First.Size <= pair.Second.Size && pair.First.Candidates >= pair.Second.Candidates, $"{pair}")
        );
        // No round costs more than the first and the last would alone, but for rounding up.
        var most = Math.Max((double)candidates * rungs[0].Size, (double)rungs[^1].Candidates * size);
        Assert.All(rungs, rung => Assert.InRange((rung.Candidates - 1.0) * (rung.Size - 1), 0, most));
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task A_candidate_that_is_best_on_every_size_wins_and_nobody_else_is_scored_more_often(int seed)
    {
        var (candidates, kept, least, size, factor) = Any(seed);
        var random = new Random(seed);
        var best = random.Next(candidates);
        var scored = new int[candidates];

        var left = await SuccessiveHalving.RunAsync(
            [.. Enumerable.Range(0, candidates)],
            SuccessiveHalving.Rungs(candidates, kept, least, size, factor),
            (candidate, _) =>
            {
                scored[candidate]++;
                return Task.FromResult(candidate == best ? 0 : 1 + random.NextDouble());
            }
        );

        Assert.Equal((best, 0.0), left[0]);
        Assert.Equal(scored.Max(), scored[best]);
        Assert.All(scored, count => Assert.True(count > 0));
        Assert.Equal(left.OrderBy(each => each.Loss), left);
    }

    [Fact]
    public async Task Of_equal_losses_the_earlier_candidate_wins_and_what_has_none_is_last()
    {
        var left = await SuccessiveHalving.RunAsync(
            ["none", "a", "b"],
            [new Rung(3, 1)],
            (candidate, _) => Task.FromResult(candidate == "none" ? double.NaN : 1)
        );

        Assert.Equal(["a", "b", "none"], left.Select(each => each.Candidate));
    }

    [Theory]
    [InlineData(0, 1, 1, 1, 2)]
    [InlineData(1, 0, 1, 1, 2)]
    [InlineData(1, 1, 0, 1, 2)]
    [InlineData(1, 1, 1, 0, 2)]
    [InlineData(1, 1, 1, 1, 1)]
    public void Nothing_cannot_be_halved(int candidates, int kept, int least, int size, double factor) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => SuccessiveHalving.Rungs(candidates, kept, least, size, factor));

    private static (int Candidates, int Kept, int Least, int Size, double Factor) Any(int seed)
    {
        var random = new Random(seed);
        return (random.Next(1, 60), random.Next(1, 6), random.Next(1, 20), random.Next(1, 120), 1.5 + (3 * random.NextDouble()));
    }
}
