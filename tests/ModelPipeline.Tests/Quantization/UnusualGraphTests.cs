using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Checking;
using ModelPipeline.Quantization;
using ModelPipeline.Raising;
using ModelPipeline.Tests.Onnx;

namespace ModelPipeline.Tests.Quantization;

/// <summary>Graphs that exporters write and that a quantizer may stumble over: names that it would give itself, nodes without names,
/// booleans, weights it cannot reach.</summary>
public sealed class UnusualGraphTests
{
    private const int Pairs = 6;

    [Theory]
    [InlineData("_scale")]
    [InlineData("_quantized")]
    [InlineData("_zero_point")]
    [InlineData("_dequantized")]
    [InlineData("_fp16")]
    [InlineData("_rows")]
    public void A_learned_factor_may_have_the_name_that_a_quantizer_would_give(string suffix)
    {
        var (taken, free) = (WithFactor(suffix), WithFactor("_gain"));

        Assert.Equal(Scores(Cpu(free)), Scores(Cpu(taken)));
        Assert.Equal(Scores(Npu(free)), Scores(Npu(taken)));
        Assert.Equal(
            Scores(HalfPrecision.Build(free, FusedOperators.Of(free.Graph))),
            Scores(HalfPrecision.Build(taken, FusedOperators.Of(taken.Graph)))
        );
    }

    /// <summary>As sources are whose operator set was raised without another export: norms are still written out.</summary>
    [Fact]
    public void An_fp16_build_of_norms_that_are_written_out_runs_at_operator_sets_that_have_the_norm()
    {
        var raised = TinyReranker.Prepared.WithOpset(17, 8);

        var built = HalfPrecision.Build(raised, FusedOperators.Of(raised.Graph));

        // Its inner values are not rounded either way.
        var (expected, scores) = (
            Scores(HalfPrecision.Build(TinyReranker.Prepared, FusedOperators.Of(TinyReranker.Prepared.Graph))),
            Scores(built)
        );
        Assert.All(expected.Zip(scores), pair => Assert.Equal(pair.First, pair.Second, 2e-2f));
        Assert.Empty(OnnxChecker.Check(built).Findings);
    }

    [Theory]
    [InlineData("")]
    [InlineData("node")]
    public void A_budget_is_kept_whatever_nodes_are_called(string name)
    {
        const int Budget = 400_000;
        var named = TinyReranker.Source.With(
            TinyReranker.Source.Graph with
            {
                Nodes = [.. TinyReranker.Source.Graph.Nodes.Select(node => node with { Name = name })],
            }
        );
        var model = RaisedModel.Of(named, "model.onnx", TestContext.Current.CancellationToken).Model;

        var (plain, found) = (Quantize(model), Search(model, Budget));

        Assert.InRange(found.Model.ToBytes().Length - plain.Model.ToBytes().Length, 1, Budget);
        Assert.Equal(
            Search(TinyReranker.Source, Budget).Weights.Where(weight => weight.Form == CpuWeightForm.Float).Select(weight => weight.Value),
            found.Weights.Where(weight => weight.Form == CpuWeightForm.Float).Select(weight => weight.Value)
        );
        // Kept on purpose is not left out.
        Assert.Equal(1, found.Share.Share);

        static CpuQuantization Search(OnnxModel model, long bytes) =>
            CpuQuantizer.Search(
                model,
                new CpuQuantizationSettings(),
                bytes,
                each => TinyReranker.Scores(each, Pairs),
                each => TinyReranker.Scores(each, 2 * Pairs)[Pairs..],
                cancellation: TestContext.Current.CancellationToken
            );
    }

