using System.Numerics.Tensors;
using ModelPipeline.Core;
using ModelPipeline.Inspection;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Rewrites;
using ModelPipeline.Stages;
using ModelPipeline.Tests.EndToEnd;
using ModelPipeline.Tests.Stages;
using ModelPipeline.Text;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>An embedder with backend rknn: the toolkit's simulator gives hidden states, which are pooled here as those of any device
/// are.</summary>
public sealed class ToolkitEmbedTests : IDisposable
{
    private const int Tokens = 32;

    private readonly TemporaryFolder folder = new();
    private readonly Workspace workspace = new();

    [Fact]
    public async Task The_toolkits_simulator_scores_embedders_with_a_board_and_without()
    {
        using var toolkit = new RecordedToolkit("runnable");
        var encoder = EmbedTests.Encoder();
        encoder.Save(folder.File("encoder.onnx"));
        var digest = FileDigest.Of(folder.File("encoder.onnx"), TestContext.Current.CancellationToken);
        workspace.Edit(
            (
                "task: rerank\n    licence: Apache-2.0\n    language: [en]\n    source:\n      file: "
                    + RepositoryFiles.Sample("tiny-reranker/model.onnx"),
                "task: embed\n    source:\n      file: " + folder.File("encoder.onnx")
            ),
            ("3aed8effbc580bf85b1cfbb7bbba8ead57b517b14e04b2e3304ed54abf14f74e", digest.Sha256),
            ("shapes: [[1, 128]] ", $"latency: {{ requests: 4 }}\n    shapes: [[1, {Tokens}]] "),
            (
                "      fp16:\n        backend: simulator\n        precision: fp16\n        gates:\n          kendall_tau: { min: 0.999 }",
                "      npu:\n        backend: rknn\n        precision: fp16\n        toolkit_simulator: true"
            ),
            ("          ndcg_at_10: { max_drop: 0.01 }\n          kendall_tau: { min: 0.9 }", "          cosine_mean: { min: 0.5 }"),
            ("          ndcg_at_10: { max_drop: 0.01 }\n          kendall_tau: { min: 0.95 }", "          cosine_mean: { min: 0.5 }"),
            ("  rk3588: { kind: local }", $"  board: {{ kind: local, runtime_library: {RecordedRuntime.Build(folder.File("runtime"))} }}")
        );

        var simulated = await ValidateAsync(toolkit);
        var measured = await ValidateAsync(toolkit, "--device=board");

        // The recorded toolkit makes hidden states up; what they should come to is computed from the same tokens.
        var tokenizer = PairTokenizer.Load(RepositoryFiles.Sample("tiny-reranker/vocab.txt"), lowercase: true);
        using var reference = new ReferenceScorer(
            PinShapes.Apply(encoder, new InputShape(1, Tokens)),
            new Answer(encoder.Graph.Outputs[0].Name) { Pooling = "mean" }
        );
        var passages = Corpus.Load(ModelsYaml.Load(workspace.Manifest, new ManifestOverrides(), _ => null).Corpora["sample"]).Passages;
        foreach (var text in simulated.Texts.Take(5))
        {
            var row = tokenizer.Encode(passages[text.Id], Tokens);
            var expected = reference.Score(row, TestContext.Current.CancellationToken);
            Assert.Equal(TensorPrimitives.CosineSimilarity<float>(expected, MadeUp(row, expected.Length)), text.Cosine, 1e-4);
        }
        Assert.Equal((true, 0), (simulated.Subject.Simulated, simulated.Toolkit!.Opinions.Count));

        Assert.True(measured.Subject.OnDevice);
        Assert.InRange(measured.Figures[Metric.CosineMin], 0.999, 1);
        var opinion = Assert.Single(measured.Toolkit!.Opinions);
        Assert.Equal(("the toolkit's simulator", null), (opinion.Source, opinion.TauToVariant));
        foreach (var metric in new[] { Metric.CosineMean, Metric.CosineMin, Metric.SimilaritySpearman })
            Assert.Equal(simulated.Figures[metric], opinion.Figures[metric]);
        Assert.Contains("<td>the toolkit&#39;s simulator</td>", File.ReadAllText(workspace.Built("validation/report.html")));
    }

    public void Dispose()
    {
        folder.Dispose();
        workspace.Dispose();
    }

    /// <summary>The mean over the real tokens of what recorded-toolkit/rknn/api/derived.py gives for each.</summary>
    private static float[] MadeUp(TokenizedInput row, int hidden) =>
        [
            .. Enumerable
                .Range(0, hidden)
                .Select(column => (float)row.InputIds.Take(row.Length).Average(token => (((token * 7) + (column * 13)) % 97 - 48) / 97.0)),
        ];

    private async Task<ValidationReport> ValidateAsync(RecordedToolkit toolkit, params string[] options)
    {
        var variables = new Dictionary<string, string>
        {
            ["MODELPIPELINE_TOOLKIT_PYTHON"] = toolkit.Python,
            ["MODELPIPELINE_LOCK"] = folder.File("lock"),
        };
        (
            await HostProcess.RunAsync(
                workspace.Folder,
                ["--target=Validate", "--model=tiny-reranker", "--variant=npu", .. options],
                variables
            )
        ).Succeeded();
        return ReportJson.Read<ValidationReport>(workspace.Built($"validation/npu/1x{Tokens}/validation.json"));
    }
}
