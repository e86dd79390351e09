using System.Numerics.Tensors;
using ModelPipeline.Core;
using ModelPipeline.Inspection;
using ModelPipeline.Metrics;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;
using ModelPipeline.Stages;
using ModelPipeline.Tests.Onnx;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Stages;

/// <summary>An embedder: the sample reranker's encoder, which gives a hidden state for each token.</summary>
public sealed class EmbedTests
{
    private const int Hidden = 128;

    [Fact]
    public async Task Its_variants_are_compared_by_the_embeddings_of_every_passage()
    {
        using var folder = new TemporaryFolder();
        Encoder().Save(folder.File("encoder.onnx"));
        using var sample = new SampleBuild(
            "embed",
            folder.File("encoder.onnx"),
            """
                shapes: [[1, 32]]
                variants:
                  fp16: { backend: simulator, precision: fp16, gates: { cosine_mean: { min: 0.999 } } }
                  int8: { backend: simulator, precision: w8a8, gates: { cosine_mean: { min: 0.9 } } }
            """
        );
        var build = sample.Build;

        var fp16 = await ValidateStage.RunAsync(build, build.Model.Variants[0], build.Model.Shapes[0], sample.Stage);
        var int8 = await ValidateStage.RunAsync(build, build.Model.Variants[1], build.Model.Shapes[0], sample.Stage);

        var passages = File.ReadLines(RepositoryFiles.Sample("corpus/passages.jsonl")).Count();
        Assert.All([fp16, int8], report => Assert.Equal((passages, 0), (report.Texts.Count, report.Queries.Count)));
        Assert.All([fp16, int8], report => Assert.Equal(GateResult.Passed, Assert.Single(report.Gates).Result));
        Assert.True(int8.Figures[Metric.CosineMean] < fp16.Figures[Metric.CosineMean]);
        Assert.All([fp16, int8], report => Assert.InRange(report.Figures[Metric.RecallOverlapAt10], 0.5, 1));
        Assert.All([fp16, int8], report => Assert.Contains(Metric.NdcgAt10, report.Intervals.Drops.Keys));
        Assert.Equal(fp16.Baselines!.Fp32!.Value, fp16.Reference[Metric.NdcgAt10], 1e-6);
        Assert.Contains(
            "cosine_mean",
            File.ReadAllText(Path.Combine(build.ValidationFolder(build.Model.Variants[1], build.Model.Shapes[0]), "validation.json"))
        );
    }

    /// <summary>Padding is masked in attention and left out of the mean, so it changes rounding alone.</summary>
    [Fact]
    public void An_embedding_is_the_mean_over_the_real_tokens()
    {
        var encoder = Encoder();
        var tokenizer = PairTokenizer.Load(RepositoryFiles.Sample("tiny-reranker/vocab.txt"), lowercase: true);
        const string Text = "The lighthouse keeper counted the ships.";
        var (padded, whole) = (Embed(64), Embed(tokenizer.Encode(Text, 64).AttentionMask.Count(token => token == 1)));
        Assert.Equal(Hidden, padded.Length);
        Assert.InRange(TensorPrimitives.Distance<float>(padded, whole), 0, 1e-4f * TensorPrimitives.Norm<float>(whole));

        float[] Embed(int sequence)
        {
            var row = tokenizer.Encode(Text, sequence);
            using var scorer = new ReferenceScorer(
                PinShapes.Apply(encoder, new InputShape(1, sequence)),
                new Answer(encoder.Graph.Outputs[0].Name) { Pooling = "mean" }
            );
            return scorer.Score([row.InputIds, row.AttentionMask, row.TokenTypeIds], TestContext.Current.CancellationToken)[0];
        }
    }

    /// <summary>The reranker without pooler and classifier.</summary>
    internal static OnnxModel Encoder()
    {
        var graph = TinyReranker.Source.Graph;
        var tokens = graph.Inputs[0].Shape;
        var states = new ValueInfo("/layer.3/output/LayerNorm/Add_1_output_0", ElementType.Float, [tokens[0], tokens[1], Hidden]);
        return DeadNodes.Apply(TinyReranker.Source.With(graph with { Outputs = [states] })).Model;
    }
}