    /// <summary>A softmax that gives nothing where every score is masked: IsNaN makes booleans, which are no tensors of the NPU's
    /// int8.</summary>
    [Fact]
    public void Booleans_are_not_quantized()
    {
        var graph = TinyReranker.Prepared.Graph;
        var guarded = TinyReranker.Prepared.With(
            graph with
            {
                Nodes =
                [
                    .. graph.Nodes.SelectMany(node =>
                        node.OpType != "Softmax"
                            ? (Node[])[node]
                            :
                            [
                                node with
                                {
                                    Outputs = [$"{node.Output}_raw"],
                                },
                                new Node("IsNaN", "", [$"{node.Output}_raw"], [$"{node.Output}_nan"]),
                                new Node("Where", "", [$"{node.Output}_nan", "nothing", $"{node.Output}_raw"], [node.Output]),
                            ]
                    ),
                ],
                Initializers = graph.InitializersWith([KeyValuePair.Create("nothing", Tensor.Scalar(0f))]),
            }
        );

        Assert.DoesNotContain(FusedOperators.Of(guarded.Graph).Points, point => point.EndsWith("_nan", StringComparison.Ordinal));
        var emulated = Npu(guarded);
        Assert.Empty(OnnxChecker.Check(emulated).Beyond(OnnxChecker.Check(guarded)).Findings);
        Assert.All(Scores(emulated).Zip(Scores(guarded)), pair => Assert.InRange(pair.First - pair.Second, -1, 1));
    }

    /// <summary>A table of words that is a projection's weight too, and is read with two scales.</summary>
    [Fact]
    public void Each_reader_of_a_shared_table_gets_numbers_of_its_own_scale()
    {
        var g = new GraphBuilder(14);
        var ids = g.Input("ids", ElementType.Int64, 2);
        var table = g.Constant(Tensor.Of<float>([4, 2], [1, -1, 0.5f, 0.25f, 0.01f, 0.02f, -0.03f, 0.04f]), "table");
        var (all, small) = (g.Node("Gather", [table, ids]), g.Node("Gather", [table, g.Constant(Tensor.Vector(2L, 3))]));
        var product = g.Node("Gemm", [g.Constant(Tensor.Of<float>([1, 2], [1, 2])), table], Attributes.Of("transB", 1L));
        var model = g.Build(all, small, product);

        var emulated = NpuEmulation.Build(
            model,
            FusedOperators.Of(model.Graph),
            new Dictionary<string, AffineParameters>
            {
                [all] = AffineParameters.Covering(-1, 1),
                [small] = AffineParameters.Covering(-0.04f, 0.04f),
            },
            method: QuantizationMethod.Channel
        );

        Close(all, 0.005f);
        Close(small, 0.0002f);
        Close(product, 0.02f);
        Assert.DoesNotContain(table, emulated.Graph.Initializers.Keys);

        void Close(string value, float tolerance) =>
            Assert.All(Run(model, value).Zip(Run(emulated, value)), pair => Assert.Equal(pair.First, pair.Second, tolerance));

        static float[] Run(OnnxModel model, string value) =>
            GraphBuilder.Run(model, value, Microsoft.ML.OnnxRuntime.OrtValue.CreateTensorValueFromMemory(new long[] { 0, 1 }, [2]));
    }

    [Fact]
    public void Method_layer_gives_each_weight_one_scale()
    {
        var (channel, layer) = (Npu(TinyReranker.Prepared), Npu(TinyReranker.Prepared, QuantizationMethod.Layer));

        var weights = WeightScales(layer).ToList();
        Assert.NotEmpty(weights);
        Assert.All(weights, scale => Assert.Equal(1, scale.Count));
        Assert.All(WeightScales(channel), scale => Assert.True(scale.Count > 1 || scale.Rank == 1));
        Assert.NotEqual(Scores(channel), Scores(layer));
        Assert.True(layer.ToBytes().Length < channel.ToBytes().Length);

        static IEnumerable<Tensor> WeightScales(OnnxModel model) =>
            model
                .Graph.Nodes.Where(node => node.OpType == "DequantizeLinear" && model.Graph.Initializers.ContainsKey(node.Inputs[0]))
                .Select(node => model.Graph.Initializers[node.Inputs[1]]);
    }

