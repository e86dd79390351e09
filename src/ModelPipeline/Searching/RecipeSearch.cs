using ModelPipeline.Manifest;

namespace ModelPipeline.Searching;

/// <param name="Recipe">That was compared.</param>
/// <param name="Items">On which it was.</param>
/// <param name="Loss">There; less is better.</param>
internal readonly record struct RankedRecipe(Int8Recipe Recipe, int Items, double Loss);

/// <summary>
/// A local search by halving: recipes around the best are compared on few items, the better ones on more, and those around the winner
/// follow, until none beats it or the time is over.
/// </summary>
/// <param name="space">Of recipes.</param>
/// <param name="items">Most items that recipes are compared on.</param>
/// <param name="loss">Of a recipe on the first so many items.</param>
/// <param name="isOver">Whether the time is over. The first two recipes are compared in any case: the whole one and that which is
/// written.</param>
internal sealed class RecipeSearch(RecipeSpace space, int items, Func<Int8Recipe, int, Task<double>> loss, Func<bool> isOver)
{
    /// <summary>Items that recipes are first compared on, and by how much they grow from round to round.</summary>
    private const int LeastItems = 6;
    private const double Factor = 2.5;

    /// <summary>Recipes of the last round of a halving.</summary>
    private const int KeptOfRound = 2;

    private readonly Dictionary<Int8Recipe, RankedRecipe> ranked = [];
    private bool ended;

    /// <summary>Best first: what was compared on more items comes before what fewer sorted out.</summary>
    public IReadOnlyList<RankedRecipe> Ranked => [.. ranked.Values.OrderByDescending(each => each.Items).ThenBy(each => each.Loss)];

    /// <summary>Those to build, best first. What has the very loss of a better one is the same in other words, as a class is that a step
    /// keeps in fp16 anyway.</summary>
    public IReadOnlyList<Int8Recipe> Finalists => [.. Ranked.DistinctBy(each => (each.Items, each.Loss)).Select(each => each.Recipe)];

    /// <param name="progress">Told how many recipes were compared, and how many are known.</param>
    /// <param name="leads">Told of each new best recipe.</param>
    public async Task RunAsync(Action<int, int> progress, Action<RankedRecipe> leads)
    {
        IReadOnlyList<Int8Recipe> candidates = [.. space.Starts.Concat(space.Neighbours(space.Whole)).Distinct()];
        Int8Recipe? leader = null;
        while (candidates.Count > (leader is null ? 0 : 1))
        {
            var known = ranked.Keys.Union(candidates).Count();
            var rungs = SuccessiveHalving.Rungs(candidates.Count, KeptOfRound, LeastItems, items, Factor);
            var (first, least) = (await SuccessiveHalving.RunAsync(candidates, rungs, Compared).ConfigureAwait(false))[0];
            if (double.IsNaN(least) || first == leader)
                return;
            leader = first;
            leads(ranked[first]);
            if (ended)
                return;
            candidates = [first, .. space.Neighbours(first).Where(other => !ranked.ContainsKey(other))];

            Task<double> Compared(Int8Recipe recipe, int count)
            {
                progress(ranked.Count, known);
                return LossAsync(recipe, count);
            }
        }
    }

    private async Task<double> LossAsync(Int8Recipe recipe, int count)
    {
        ended |= ranked.Count > 1 && isOver();
        if (!ended)
            ranked[recipe] = new(recipe, Math.Min(count, items), await loss(recipe, count).ConfigureAwait(false));
        return ranked.TryGetValue(recipe, out var known) ? known.Loss : double.NaN;
    }
}
