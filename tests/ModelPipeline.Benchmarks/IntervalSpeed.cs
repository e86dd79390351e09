using ModelPipeline.Core;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;
using ModelPipeline.Text;

namespace ModelPipeline.Benchmarks;

/// <summary>What the bootstrap of all figures of a reranker takes: made-up scores, ten candidates a query.</summary>
internal static class IntervalSpeed
{
    private const int Queries = 1000,
        Candidates = 10,
        Runs = 5;

    public static IEnumerable<Row> Run(Arguments _)
    {
        var random = new SplitMix64(1);
        var queries = Enumerable
            .Range(0, Queries)
            .Select(q =>
            {
                string[] ids = [.. Enumerable.Range(0, Candidates).Select(p => $"q{q}p{p}")];
                return new CorpusQuery($"q{q}", "", ids, ids.ToDictionary(id => id, _ => random.Between(0, 3) / 3));
            })
            .ToList();
        var fp32 = queries.Select(_ => Scores(() => random.Between(-5000, 5000) / 1000f)).ToList();
        var int8 = fp32.Select(query => query.Select(score => score + (random.Between(-300, 300) / 1000f)).ToArray()).ToList();
        var (whole, own) = (RerankValidation.Measure(queries, fp32, fp32), RerankValidation.Measure(queries, fp32, int8));
        var figures = 0;
        var clocks = new List<double>();
        for (var run = 0; run < Runs; run++)
        {
            var before = Environment.CpuUsage.TotalTime;
            figures = Bootstrap.Of(own.Samples, whole.Samples).Figures.Count;
            clocks.Add((Environment.CpuUsage.TotalTime - before).TotalSeconds);
        }
        yield return new(
            $"Intervals of {figures} figures and their drops, {Queries:N0} queries: the first time, of the processor",
            clocks[0],
            "s",
            "0.3 s"
        );
        yield return new("The same again, median, of the processor", clocks.Order().ElementAt(Runs / 2), "s", "0.3 s");

        static float[] Scores(Func<float> score) => [.. Enumerable.Range(0, Candidates).Select(_ => score())];
    }
}
