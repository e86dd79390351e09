using System.Globalization;
using System.Text.RegularExpressions;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Onnx;
using ModelPipeline.Quantization;
using ModelPipeline.Tests.Onnx;
using ModelPipeline.Tests.Validation;
using YamlDotNet.Serialization;

namespace ModelPipeline.Tests.Quantization;

/// <summary>The emulation against what rknn-toolkit2 2.3.2 made of the sample model: its ranges, and its simulator's scores of all 1,070
/// pairs.</summary>
public sealed partial class ToolkitAgreementTests
{
    private static readonly RunSettings AsWritten = new(FuseQdq: false);

    private static float[] Toolkit(string build) => [.. TinyScores.Of(build).SelectMany(scores => scores)];

    private static double MeanDifference(float[] a, float[] b) => a.Zip(b, (x, y) => Math.Abs((double)x - y)).Average();

    private static float[] Emulated(OnnxModel prepared, int pairs)
    {
        var imported = NpuEmulation.Import(prepared);
        var fused = FusedOperators.Of(imported.Graph);
        var ranges = ActivationRanges.Collect(
            imported,
            fused.Points,
            QuantizationAlgorithm.Normal,
            TinyReranker.CalibrationSamples,
            cancellation: TestContext.Current.CancellationToken
        );
        var parameters = ranges.ToDictionary(range => range.Key, range => AffineParameters.Covering(range.Value.Min, range.Value.Max));
        return TinyReranker.Scores(NpuEmulation.Build(imported, fused, parameters), pairs, AsWritten);
    }

    [Fact]
    public void The_fused_operators_of_the_sample_model_are_found()
    {
        var fused = FusedOperators.Of(TinyReranker.Prepared.Graph);

        Assert.Equal((58, 9, 4, 4), (fused.Points.Count, fused.LayerNorms, fused.Gelus, fused.Attentions));
    }

    [Fact]
    public void Ranges_equal_the_toolkits_for_every_tensor()
    {
        var toolkit = new DeserializerBuilder()
            .Build()
            .Deserialize<Dictionary<string, Dictionary<string, Dictionary<string, object>>>>(
                File.ReadAllText(RepositoryFiles.Fixture("rknn/tiny-int8.quantization.cfg"))
            )["quantize_parameters"];
        var model = TinyReranker.Prepared;
        var values = model.Graph.Nodes.Select(node => node.Output).ToHashSet();
        var expected = toolkit
            .Select(entry =>
                (Name: OnnxName(entry.Key), Range: new ActivationRange(Number(entry.Value["ori_min"]), Number(entry.Value["ori_max"])))
            )
            .Where(entry => values.Contains(entry.Name))
            .ToList();

        var ranges = ActivationRanges.Collect(
            model,
            [.. expected.Select(entry => entry.Name).Distinct()],
            QuantizationAlgorithm.Normal,
            TinyReranker.CalibrationSamples,
            cancellation: TestContext.Current.CancellationToken
        );

        Assert.All(
            expected,
            entry =>
            {
                var ours = ranges[entry.Name];
                var tolerance = 1e-4 * Math.Max(Math.Abs(entry.Range.Min), Math.Abs(entry.Range.Max));
                Assert.Equal(entry.Range.Min, ours.Min, tolerance);
                Assert.Equal(entry.Range.Max, ours.Max, tolerance);
            }
        );
        Assert.Empty(FusedOperators.Of(model.Graph).Points.Except(ranges.Keys));

        static float Number(object list) => float.Parse((string)((List<object>)list)[0], CultureInfo.InvariantCulture);
    }

    /// <summary>The toolkit names tensors after the nodes it fused, with suffixes for the rewrites it made.</summary>
    private static string OnnxName(string toolkit)
    {
        if (toolkit.EndsWith("/output/LayerNorm/Add_1_output_0-rs_sw", StringComparison.Ordinal))
            return "/pooler/Gather_output_0";
        if (toolkit == "logits_int8")
            return "logits";
        var name = toolkit
            .Replace("/LayerNorm/ReduceMean_2ln", "/LayerNorm/Add_1_output_0")
            .Replace("/dense/MatMul_output_0_mm_tp_sw", "/dense/Add_output_0");
        name = Projection().Replace(name, "$1/Add_output_0");
        name = name.Replace("MatMul_1_output_0_sdpa", "MatMul_1_output_0")
            .Replace("MatMul_1_2sdpa_q_matmul", "MatMul_output_0")
            .Replace("MatMul_1_2sdpa_q_add", "Add_output_0")
            .Replace("MatMul_1_2sdpa_q_softmax", "Softmax_output_0");
        return Suffixes().Replace(name, "");
    }