    [Fact]
    public void All_weights_of_the_sample_become_int8_and_that_is_said()
    {
        var cpu = Quantize(TinyReranker.Source).Share;

        Assert.Equal((1, cpu.Bytes), (cpu.Share, cpu.Int8Bytes));
        Assert.InRange(cpu.Bytes, 7_000_000, 7_540_000);
        Assert.StartsWith("100 % of 7.", cpu.ToString(), StringComparison.Ordinal);
        Assert.Equal(1, WeightShare.Of(TinyReranker.Prepared.Graph, Npu(TinyReranker.Prepared).Graph, new HashSet<string>()).Share);
    }

    [Fact]
    public void Weights_that_no_quantizer_reaches_are_an_error_that_names_them()
    {
        var graph = new GraphBuilder(14);
        var x = graph.FloatInput(1, 8, 64);
        var weight = graph.Constant(Tensor.Of([64, 128], new float[64 * 128]), "projection");
        var equation = new ModelPipeline.Onnx.Proto.AttributeProto
        {
            Name = "equation",
            S = Google.Protobuf.ByteString.CopyFromUtf8("bsh,ho->bso"),
            Type = ModelPipeline.Onnx.Proto.AttributeProto.Types.AttributeType.String,
        };
        var y = graph.Node(
            "MatMul",
            [graph.Node("Einsum", [x, weight], equation), graph.Constant(Tensor.Of([128, 64], new float[128 * 64]), "dense")]
        );

        var share = Quantize(graph.Build(y)).Share;

        Assert.Equal(0.5, share.Share);
        var message = Assert.Throws<PipelineException>(() => share.RequireEnough("cpu-int8")).Message;
        Assert.StartsWith(
            "cpu-int8: only 50 % of 0.066 MB of weights became int8 (at least 90 % are needed). In float stayed 'projection' [64,128] is "
                + "read by Einsum 'Einsum_0' in a way that is not quantized.",
            message,
            StringComparison.Ordinal
        );
    }

    private static CpuQuantization Quantize(OnnxModel model) =>
        CpuQuantizer.Quantize(model, new CpuQuantizationSettings(), TestContext.Current.CancellationToken);

    private static OnnxModel Cpu(OnnxModel model) => Quantize(model).Model;

    private static OnnxModel Npu(OnnxModel model, QuantizationMethod method = QuantizationMethod.Channel)
    {
        var fused = FusedOperators.Of(model.Graph);
        var ranges = ActivationRanges.Collect(
            model,
            fused.Points,
            QuantizationAlgorithm.Normal,
            [.. TinyReranker.CalibrationSamples.Take(8)],
            cancellation: TestContext.Current.CancellationToken
        );
        return NpuEmulation.Build(
            model,
            fused,
            ranges.ToDictionary(range => range.Key, range => AffineParameters.Covering(range.Value.Min, range.Value.Max)),
            method: method
        );
    }

    private static float[] Scores(OnnxModel model) => TinyReranker.Scores(model, Pairs, new RunSettings(FuseQdq: false));

    /// <summary>The last weight's product multiplied by a learned vector, which is called as the weight is, and more.</summary>
    private static OnnxModel WithFactor(string suffix)
    {
        var graph = TinyReranker.Prepared.Graph;
        var product = graph.Nodes.Last(node => node.OpType == "MatMul" && graph.Initializers.ContainsKey(node.Inputs[1]));
        var (factor, columns) = (product.Inputs[1] + suffix, (int)graph.Initializers[product.Inputs[1]].Shape[1]);
        return TinyReranker.Prepared.With(
            graph with
            {
                Nodes =
                [
                    .. graph.Nodes.SelectMany(node =>
                        node != product
                            ? (Node[])[node]
                            : [node with { Outputs = ["unscaled"] }, new Node("Mul", "", ["unscaled", factor], [product.Output])]
                    ),
                ],
                Initializers = graph.InitializersWith([
                    KeyValuePair.Create(factor, Tensor.Vector([.. Enumerable.Range(0, columns).Select(i => 0.5f + (i % 5 * 0.25f))])),
                ]),
            }
        );
    }
}
