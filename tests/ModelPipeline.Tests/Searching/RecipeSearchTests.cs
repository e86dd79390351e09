using ModelPipeline.Manifest;
using ModelPipeline.Searching;

namespace ModelPipeline.Tests.Searching;

/// <summary>Which recipes are compared, on how much, and for how long.</summary>
public sealed class RecipeSearchTests
{
    private const int Items = 24;

    private static readonly Int8Recipe Written = Int8Recipe.Of(
        new VariantSpec
        {
            Name = "int8",
            Backend = Backend.Rknn,
            Precision = Precision.W8A8,
            Rewrites = ["families"],
            Gates = [],
        }
    );

    private static readonly RecipeSpace Space = new(Written, new SearchSpec());
    private readonly VirtualTime time = new();
    private readonly List<(Int8Recipe Recipe, int Items)> compared = [];
    private readonly List<RankedRecipe> led = [];

    [Fact]
    public async Task It_goes_on_around_the_best_until_none_beats_it()
    {
        // Two steps away from the whole recipe.
        var best = Space.Whole with
        {
            Rewrites = [.. Space.Whole.Rewrites.Where(step => step != "balance")],
            Clip = RangeClip.Mse,
        };

        var ranked = await SearchAsync(recipe => Differences(recipe, best), new(TimeSpan.MaxValue, 1, time));

        Assert.Equal(best, ranked[0].Recipe);
        Assert.Equal(Items, ranked[0].Items);
        Assert.Equal([1.0, 0.0], led.Select(leader => leader.Loss));
        Assert.Contains(ranked, each => each.Recipe == Written);
        Assert.Equal(ranked.Count, ranked.Select(each => each.Recipe).Distinct().Count());
        Assert.True(compared.Count(each => each.Items == Items) < ranked.Count / 2, "many recipes were compared on everything");
    }

    [Fact]
    public async Task It_ends_in_time_for_what_is_to_be_built()
    {
        var budget = new SearchBudget(TimeSpan.FromMinutes(18), 2, time);
        await budget.BuildAsync(() =>
        {
            time.Pass(TimeSpan.FromMinutes(2));
            return Task.FromResult(true);
        });

        // A minute each, and five builds by two at a time take six.
        await SearchAsync(_ => 1, budget, () => !budget.Leaves(5), () => time.Pass(TimeSpan.FromMinutes(1)));

        Assert.Equal(TimeSpan.FromMinutes(12), budget.Elapsed);
        Assert.Equal(10, compared.Count);
        Assert.False(budget.Leaves(5));
        Assert.True(budget.Leaves(4));
    }

    [Fact]
    public async Task Without_any_time_the_whole_recipe_and_the_written_one_are_compared()
    {
        var ranked = await SearchAsync(recipe => recipe == Written ? 2 : 1, new(TimeSpan.Zero, 1, time));

        Assert.Equal([Space.Whole, Written], compared.Select(each => each.Recipe));
        Assert.Equal([Space.Whole, Written], ranked.Select(each => each.Recipe));
        Assert.Equal(Space.Whole, Assert.Single(led).Recipe);
    }

    [Fact]
    public async Task What_is_the_same_in_other_words_is_built_once()
    {
        var search = new RecipeSearch(Space, Items, (recipe, _) => Task.FromResult(recipe.Fp16.Contains("norms") ? 1.0 : 2.0), () => false);
        await search.RunAsync((_, _) => { }, _ => { });

        Assert.Equal(Space.Whole, search.Finalists[0]);
        Assert.True(search.Ranked.Count(each => each is { Items: Items, Loss: 1 }) > 1);
        Assert.Single(search.Finalists, recipe => search.Ranked.Single(each => each.Recipe == recipe) is { Items: Items, Loss: 1 });
    }

    private async Task<IReadOnlyList<RankedRecipe>> SearchAsync(
        Func<Int8Recipe, double> loss,
        SearchBudget budget,
        Func<bool>? isOver = null,
        Action? passes = null
    )
    {
        var search = new RecipeSearch(
            Space,
            Items,
            (recipe, items) =>
            {
                compared.Add((recipe, items));
                passes?.Invoke();
                return Task.FromResult(loss(recipe));
            },
            isOver ?? (() => !budget.Leaves(0))
        );
        await search.RunAsync((done, known) => Assert.InRange(done, 0, known), led.Add);
        return search.Ranked;
    }

    private static double Differences(Int8Recipe one, Int8Recipe other) =>
        one.Rewrites.Except(other.Rewrites).Count()
        + other.Rewrites.Except(one.Rewrites).Count()
        + one.Fp16.Except(other.Fp16).Count()
        + other.Fp16.Except(one.Fp16).Count()
        + (one.Clip == other.Clip ? 0 : 1)
        + (one.Algorithm == other.Algorithm ? 0 : 1);

    private sealed class VirtualTime : TimeProvider
    {
        private long now;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public void Pass(TimeSpan time) => now += time.Ticks;

        public override long GetTimestamp() => now;
    }
}
