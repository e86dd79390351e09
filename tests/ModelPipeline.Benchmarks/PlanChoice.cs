using System.Diagnostics;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Planning;

namespace ModelPipeline.Benchmarks;

/// <summary>How long choosing shapes takes: 40 candidates, 20,000 lengths, two precisions, three core plans.</summary>
internal static class PlanChoice
{
    private const int Lengths = 20_000,
        Candidates = 40,
        Seed = 1;

    public static IEnumerable<Row> Run(Arguments arguments)
    {
        var random = new SplitMix64(Seed);
        int[] tokens = [.. Enumerable.Range(0, Lengths).Select(_ => random.Between(16, 32 * Candidates))];
        var model = LatencyModel.Fit(LatencyData.Public());
        var work = ModelWork.Of(new EncoderShape(12, 384, 12, 1536) { Vocabulary = 30522 });
        var question = new PlanQuestion(
            tokens,
            5,
            [.. Enumerable.Range(1, Candidates).Select(step => 32 * step)],
            [Precision.Fp16, Precision.W8A8],
            [new("sequence", 1, 1), new("cores_0_1_2", 1, 3), new("three_contexts", 3, 1)]
        )
        {
            InOneFile = [Precision.Fp16, Precision.W8A8],
            Batches = [1, 2, 4],
        };
        var watch = Stopwatch.StartNew();
        var plans = PlanSearch.Plans(
            question,
            work,
            (shape, precision, cores) => model.Milliseconds(work.At(shape), new RunPlace("rk3588", precision) { Cores = cores })
        );
        var best = PlanSearch.Best(plans, question.Precisions);
        yield return new Row($"choosing from {Candidates} shapes for {Lengths} lengths", watch.Elapsed.TotalSeconds, "s", "2 s");
        yield return new Row($"plans; best: {best}", plans.Count, "");
    }
}
