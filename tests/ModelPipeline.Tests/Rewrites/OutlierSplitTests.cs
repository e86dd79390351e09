using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Onnx;
using ModelPipeline.Quantization;
using ModelPipeline.Rewrites;
using ModelPipeline.Tests.Onnx;

namespace ModelPipeline.Tests.Rewrites;

/// <summary>The sample reranker with two channels of every FFN made many times larger, as they are in models of 12 layers.</summary>
public sealed class OutlierSplitTests
{
    private const int Pairs = 60;
    private static readonly int[] Channels = [9, 77];
    private static readonly IReadOnlyList<IReadOnlyList<long[]>> Samples = [.. TinyReranker.CalibrationSamples.Take(40)];
    private static readonly Lazy<OnnxModel> LazyModel = new(() => WithOutliers(TinyReranker.Prepared));
    private static readonly Lazy<Rewritten> LazySplit = new(() => Pass.Named("outlier-split").Apply(LazyModel.Value, Samples));

    [Fact]
    public void The_channels_are_found_in_every_layer()
    {
        Assert.Equal(4, LazySplit.Value.Matches.Count);
        Assert.All(LazySplit.Value.Matches, match => Assert.EndsWith("/output/dense/Add_output_0: channels 9, 77 of 128", match));
    }

    [Fact]
    public void Fp32_scores_stay_and_a_second_pass_finds_nothing()
    {
        var (before, after) = (TinyReranker.Scores(LazyModel.Value, Pairs), TinyReranker.Scores(LazySplit.Value.Model, Pairs));

        Assert.InRange(before.Zip(after, (x, y) => Math.Abs(x - y)).Max(), 0, 1e-4f);
        Assert.Empty(Pass.Named("outlier-split").Apply(LazySplit.Value.Model, Samples).Matches);
    }

    [Fact]
    public void It_brings_the_int8_ranking_back_with_no_weight_in_fp16()
    {
        var fp32 = TinyReranker.Scores(LazyModel.Value, Pairs);
        var (whole, split) = (Int8(LazyModel.Value), Int8(LazySplit.Value.Model));

        var (before, after) = (Tau(fp32, whole), Tau(fp32, split));

        Assert.InRange(before, -1, 0.75);
        Assert.InRange(after, 0.85, 1);
        static double Tau(float[] fp32, OnnxModel model) =>
            RankCorrelation.KendallTauB<float>(fp32, TinyReranker.Scores(model, Pairs, new RunSettings(FuseQdq: false)));
    }

    [Fact]
    public void The_plan_is_the_sums_behind_the_split_their_norms_and_the_head()
    {
        var model = LazySplit.Value.Model;
        var fused = FusedOperators.Of(model.Graph);
        var plan = Fp16Plan.Resolve(Fp16Plan.OfModel(model), model.Graph, fused);

        Assert.Contains("logits", plan);
        for (var layer = 0; layer < 4; layer++)
        {
            Assert.Contains($"/layer.{layer}/output/Add_output_0", plan);
            Assert.DoesNotContain($"/layer.{layer}/output/Add_output_0_clean", plan);
        }
        // Everything in fp16 is an operation without a large weight of its own.
        Assert.All(
            plan,
            point =>
                Assert.DoesNotContain(
                    model.Graph.Nodes,
                    node =>
                        node.OpType == "MatMul"
                        && fused.OwnerOf(node) == point
                        && model.Graph.Initializers.TryGetValue(node.Inputs[1], out var weight)
                        && weight.Count > 128 * 128
                )
        );
    }

    [Fact]
    public void Without_outliers_or_without_samples_nothing_is_split()
    {
        Assert.Empty(Pass.Named("outlier-split").Apply(TinyReranker.Prepared, Samples).Matches);
        Assert.Empty(Pass.Named("outlier-split").Apply(LazyModel.Value).Matches);
    }

    private static OnnxModel Int8(OnnxModel model)
    {
        var fused = FusedOperators.Of(model.Graph);
        var ranges = ActivationRanges.Collect(
            model,
            fused.Points,
            QuantizationAlgorithm.Normal,
            Samples,
            cancellation: TestContext.Current.CancellationToken
        );
        return NpuEmulation.Build(
            model,
            fused,
            ranges.ToDictionary(range => range.Key, range => AffineParameters.Covering(range.Value.Min, range.Value.Max)),
            Fp16Plan.Resolve(Fp16Plan.OfModel(model), model.Graph, fused)
        );
    }

    /// <summary>Offsets that claim the int8 range of the sums, and that the LayerNorms behind scale down again, as trained ones
    /// do.</summary>
    private static OnnxModel WithOutliers(OnnxModel model)
    {
        var graph = model.Graph;
        var uses = new UseDef(graph);
        var changed = new Dictionary<string, Tensor>();
        foreach (
            var node in graph.Nodes.Where(node =>
                node.Name.Contains("/output/", StringComparison.Ordinal) && !node.Name.Contains("attention")
            )
        )
        {
            if (node.Name.EndsWith("/dense/Add", StringComparison.Ordinal))
                Change(node, value => value + 100);
            else if (node.Name.EndsWith("/LayerNorm/Mul", StringComparison.Ordinal))
                Change(node, value => value / 100);
        }
        return model.With(graph with { Initializers = graph.InitializersWith(changed) });

        void Change(Node node, Func<float, float> change)
        {
            var name = node.Inputs.First(input => uses.Constant(input) is { Rank: 1 });
            var values = graph.Initializers[name].Span<float>().ToArray();
            foreach (var channel in Channels)
                values[channel] = change(values[channel]);
            changed[name] = Tensor.Of<float>(graph.Initializers[name].Shape.AsSpan(), values);
        }
    }
}
