using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Proto;
using ModelPipeline.Rewrites;
using ModelPipeline.Tests.Onnx;
using Tensor = ModelPipeline.Onnx.Tensor;

namespace ModelPipeline.Tests.Rewrites;

public sealed class AttentionMaskTests
{
    private static readonly long[] Mask = [1, 1, 1, 0];
    private static readonly float[] Scores = [2, -1, 0.5f, 3, -4, 1, 2, 2, 0, 7, -7, 1, 1, 1, 1, 1];
    private static readonly long[] ScoresShape = [1, 1, 4, 4];

    private static AttributeProto To(ElementType type) => Attributes.Of("to", (long)type);

    private static AttributeProto LastAxis => Attributes.Of("axis", -1L);

    /// <summary>Every usual way in which exports put a padding mask [1,4] over attention scores [1,1,4,4].</summary>
    private static readonly Dictionary<string, Func<GraphBuilder, string>> Exports = new()
    {
        ["(1 - mask) * lowest float"] = g => Masked(g, g.Node("Mul", [Inverted(g), g.Scalar(float.MinValue)])),
        ["(1 - mask) * -10000"] = g => Masked(g, g.Node("Mul", [Inverted(g), g.Scalar(-10000)])),
        ["-1e9 * (1 - mask), constant first"] = g => Masked(g, g.Node("Mul", [g.Scalar(-1e9f), Inverted(g)])),
        ["constant node"] = g =>
            Masked(g, g.Node("Mul", [Inverted(g), g.Node("Constant", [], Attributes.Of("value", Tensor.Scalar(-10000f)))])),
        ["constant node of one float"] = g =>
            Masked(g, g.Node("Mul", [Inverted(g), g.Node("Constant", [], Attributes.Of("value_float", -10000f))])),
        ["Where(mask, 0, -inf)"] = g => Masked(g, g.Node("Where", [Kept(g), g.Scalar(0), g.Scalar(float.NegativeInfinity)])),
        ["And with a causal mask of ones, Not, Where(not, -inf, 0)"] = g =>
            Masked(
                g,
                g.Node(
                    "Where",
                    [
                        g.Node(
                            "Not",
                            [g.Node("And", [Kept(g), g.Constant(Tensor.Of<bool>([1, 1, 4, 4], [.. Enumerable.Repeat(true, 16)]))])]
                        ),
                        g.Scalar(float.NegativeInfinity),
                        g.Scalar(0),
                    ]
                )
            ),
        ["Where(mask, scores, -1e9)"] = g => Softmax(g, g.Node("Where", [Kept(g), ScoresOf(g), g.Scalar(-1e9f)])),
        ["Where(mask, scores, a number for each of them)"] = g =>
            Softmax(
                g,
                g.Node("Where", [Kept(g), ScoresOf(g), g.Constant(Tensor.Of<float>([1, 1, 4, 4], [.. Enumerable.Repeat(-1e9f, 16)]))])
            ),
        ["Where(mask, scores, a number spread over them)"] = g =>
            Softmax(
                g,
                g.Node("Where", [Kept(g), ScoresOf(g), g.Node("Expand", [g.Scalar(-1e9f), g.Constant(Tensor.Vector(1L, 1, 4, 4))])])
            ),
        ["masked_fill over an expanded constant"] = g =>
            Masked(
                g,
                g.Node(
                    "Where",
                    [
                        Kept(g),
                        g.Node("ConstantOfShape", [g.Constant(Tensor.Vector(1L, 1, 4, 4))], Attributes.Of("value", Tensor.Vector(0f))),
                        g.Node(
                            "ConstantOfShape",
                            [g.Constant(Tensor.Vector(1L, 1, 4, 4))],
                            Attributes.Of("value", Tensor.Vector(float.MinValue))
                        ),
                    ]
                )
            ),
        ["a mask folded into a constant"] = g => Masked(g, g.Constant(Tensor.Of<float>([1, 1, 1, 4], [0, 0, 0, float.MinValue]))),
        ["the larger of sum and bound"] = g =>
            Softmax(
                g,
                g.Node("Max", [g.Node("Add", [ScoresOf(g), g.Node("Mul", [Inverted(g), g.Scalar(-10000)])]), g.Scalar(float.MinValue)])
            ),
        ["(mask - 1) * 1e12"] = g =>
            Masked(
                g,
                g.Node("Mul", [g.Node("Sub", [g.Node("Cast", [MaskInput(g)], To(ElementType.Float)), g.Scalar(1)]), g.Scalar(1e12f)])
            ),
        ["(1 - mask) * -9999"] = g => Masked(g, g.Node("Mul", [Inverted(g), g.Scalar(-9999)])),
        ["scores - (1 - mask) * 1e4"] = g => Softmax(g, g.Node("Sub", [ScoresOf(g), g.Node("Mul", [Inverted(g), g.Scalar(1e4f)])])),
        ["Neg of a huge number"] = g => Masked(g, g.Node("Neg", [g.Node("Mul", [Inverted(g), g.Scalar(1e9f)])])),
        ["log of the mask"] = g => Masked(g, g.Node("Log", [g.Node("Cast", [MaskInput(g)], To(ElementType.Float))])),
        ["(1 - mask) / -1e-8"] = g => Masked(g, g.Node("Div", [Inverted(g), g.Scalar(-1e-8f)])),
        ["a mask before the scale"] = g =>
            Softmax(g, g.Node("Div", [g.Node("Add", [ScoresOf(g), g.Node("Mul", [Inverted(g), g.Scalar(-1e9f)])]), g.Scalar(8)])),
        ["a mask before the scale, by choice"] = g =>
            Softmax(g, g.Node("Mul", [g.Node("Where", [Kept(g), ScoresOf(g), g.Scalar(-1e9f)]), g.Scalar(0.125f)])),
        ["a window, and what is no padding"] = g =>
            Masked(
                g,
                g.Node(
                    "Where",
                    [
                        g.Node(
                            "And",
                            [
                                Kept(g),
                                g.Constant(
                                    Tensor.Of<bool>([1, 1, 4, 4], [.. Enumerable.Range(0, 16).Select(i => Math.Abs((i / 4) - (i % 4)) < 2)])
                                ),
                            ]
                        ),
                        g.Scalar(0),
                        g.Scalar(float.MinValue),
                    ]
                )
            ),
        ["scores from q and k scaled before their product"] = g =>
        {
            var root = g.Scalar(MathF.Sqrt(MathF.Sqrt(1 / 8f)));
            var q = g.Node("Mul", [g.Constant(Tensor.Of<float>([1, 1, 4, 2], [1, 2, 3, 4, -1, 0, 2, 2])), root]);
            var k = g.Node("Mul", [g.Constant(Tensor.Of<float>([1, 1, 2, 4], [1, 0, 2, -3, 1, 1, 0, 2])), root]);
            return Softmax(
                g,
                g.Node("Add", [g.Node("MatMul", [q, k]), g.Node("Where", [Kept(g), g.Scalar(0), g.Scalar(float.NegativeInfinity)])])
            );
        },
    };

