using ModelPipeline.Core;
using ModelPipeline.Inspection;
using ModelPipeline.Latency;
using ModelPipeline.Metrics;
using ModelPipeline.Rewrites;
using ModelPipeline.Stages;
using ModelPipeline.Tests.Latency;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Stages;

/// <summary>Shapes of several passages a run. The sample's 5 queries have 50 candidates, so a last run of 3 or 4 is not full.</summary>
public sealed class BatchTests
{
    private static readonly string Reranker = RepositoryFiles.Sample("tiny-reranker/model.onnx");

    /// <summary>Padding hides from attention what stands beside a passage, so a batch scores as single passages do.</summary>
    [Fact]
    public async Task A_reranker_in_batches_scores_each_passage_as_alone()
    {
        using var alone = new SampleBuild("rerank", Reranker, Variants("[[1, 32]]"));
        using var batches = new SampleBuild("rerank", Reranker, Variants("[[4, 32]]"));
        for (var variant = 0; variant < 3; variant++)
        {
            var (one, four) = (await ValidateAsync(alone, variant), await ValidateAsync(batches, variant));
            Assert.Equal(50, four.Queries.Sum(query => query.Scores.Count));
            Close(one.Queries.SelectMany(query => query.ReferenceScores), four.Queries.SelectMany(query => query.ReferenceScores), 1e-4);
            // int8 ranges come from the first texts again, and for the CPU from all of a run.
            Close(one.Queries.SelectMany(query => query.Scores), four.Queries.SelectMany(query => query.Scores), variant == 1 ? 1e-2 : 0.3);
        }
    }

    [Fact]
    public async Task Times_of_a_batch_are_shared_by_its_passages()
    {
        using var sample = new SampleBuild("rerank", Reranker, Variants("[[4, 32]]"));
        var report = await MeasureStage.RunAsync(sample.Build, sample.Stage);
        Assert.All(report.Reference.Concat(report.Artifacts), artifact => Assert.Equal(("4x32", 4), (artifact.Shape, artifact.Batch)));
        // Four requests of five passages take two runs each.
        Assert.All(
            report.Artifacts.SelectMany(artifact => artifact.Plans),
            plan => Assert.Equal((8, 4), (plan.Passage.Microseconds.Count, plan.Request.Microseconds.Count))
        );
        var expected = report.Buckets[0].Expected[0];
        Assert.Equal(expected.PassageMs * 8, expected.RequestMs, 0.01);
    }

    [Fact]
    public async Task An_embedder_in_batches_pools_each_text_by_its_own_mask()
    {
        using var folder = new TemporaryFolder();
        EmbedTests.Encoder().Save(folder.File("encoder.onnx"));
        using var sample = new SampleBuild(
            "embed",
            folder.File("encoder.onnx"),
            """
                pooling: mean
                shapes: [[3, 32]]
                variants:
                  fp16: { backend: simulator, precision: fp16 }
                  cpu: { backend: onnx, precision: fp32 }
            """
        );
        foreach (var variant in sample.Build.Model.Variants)
        {
            var report = await ValidateStage.RunAsync(sample.Build, variant, sample.Build.Model.Shapes[0], sample.Stage);
            Assert.InRange(report.Figures[Metric.CosineMin], 0.9999, 1.000001);
        }

        var tokenizer = PairTokenizer.Load(RepositoryFiles.Sample("tiny-reranker/vocab.txt"), lowercase: true);
        IReadOnlyList<TokenizedInput> rows =
        [
            tokenizer.Encode("One lighthouse", 32),
            tokenizer.Encode("The keeper of the lighthouse counted all of the ships that passed", 32),
        ];
        var answer = new Answer(EmbedTests.Encoder().Graph.Outputs[0].Name) { Pooling = "mean" };
        using var three = new ReferenceScorer(PinShapes.Apply(EmbedTests.Encoder(), new InputShape(3, 32)), answer);
        using var one = new ReferenceScorer(PinShapes.Apply(EmbedTests.Encoder(), new InputShape(1, 32)), answer);
        var together = three.Score(rows, TestContext.Current.CancellationToken);
        Assert.Equal(2, together.Count);
        foreach (var (row, vector) in rows.Zip(together))
            Close(one.Score(row, TestContext.Current.CancellationToken), vector, 1e-4);
    }

    [Fact]
    public async Task Weights_are_chosen_to_stay_float_on_batches()
    {
        using var sample = new SampleBuild(
            "rerank",
            Reranker,
            """
                shapes: [[4, 32]]
                variants: { cpu: { backend: onnx, precision: w8a8, float_budget_mb: 0.1 } }
            """
        );
        var report = await ValidateAsync(sample, 0);
        Assert.InRange(report.Figures[Metric.KendallTau], 0.8, 1);
    }

    /// <summary>A model whose first axis is no batch gives one score for all.</summary>
    [Fact]
    public void An_output_that_is_not_of_the_batch_is_refused()
    {
        var error = Assert.Throws<PipelineException>(() => new Answer("logits") { Label = 0 }.ReadAll([1, 2, 3], new long[8], 2));
        Assert.Contains("a run of 2 texts gave 3 numbers as output logits", error.Message);
    }

    [Fact]
    public void A_request_of_a_batch_takes_as_many_runs_as_it_fills()
    {
        var artifact = Latencies.Artifact("int8", 32, [10]) with { Batch = 4 };
        var plan = BucketPlan.Of([artifact], [8, 8, 8, 8, 8], passages: 5);
        Assert.Equal((10, 80), (plan.Expected[0].PassageMs, plan.Expected[0].RequestMs));
    }

    private static Task<ModelPipeline.Validation.ValidationReport> ValidateAsync(SampleBuild sample, int variant) =>
        ValidateStage.RunAsync(sample.Build, sample.Build.Model.Variants[variant], sample.Build.Model.Shapes[0], sample.Stage);

    private static void Close(IEnumerable<float> expected, IEnumerable<float> actual, double tolerance) =>
        Assert.Equal(expected, actual, (one, other) => Math.Abs(one - other) <= tolerance);

    private static string Variants(string shapes) =>
        $$"""
                shapes: {{shapes}}
                variants:
                  int8: { backend: simulator, precision: w8a8 }
                  fp16: { backend: simulator, precision: fp16 }
                  cpu-int8: { backend: onnx, precision: w8a8 }
            """;
}
