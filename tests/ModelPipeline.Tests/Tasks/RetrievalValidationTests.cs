using ModelPipeline.Core;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;

namespace ModelPipeline.Tests.Tasks;

/// <summary>What an embedder finds, counted by hand in two dimensions: passages and queries are directions.</summary>
public sealed class RetrievalValidationTests
{
    /// <summary>Twelve passages a to l at 0, 7, 14 ... degrees.</summary>
    private static readonly Dictionary<string, string> Passages = Enumerable
        .Range(0, 12)
        .ToDictionary(i => $"{(char)('a' + i)}", i => $"passage {i}");

    private static readonly float[][] Reference = [.. Enumerable.Range(0, 12).Select(i => At(7 * i)), At(0), At(77)];

    /// <summary>Of the first query, b is good (grade 1); of the second nobody judged anything.</summary>
    private static readonly ScoringOrder Order = new(
        ModelTask.Embed,
        [
            new("q1", "one", ["c", "b", "a"], new Dictionary<string, int> { ["b"] = 1 }),
            new("q2", "two", ["a", "l"], new Dictionary<string, int>()),
        ],
        Passages,
        embedsQueries: true
    );

    [Fact]
    public void Fp32_agrees_with_itself_and_is_judged_by_the_corpus()
    {
        var figures = ModelTask.Embed.Measure(Order, Reference, Reference).Figures;
        Assert.Equal(1, figures[Metric.RecallOverlapAt10]);
        // a is nearest to q1, then b: 1 / log2(3). q2 has no grades and does not count.
        Assert.Equal(0.63093, figures[Metric.NdcgAt10], 1e-5);
    }

    [Fact]
    public void A_query_that_turns_finds_others()
    {
        // At 7 degrees q1 is b itself. Nearest ten are still a to j; from 77 degrees, c to l.
        var turned = Reference.ToArray();
        turned[12] = At(7);
        var figures = ModelTask.Embed.Measure(Order, Reference, turned).Figures;
        Assert.Equal((1, 1), (figures[Metric.NdcgAt10], figures[Metric.RecallOverlapAt10]));

        // At 77 degrees it is q2: c to l, of which c to j are among fp32's a to j. The mean of 0.8 and 1.
        turned[12] = At(77);
        figures = ModelTask.Embed.Measure(Order, Reference, turned).Figures;
        Assert.Equal(0.9, figures[Metric.RecallOverlapAt10], 1e-6);
        // c, b, a by nearness: b is second, as before.
        Assert.Equal(0.63093, figures[Metric.NdcgAt10], 1e-5);
        Assert.Equal(1, figures[Metric.CosineMean]);
    }

    [Fact]
    public void Ties_keep_the_order_of_candidates_and_of_the_corpus()
    {
        // Every passage lies in one direction: c, b, a stay as the candidates file has them, and a to j are the first ten of both.
        var flat = Enumerable.Repeat(At(30), 12).Concat([At(0), At(77)]).ToArray();
        var figures = ModelTask.Embed.Measure(Order, flat, flat).Figures;
        Assert.Equal(0.63093, figures[Metric.NdcgAt10], 1e-5);
        Assert.Equal(1, figures[Metric.RecallOverlapAt10]);
    }

    [Fact]
    public void Intervals_are_of_queries_and_a_drop_is_paired()
    {
        var turned = Reference.ToArray();
        turned[12] = At(77);
        var (own, whole) = (ModelTask.Embed.Measure(Order, Reference, turned), ModelTask.Embed.Measure(Order, Reference, Reference));
        var intervals = Bootstrap.Of(own.Samples, whole.Samples);
        Assert.Equal(2, intervals.Figures[Metric.RecallOverlapAt10].Units);
        Assert.InRange(0.9, intervals.Figures[Metric.RecallOverlapAt10].Low, intervals.Figures[Metric.RecallOverlapAt10].High);
        // One judged query says nothing of others.
        Assert.DoesNotContain(Metric.NdcgAt10, intervals.Figures.Keys);
        Assert.Equal(12, intervals.Figures[Metric.CosineMean].Units);
    }

    [Fact]
    public void A_query_without_direction_is_named()
    {
        var broken = Reference.ToArray();
        broken[13] = [0, 0];
        var error = Assert.Throws<PipelineException>(() => ModelTask.Embed.Measure(Order, Reference, broken));
        Assert.Contains("query q2 by the variant is all zeros", error.Message);
        broken[13] = [float.NaN, 0];
        error = Assert.Throws<PipelineException>(() => Order.RequireFinite("int8", broken));
        Assert.Contains("for query q2 is NaN", error.Message);
    }

    private static float[] At(double degrees) => [(float)Math.Cos(degrees * Math.PI / 180), (float)Math.Sin(degrees * Math.PI / 180)];
}