    public static TheoryData<string> ExportNames => [.. Exports.Keys];

    private static string MaskInput(GraphBuilder g) =>
        g.Node("Unsqueeze", [g.Input("attention_mask", ElementType.Int64, 1, 4), g.Constant(Tensor.Vector(1L, 2))]);

    private static string Inverted(GraphBuilder g) => g.Node("Sub", [g.Scalar(1), g.Node("Cast", [MaskInput(g)], To(ElementType.Float))]);

    private static string Kept(GraphBuilder g) => g.Node("Cast", [MaskInput(g)], To(ElementType.Bool));

    private static string ScoresOf(GraphBuilder g) =>
        g.Node("Div", [g.Constant(Tensor.Of<float>(ScoresShape, Scores)), g.Scalar(MathF.Sqrt(2))]);

    private static string Masked(GraphBuilder g, string mask) => Softmax(g, g.Node("Add", [ScoresOf(g), mask]));

    private static string Softmax(GraphBuilder g, string scores) => g.Node("Softmax", [scores], LastAxis);

    [Theory]
    [MemberData(nameof(ExportNames))]
    public void The_constant_of_every_usual_export_becomes_minus_30_and_the_probabilities_stay(string export)
    {
        var builder = new GraphBuilder();
        var output = Exports[export](builder);
        var model = builder.Build(output);

        var rewritten = Pass.Named("mask").Apply(model);

        Assert.Contains("-> -30", Assert.Single(rewritten.Matches));
        Assert.Empty(rewritten.Warnings);
        var (before, after) = (Probabilities(model, output), Probabilities(rewritten.Model, output));
        Assert.All(before.Zip(after), pair => Assert.Equal(pair.First, pair.Second, 1e-6));
        Assert.Empty(Pass.Named("mask").Apply(rewritten.Model).Matches);
        Assert.Equal(rewritten.Model.ToBytes(), Pass.Named("mask").Apply(model).Model.ToBytes());
    }

    private static float[] Probabilities(OnnxModel model, string output) =>
        GraphBuilder.Run(model, output, [.. model.Graph.Inputs.Select(_ => OrtValue.CreateTensorValueFromMemory(Mask, [1, 4]))]);

    [Fact]
    public void A_mask_that_is_not_understood_is_warned_of()
    {
        var g = new GraphBuilder();
        var mask = g.Node("Cast", [MaskInput(g)], To(ElementType.Float));
        var model = g.Build(Softmax(g, g.Node("Add", [ScoresOf(g), g.Node("Mul", [mask, g.Scalar(1e4f)])])));

        var rewritten = Pass.Named("mask").Apply(model);

        Assert.Empty(rewritten.Matches);
        Assert.Contains("a Softmax reads the attention mask at Add_", Assert.Single(rewritten.Warnings));
    }

