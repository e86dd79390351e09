using ModelPipeline.Core;
using ModelPipeline.Tasks;
using ModelPipeline.Text;

namespace ModelPipeline.Stages;

/// <summary>Some of the validation's texts: whole queries of a task that takes pairs, else passages.</summary>
/// <param name="Order">Of these alone.</param>
/// <param name="Texts">Places in <see cref="ScoringOrder.Texts"/> of the whole, in the order of <paramref name="Order"/>.</param>
/// <param name="Items">Queries, or passages.</param>
/// <param name="First">The part with so many items only.</param>
internal sealed record SearchPart(ScoringOrder Order, IReadOnlyList<int> Texts, int Items, Func<int, SearchPart> First);

/// <summary>Three disjoint parts of the validation's texts: to search by, to confirm what was built, and to report.</summary>
internal sealed record SearchParts(SearchPart Search, SearchPart Confirm, SearchPart Report)
{
    /// <summary>Texts of each part at most: what a toolkit's simulator scores in two minutes.</summary>
    private const int MostSearch = 240,
        MostConfirm = 160,
        MostReport = 300;

    private const ulong Seed = 20;

    /// <exception cref="PipelineException">There are too few queries, or passages, for three parts.</exception>
    public static SearchParts Of(ModelTask task, ScoringOrder whole, Corpus corpus)
    {
        var items = task.TakesPairs ? whole.Queries.Count : whole.PassageIds.Count;
        if (items < 6)
            throw new PipelineException(
                $"Search needs at least 6 {(task.TakesPairs ? "queries" : "passages")} to search, confirm and report on three parts of "
                    + $"them; the validation has {items}.",
                PipelineException.ConfigurationError
            );
        var starts = new int[items + 1];
        for (var i = 0; i < items; i++)
            starts[i + 1] = starts[i] + (task.TakesPairs ? whole.Queries[i].Candidates.Count : 1);
        var shuffled = new SplitMix64(Seed).Shuffle(Enumerable.Range(0, items));
        var (half, quarter) = (items / 2, items / 4);
        return new(
            Part(shuffled.AsSpan(0, half), MostSearch),
            Part(shuffled.AsSpan(half, quarter), MostConfirm),
            Part(shuffled.AsSpan(half + quarter), MostReport)
        );

        SearchPart Part(ReadOnlySpan<int> chosen, int most)
        {
            var (taken, texts) = (new List<int>(), 0);
            foreach (var item in chosen)
            {
                texts += starts[item + 1] - starts[item];
                if (taken.Count > 0 && texts > most)
                    break;
                taken.Add(item);
            }
            if (!task.TakesPairs)
                taken.Sort(); // an embedder's order is that of ids
            return Made(taken);
        }

        SearchPart Made(List<int> taken) =>
            new(
                Order(taken),
                [.. taken.SelectMany(item => Enumerable.Range(starts[item], starts[item + 1] - starts[item]))],
                taken.Count,
                items => Made(taken[..Math.Min(items, taken.Count)])
            );

        ScoringOrder Order(List<int> taken) =>
            task.TakesPairs
                ? new(task, [.. taken.Select(item => whole.Queries[item])], corpus.Passages)
                : new(
                    task,
                    whole.Queries,
                    taken.Select(item => whole.PassageIds[item]).ToDictionary(id => id, id => corpus.Passages[id], StringComparer.Ordinal)
                );
    }
}
