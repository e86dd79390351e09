using ModelPipeline.Tasks;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Tasks;

public sealed class ScoringOrderTests
{
    private static readonly CorpusQuery[] Queries =
    [
        new("q1", "one", ["b", "a"], new Dictionary<string, int> { ["a"] = 1 }),
        new("q2", "two", ["a"], new Dictionary<string, int>()),
    ];

    private static readonly Dictionary<string, string> Passages = new()
    {
        ["b"] = "B",
        ["a"] = "A",
        ["c"] = "C",
    };

    [Fact]
    public void Pairs_are_each_query_with_its_candidates_and_scores_go_back_to_their_queries()
    {
        var order = new ScoringOrder(ModelTask.Rerank, Queries, Passages);
        Assert.Equal([new("one", "B"), new("one", "A"), new("two", "A")], order.Texts);
        Assert.Equal([("q1", "b", null), ("q1", "a", 1), ("q2", "a", null)], order.Pairs);
        Assert.Equal(
            [
                [1, 2],
                [3],
            ],
            order.ByQuery([
                [1],
                [2],
                [3],
            ])
        );
    }

    [Fact]
    public void An_embedder_takes_each_passage_alone_and_then_the_queries()
    {
        ScoredText[] passages = [new("A"), new("B"), new("C")];
        Assert.Equal(passages, new ScoringOrder(ModelTask.Embed, Queries, Passages).Texts);
        Assert.Equal(
            [.. passages, new("one", IsQuery: true), new("two", IsQuery: true)],
            new ScoringOrder(ModelTask.Embed, Queries, Passages, embedsQueries: true).Texts
        );
    }
}