    [Fact]
    public void Scores_that_range_wider_than_30_take_a_mask_of_minus_100()
    {
        var g = new GraphBuilder();
        var wide = g.Node("Mul", [ScoresOf(g), g.Scalar(-8)]);
        var model = g.Build(Softmax(g, g.Node("Add", [wide, g.Node("Mul", [Inverted(g), g.Scalar(-10000)])])));

        var rewritten = Pass.Named("mask").Apply(model);

        Assert.Contains("-> -100", Assert.Single(rewritten.Matches));
        Assert.Empty(Pass.Named("mask").Apply(rewritten.Model).Matches);
    }

    [Fact]
    public void The_constant_of_a_float16_export_becomes_minus_30()
    {
        var g = new GraphBuilder();
        var mask = g.Node(
            "Mul",
            [
                g.Node("Sub", [g.Constant(Tensor.Scalar((Half)1)), g.Node("Cast", [MaskInput(g)], To(ElementType.Float16))]),
                g.Constant(Tensor.Scalar(Half.MinValue), "lowest"),
            ]
        );
        var output = Softmax(g, g.Node("Add", [g.Constant(Tensor.Of<Half>(ScoresShape, [.. Scores.Select(score => (Half)score)])), mask]));
        var model = g.Build(output);

        var rewritten = Pass.Named("mask").Apply(model);

        Assert.Equal("lowest (-6.55e+4) read by Mul Mul_3 -> -30", Assert.Single(rewritten.Matches));
        Assert.Equal((Half)(-30), rewritten.Model.Graph.Initializers["lowest"].Span<Half>()[0]);
        Assert.Equal(Probabilities(model, output), Probabilities(rewritten.Model, output));
    }

    /// <summary>Graphs with numbers beyond 1e4 that mask no attention.</summary>
    private static readonly Dictionary<string, Func<GraphBuilder, string>> Others = new()
    {
        ["max pooling over masked tokens"] = g =>
            g.Node("ReduceMax", [g.Node("Where", [Kept(g), ScoresOf(g), g.Scalar(-1e5f)])], Attributes.Of("axes", [3L])),
        ["mean pooling"] = g =>
            g.Node(
                "ReduceMean",
                [g.Node("Add", [ScoresOf(g), g.Node("Mul", [Inverted(g), g.Scalar(-1e5f)])])],
                Attributes.Of("axes", [3L])
            ),
        ["huge positive constants"] = g => Softmax(g, g.Node("Add", [ScoresOf(g), g.Scalar(1e9f)])),
        ["a divisor"] = g => Softmax(g, g.Node("Div", [ScoresOf(g), g.Scalar(-1e5f)])),
        ["a bound of the scores"] = g => Softmax(g, g.Node("Max", [ScoresOf(g), g.Scalar(float.MinValue)])),
        ["a constant that is not so large"] = g => Softmax(g, g.Node("Add", [ScoresOf(g), g.Scalar(-9999)])),
        ["masked scores that are an output too"] = g => g.Node("Add", [ScoresOf(g), g.Node("Mul", [Inverted(g), g.Scalar(-10000)])]),
    };

    public static TheoryData<string> OtherNames => [.. Others.Keys];

    [Theory]
    [MemberData(nameof(OtherNames))]
    public void A_constant_that_masks_no_attention_stays(string graph)
    {
        var g = new GraphBuilder();
        var output = Others[graph](g);
        if (graph.StartsWith("masked"))
            Softmax(g, output);

        var model = g.Build(output);

        Assert.Same(model, Pass.Named("mask").Apply(model).Model);
    }

    [Fact]
    public void A_constant_shared_with_pooling_keeps_its_value_there()
    {
        var g = new GraphBuilder();
        var lowest = g.Constant(Tensor.Scalar(-1e5f), "lowest");
        var kept = Kept(g);
        var probabilities = Softmax(g, g.Node("Where", [kept, ScoresOf(g), lowest]));
        var pooled = g.Node("ReduceMax", [g.Node("Where", [kept, ScoresOf(g), lowest])], Attributes.Of("axes", [2L]));
        var model = g.Build(probabilities, pooled);

        var rewritten = Pass.Named("mask").Apply(model).Model;

        Assert.Equal(-30, rewritten.Graph.Initializers["mask_value"].SingleFloat());
        Assert.Equal(-1e5f, rewritten.Graph.Initializers["lowest"].SingleFloat());
        Assert.Equal(Probabilities(model, pooled), Probabilities(rewritten, pooled));
        Assert.Same(rewritten, Pass.Named("mask").Apply(rewritten).Model);
    }

    [Fact]
    public void The_sample_model_has_one_mask_constant()
    {
        Assert.Equal(
            "/Constant_4_output_0 (-3.403e+38) read by Mul /Mul -> -30",
            Assert.Single(Pass.Named("mask").Apply(TinyReranker.Unmasked).Matches)
        );
        Assert.Single(Pass.Named("mask").Apply(TinyReranker.Source).Matches);
    }
}
