using ModelPipeline.Manifest;
using ModelPipeline.Rewrites;
using ModelPipeline.Searching;

namespace ModelPipeline.Tests.Searching;

/// <summary>What Search goes through, and what it takes of what was built.</summary>
public sealed class RecipeTests
{
    private static readonly Int8Recipe Written = Int8Recipe.Of(
        new VariantSpec
        {
            Name = "int8",
            Backend = Backend.Rknn,
            Precision = Precision.W8A8,
            Rewrites = ["families", "outlier-split"],
            Fp16 = ["/pooler/*"],
            Gates = [],
        }
    );

    private static readonly RecipeSpace Space = new(Written, new SearchSpec { Channels = [16, 32] });

    [Fact]
    public void It_starts_with_every_step_in_order_and_the_variant_as_it_is_written()
    {
        Assert.Equal(["families", "balance", "hidden-split", "outlier-split", "norm-copy"], Space.Whole.Rewrites);
        Assert.Equal(["adds", "norms", "attention", "head", "/pooler/*"], Space.Whole.Fp16);
        Assert.Equal([Space.Whole, Written], Space.Starts.Take(2));
    }

    [Fact]
    public void Neighbours_differ_in_one_thing_each_once_and_go_both_ways()
    {
        var neighbours = Space.Neighbours(Space.Whole);

        Assert.Equal(neighbours.Distinct(), neighbours);
        Assert.DoesNotContain(Space.Whole, neighbours);
        Assert.All(neighbours, other => Assert.Equal(1, Differences(Space.Whole, other)));
        Assert.All(neighbours, other => Assert.Contains(Space.Whole, Space.Neighbours(other)));
        Assert.Contains(neighbours, other => other.Rewrites.Contains("hidden-split-32"));
        Assert.Contains(neighbours, other => !other.Rewrites.Contains("norm-copy"));
        Assert.All(neighbours, other => Assert.All(other.Rewrites, rewrite => Pass.Sequence([rewrite]).ToList()));

        static int Differences(Int8Recipe one, Int8Recipe other) =>
            Count(!one.Rewrites.SequenceEqual(other.Rewrites))
            + Count(!one.Fp16.SequenceEqual(other.Fp16))
            + Count(one.Clip != other.Clip)
            + Count(one.Algorithm != other.Algorithm)
            + Count(one.Method != other.Method);

        static int Count(bool differs) => differs ? 1 : 0;
    }

    [Fact]
    public void A_recipe_over_a_variant_is_the_variants_recipe()
    {
        var variant = Space.Whole.Over(
            new VariantSpec
            {
                Name = "v",
                Backend = Backend.Simulator,
                Precision = Precision.W8A8,
                Rewrites = [],
                Gates = [],
            }
        );

        Assert.Equal(Space.Whole, Int8Recipe.Of(variant));
        Assert.NotEqual(Space.Whole, Written);
    }

    [Fact]
    public void The_closest_within_the_limits_is_taken_and_of_almost_equal_ones_the_smallest()
    {
        BuiltRecipe[] built =
        [
            Built(loss: 0.10, mb: 40, tau: 0.98),
            Built(loss: 0.20, mb: 37.2, tau: 0.95),
            Built(loss: 0.204, mb: 37.1, tau: 0.95),
            Built(loss: 0.30, mb: 37.05, tau: 0.93),
            Built(loss: 0.50, mb: 36.0, tau: 0.85),
        ];

        var judged = RecipeChoice.Judged(built, new SearchSpec { MaxMb = 37.6, MinTau = 0.9 });

        Assert.Equal(37.1, RecipeChoice.Of(judged)!.Mb);
        Assert.Equal([37.2, 37.1, 37.05, 40, 36.0], judged.Select(each => each.Mb));
        Assert.Equal(["40.00 MB of 37.6"], judged[3].Breaks);
        Assert.Equal(["kendall_tau 0.850 of 0.9"], judged[4].Breaks);
        Assert.All(judged, each => Assert.True(each.OnFront));
        Assert.Null(RecipeChoice.Of(RecipeChoice.Judged(built, new SearchSpec { MaxMb = 30 })));
    }

    [Fact]
    public void What_is_worse_in_all_is_not_on_the_front()
    {
        var judged = RecipeChoice.Judged([Built(0.1, 30, 0.9), Built(0.2, 31, 0.9), Built(0.2, 29, 0.9)], new SearchSpec());

        Assert.Equal([true, false, true], judged.Select(each => each.OnFront));
    }

    private static BuiltRecipe Built(double loss, double mb, double tau) =>
        new(Written, new Dictionary<string, double> { ["kendall_tau"] = tau }, mb, null) { Loss = loss, IsWritten = false };
}