    [GeneratedRegex("(/self/(?:query|key|value))/MatMul_output_0_mm_tp_sw$")]
    private static partial Regex Projection();

    [GeneratedRegex("(_mm)?(_tp)?([-_]rs)?(_sw)?$")]
    private static partial Regex Suffixes();

    [Fact]
    public void The_emulation_predicts_the_toolkits_int8_scores()
    {
        var (ours, toolkits) = (Emulated(TinyReranker.Prepared, TinyReranker.Pairs.Count), Toolkit("int8_normal"));

        Assert.InRange(RankCorrelation.Spearman<float>(ours, toolkits), 0.985, 1);
        Assert.InRange(MeanDifference(ours, toolkits), 0, 0.10);
    }

    [Fact]
    public void The_emulation_predicts_the_collapse_without_the_mask_rewrite()
    {
        var fp32 = TinyScores.Of("fp32").Take(50).ToList();
        var scores = Emulated(TinyReranker.Unmasked, fp32.Sum(query => query.Length));

        var taus = scores
            .Chunk(fp32[0].Length)
            .Zip(fp32, (ours, reference) => RankCorrelation.KendallTauB<float>(ours, reference))
            .Where(double.IsFinite)
            .ToList();

        Assert.InRange(taus.Average(), -0.15, 0.15);
        Assert.InRange(MeanDifference(scores, Toolkit("int8_unmasked_normal")), 0, 0.10);
    }

    [Fact]
    public void The_prepared_model_gives_the_recorded_fp32_scores() =>
        Assert.All(
            TinyReranker.Scores(TinyReranker.Prepared, 200).Zip(Toolkit("fp32")),
            pair => Assert.Equal(pair.Second, pair.First, 1e-4)
        );

    [Fact]
    public void Half_precision_predicts_the_toolkits_fp16_scores()
    {
        var half = TinyReranker.Scores(HalfPrecision.Build(TinyReranker.Prepared, FusedOperators.Of(TinyReranker.Prepared.Graph)), 200);

        Assert.InRange(RankCorrelation.Spearman<float>(half, Toolkit("fp16")[..200]), 0.9995, 1);
        Assert.InRange(half.Zip(Toolkit("fp16"), (a, b) => Math.Abs(a - b)).Max(), 0, 0.02);
    }

    [Fact]
    public void An_empty_calibration_set_and_an_infinite_range_are_refused()
    {
        Assert.Contains(
            "the calibration set is empty",
            Assert
                .Throws<PipelineException>(() =>
                    ActivationRanges.Collect(
                        TinyReranker.Prepared,
                        ["logits"],
                        QuantizationAlgorithm.Normal,
                        [],
                        cancellation: TestContext.Current.CancellationToken
                    )
                )
                .Message
        );
        var graph = TinyReranker.Prepared.Graph;
        var weight = graph.Initializers.First(entry => entry.Value is { Type: ElementType.Float, Rank: 2 });
        var values = weight.Value.Span<float>().ToArray();
        values.AsSpan().Fill(float.PositiveInfinity);
        var broken = TinyReranker.Prepared.With(
            graph with
            {
                Initializers = graph.InitializersWith([
                    new(weight.Key, ModelPipeline.Onnx.Tensor.Of<float>(weight.Value.Shape.AsSpan(), values)),
                ]),
            }
        );

        Assert.Contains(
            "a finite range is needed to quantize it",
            Assert
                .Throws<PipelineException>(() =>
                    ActivationRanges.Collect(
                        broken,
                        ["logits"],
                        QuantizationAlgorithm.Normal,
                        [TinyReranker.CalibrationSamples[0]],
                        cancellation: TestContext.Current.CancellationToken
                    )
                )
                .Message
        );
    }
}
