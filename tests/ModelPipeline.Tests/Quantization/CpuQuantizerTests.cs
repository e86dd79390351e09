using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Onnx;
using ModelPipeline.Quantization;
using ModelPipeline.Tasks;
using ModelPipeline.Tests.Validation;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Quantization;

public sealed class CpuQuantizerTests
{
    private static readonly string[] StandardIntegerOperators = ["DynamicQuantizeLinear", "MatMulInteger"];
    private static readonly string TinyPath = RepositoryFiles.Sample("tiny-reranker/model.onnx");
    private static readonly Lazy<OnnxModel> Tiny = new(() => OnnxModel.Load(TinyPath));
    private static readonly Lazy<CpuQuantization> Quantized = new(() => Quantize(Tiny.Value));

    [Fact]
    public void The_file_is_near_a_quarter_of_the_source()
    {
        var ratio = (double)Quantized.Value.Model.ToBytes().Length / new FileInfo(TinyPath).Length;
        Assert.InRange(ratio, 0.25, 0.29);
    }

    [Fact]
    public void Every_weight_is_reported_and_large_ones_are_int8()
    {
        var weights = Quantized.Value.Weights;
        Assert.Equal(
            Tiny.Value.Graph.Nodes.Where(node => node.OpType == "MatMul" && Tiny.Value.Graph.Initializers.ContainsKey(node.Inputs[1]))
                .Select(node => node.Name),
            weights.Where(weight => weight.Form == CpuWeightForm.Integer).Select(weight => weight.Node)
        );
        Assert.Contains(weights, weight => weight.Form == CpuWeightForm.Stored && weight.Node.Contains("word_embeddings"));
        Assert.All(
            weights.Where(weight => weight.Form == CpuWeightForm.Float),
            weight => Assert.True(weight.Shape[0] * weight.Shape[1] < 4096)
        );
    }

    [Fact]
    public void Only_standard_operators_of_the_sources_opset_are_used()
    {
        var model = Quantized.Value.Model;
        Assert.Equal(Tiny.Value.Opset, model.Opset);
        Assert.All(model.Graph.Nodes, node => Assert.Equal("", node.Domain));
        Assert.All(StandardIntegerOperators, op => Assert.Contains(model.Graph.Nodes, node => node.OpType == op));
    }

    /// <summary>The embedding's LayerNorm and two a layer but the last, which no weight reads.</summary>
    [Fact]
    public void Every_layer_norm_that_a_weight_reads_is_smoothed()
    {
        var norms = Tiny.Value.Graph.Nodes.Count(node => node.OpType == "Sqrt");
        Assert.Equal(
            norms - 1,
            Quantized.Value.Model.Graph.Initializers.Keys.Count(name => name.EndsWith("_smoothing", StringComparison.Ordinal))
        );
    }

    [Fact]
    public void The_interface_stays_as_it_was()
    {
        Assert.Equal(
            Tiny.Value.Graph.Inputs.Select(input => input.ToString()),
            Quantized.Value.Model.Graph.Inputs.Select(input => input.ToString())
        );
        Assert.Equal(
            Tiny.Value.Graph.Outputs.Select(output => output.ToString()),
            Quantized.Value.Model.Graph.Outputs.Select(output => output.ToString())
        );
    }

    [Theory]
    [InlineData(1, 16)]
    [InlineData(3, 40)]
    [InlineData(2, 128)]
    public void It_runs_at_any_batch_and_sequence(int batch, int sequence)
    {
        using var session = InferenceSessions.Open(Quantized.Value.Model);
        var ids = Enumerable.Range(0, batch * sequence).Select(i => 5L + i * 37 % 900).ToArray();
        var ones = Enumerable.Repeat(1L, ids.Length).ToArray();
        var values = session
            .InputNames.Select(name =>
                OrtValue.CreateTensorValueFromMemory(
                    name switch
                    {
                        "input_ids" => ids,
                        "attention_mask" => ones,
                        _ => new long[ids.Length],
                    },
                    [batch, sequence]
                )
            )
            .ToList();
        using var options = new RunOptions();
        using var outputs = session.Run(options, session.InputNames, values, session.OutputNames);
        values.ForEach(value => value.Dispose());
        Assert.Equal([batch, 1], outputs[0].GetTensorTypeAndShape().Shape);
        Assert.All(outputs[0].GetTensorDataAsSpan<float>().ToArray(), score => Assert.True(float.IsFinite(score)));
    }

    [Fact]
    public void The_tiny_reranker_keeps_its_ranking()
    {
        var queries = TinyScores.Queries.Take(30).ToList();
        var reference = TinyScores.Of("fp32").Take(30).ToList();
        var figures = RerankValidation.Measure(queries, reference, Scores(Quantized.Value.Model, queries)).Figures;
        var ndcg = RerankValidation.Measure(queries, reference, reference).Figures[Metric.NdcgAt10];
        Assert.InRange(figures[Metric.NdcgAt10], ndcg - 0.01, 1);
        Assert.InRange(figures[Metric.KendallTau], 0.97, 1);
        Assert.InRange(figures[Metric.Spearman], 0.99, 1);
    }

    [Fact]
    public void The_same_source_gives_the_same_bytes() =>
        Assert.Equal(Quantized.Value.Model.Digest(), Quantize(OnnxModel.Load(TinyPath)).Model.Digest());

    [Fact]
    public void A_written_file_is_read_back_as_it_was() =>
        Assert.Equal(Quantized.Value.Model.Digest(), OnnxModel.Parse(Quantized.Value.Model.ToBytes()).Digest());

    [Fact]
    public void A_quantized_model_is_refused()
    {
        var error = Assert.Throws<PipelineException>(() => Quantize(Quantized.Value.Model));
        Assert.Contains("start from the fp32 file", error.Message, StringComparison.Ordinal);
        Assert.Contains("DynamicQuantizeLinear", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_node_that_is_kept_reads_its_fp32_weight()
    {
        var kept = Quantized.Value.Weights.First(weight => weight.Form == CpuWeightForm.Integer);
        var result = Quantize(Tiny.Value, new CpuQuantizationSettings { KeepFloat = [kept.Value] });
        Assert.Equal(CpuWeightForm.Float, result.Weights.Single(weight => weight.Node == kept.Node).Form);
        var node = result.Model.Graph.Nodes.Single(node => node.Name == kept.Node);
        Assert.Equal("MatMul", node.OpType);
        Assert.Equal(Tiny.Value.Graph.Initializers[kept.Weight], result.Model.Graph.Initializers[node.Inputs[1]]);
    }

    [Fact]
    public void A_node_that_does_not_exist_cannot_be_kept()
    {
        var error = Assert.Throws<PipelineException>(() =>
            Quantize(Tiny.Value, new CpuQuantizationSettings { KeepFloat = ["/layer.99/MatMul_output_0"] })
        );
        Assert.Contains("/layer.99/MatMul", error.Message, StringComparison.Ordinal);
    }

    /// <summary>The product of the integer kernels against the same product in double precision: a large row of a GELU does not spoil the
    /// others.</summary>
    [Fact]
    public void Small_rows_beside_a_large_one_keep_their_precision()
    {
        var model = GeluProduct(64, 8);
        var x = Enumerable.Range(0, 2 * 64).Select(i => (i < 64 ? 100f : 1f) * (1 + i % 7)).ToArray();
        var exact = Run(model, x);
        var actual = Run(Quantize(model, new CpuQuantizationSettings { MinElements = 1 }).Model, x);
        Assert.All(Enumerable.Range(8, 8), i => Assert.Equal(exact[i], actual[i], 0.1f * exact[8..].Max(MathF.Abs)));
    }

    private static CpuQuantization Quantize(OnnxModel model, CpuQuantizationSettings? settings = null) =>
        CpuQuantizer.Quantize(model, settings ?? new CpuQuantizationSettings(), TestContext.Current.CancellationToken);

    private static float[] Run(OnnxModel model, float[] x)
    {
        using var session = InferenceSessions.Open(model);
        using var input = OrtValue.CreateTensorValueFromMemory(x, [2, x.Length / 2]);
        using var options = new RunOptions();
        using var outputs = session.Run(options, ["x"], [input], ["y"]);
        return outputs[0].GetTensorDataAsSpan<float>().ToArray();
    }

    /// <summary>y = gelu(x) W for x [rows, inputs].</summary>
    private static OnnxModel GeluProduct(int inputs, int outputs) =>
        Tiny.Value.With(
            new Graph
            {
                Name = "gelu product",
                Inputs = [new ValueInfo("x", ElementType.Float, [new Dimension(null, "rows"), inputs])],
                Outputs = [new ValueInfo("y", ElementType.Float, [new Dimension(null, "rows"), outputs])],
                Nodes =
                [
                    new Node("Mul", "scaled", ["x", "root_half"], ["scaled"]),
                    new Node("Erf", "erf", ["scaled"], ["erf"]),
                    new Node("Add", "plus_one", ["erf", "one"], ["plus_one"]),
                    new Node("Mul", "product", ["x", "plus_one"], ["doubled"]),
                    new Node("Mul", "half", ["doubled", "one_half"], ["gelu"]),
                    new Node("MatMul", "dense", ["gelu", "weight"], ["y"]),
                ],
                Initializers = new OrderedDictionary<string, Tensor>
                {
                    ["root_half"] = Tensor.Scalar(0.70710677f),
                    ["one"] = Tensor.Scalar(1f),
                    ["one_half"] = Tensor.Scalar(0.5f),
                    ["weight"] = Tensor.Of(
                        [inputs, outputs],
                        Enumerable.Range(0, inputs * outputs).Select(i => MathF.Sin(i * 0.7f)).ToArray()
                    ),
                },
            }
        );

    private static List<float[]> Scores(OnnxModel model, IReadOnlyList<CorpusQuery> queries)
    {
        var tokenizer = PairTokenizer.Load(RepositoryFiles.Sample("tiny-reranker/vocab.txt"), lowercase: true);
        var (texts, passages) = (Texts("queries.jsonl"), Texts("passages.jsonl"));
        using var session = InferenceSessions.Open(model);
        return
        [
            .. queries.Select(query =>
                query
                    .Candidates.Select(passage =>
                    {
                        var tokens = tokenizer.Encode(texts[query.Id], passages[passage], 128, TruncationStrategy.LongestFirst);
                        using var outputs = session.Run([.. session.InputNames.Select(name => tokens[name])], session.OutputNames);
                        return outputs[0].GetTensorDataAsSpan<float>()[0];
                    })
                    .ToArray()
            ),
        ];
    }

    private static Dictionary<string, string> Texts(string file) =>
        File.ReadLines(RepositoryFiles.Sample($"corpus/{file}"))
            .Select(line => System.Text.Json.JsonDocument.Parse(line).RootElement)
            .ToDictionary(record => record.GetProperty("id").GetString()!, record => record.GetProperty("text").GetString()!);
}
