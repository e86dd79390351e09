using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;
using ModelPipeline.Rewrites;
using Tensor = ModelPipeline.Onnx.Tensor;

namespace ModelPipeline.Tests.Onnx;

public sealed class PatternTests
{
    public static TheoryData<string> Families => FamilyFixtures.Rows;

    /// <summary>Norms, GELUs and two-layer GELU feed-forwards of a fixture; each has two layers of attention.</summary>
    private static (int Norms, int Gelus, int FeedForwards) Expected(string name) =>
        name.Split('/')[0] switch
        {
            "deberta" => (5, 3, 2),
            "modernbert" => (6, 3, 0),
            "jina" => (5, 2, 0),
            _ => (5, 2, 2),
        };

    [Theory]
    [MemberData(nameof(Families))]
    public void Every_part_of_a_family_is_found_as_exported_and_folded(string name)
    {
        FamilyFixtures.SkipIfMissing();
        var exported = FamilyFixtures.Load(name);
        var folded = Pass.Named("fold-shapes").Apply(PinShapes.Apply(exported, FamilyFixtures.Shape)).Model;

        foreach (var graph in new[] { exported.Graph, folded.Graph })
        {
            var found = PatternMatches.Of(graph);
            // DeBERTa's relative positions are normed once as constants, which fold.
            var norms = found.LayerNorms.Count(norm => !found.IsStatic(norm.Output));
            // ALBERT's layers share weights, which folding finds behind Identity nodes.
            Assert.Equal(
                Expected(name),
                (norms, found.Gelus.Count, graph == folded.Graph ? found.FeedForwards.Count : Expected(name).FeedForwards)
            );
            Assert.Equal(2, found.Attentions.Count);
            if (graph == folded.Graph)
                Assert.All(
                    found.Attentions,
                    attention =>
                        Assert.Equal(1, attention.Addends.Count(addend => DependsOnMaskAlone(addend.Value, graph)) + attention.Fills.Count)
                );
        }
    }

    private static bool DependsOnMaskAlone(string value, Graph graph)
    {
        var needed = DeadNodes
            .Apply(new OnnxModel { Graph = graph with { Outputs = [new ValueInfo(value, ElementType.Undefined, [])] }, Opset = 18 })
            .Model.Graph;
        var read = needed.Nodes.Where(node => node.OpType is not ("Shape" or "Size")).SelectMany(node => node.Inputs).ToHashSet();
        return read.Contains("attention_mask") && !read.Contains("input_ids");
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void A_written_out_norm_is_found_with_and_without_mean_and_bias(bool centered, bool withBias)
    {
        var g = new GraphBuilder();
        var x = g.FloatInput(1, 4, 8);
        var last = Attributes.Of("axes", [-1L]);
        var value = centered ? g.Node("Sub", [x, g.Node("ReduceMean", [x], last)]) : x;
        var variance = g.Node("ReduceMean", [g.Node("Pow", [value, g.Scalar(2)])], last);
        var deviation = g.Node("Sqrt", [g.Node("Add", [variance, g.Scalar(1e-5f)])]);
        var y = g.Node("Mul", [g.Node("Div", [value, deviation]), g.Constant(Tensor.Vector(1f, 2, 3, 4, 5, 6, 7, 8), "scale")]);
        if (withBias)
            y = g.Node("Add", [y, g.Constant(Tensor.Vector(0f, 0, 0, 0, 0, 0, 0, 1), "bias")]);

        var norm = Assert.Single(PatternMatches.Of(g.Build(y).Graph).LayerNorms);

        Assert.Equal(
            (x, y, "scale", withBias ? "bias" : null, 1e-5f, centered),
            (norm.Input, norm.Output, norm.Scale, norm.Bias, norm.Epsilon, norm.Centered)
        );
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_norm_by_the_inverse_deviation_is_found(bool byReciprocal)
    {
        var g = new GraphBuilder();
        var x = g.FloatInput(1, 4, 2);
        var variance = g.Node("ReduceMean", [g.Node("Mul", [x, x])], Attributes.Of("axes", [-1L]));
        var deviation = g.Node("Sqrt", [g.Node("Add", [g.Scalar(1e-6f), variance])]);
        var inverse = byReciprocal ? g.Node("Reciprocal", [deviation]) : g.Node("Div", [g.Scalar(1), deviation]);
        var y = g.Node("Mul", [g.Constant(Tensor.Vector(1f, 2), "scale"), g.Node("Mul", [x, inverse])]);

        Assert.Equal(
            (y, false),
            (
                Assert.Single(PatternMatches.Of(g.Build(y).Graph).LayerNorms).Output,
                PatternMatches.Of(g.Build(y).Graph).LayerNorms[0].Centered
            )
        );
    }

    [Theory]
    [InlineData("x first")]
    [InlineData("half first")]
    [InlineData("x halved")]
    public void A_gelu_is_found_in_every_order_of_its_factors(string order)
    {
        var g = new GraphBuilder();
        var x = g.FloatInput(1, 8);
        var plusOne = g.Node("Add", [g.Node("Erf", [g.Node("Div", [x, g.Scalar(MathF.Sqrt(2))])]), g.Scalar(1)]);
        var y = order switch
        {
            "x first" => g.Node("Mul", [g.Node("Mul", [x, plusOne]), g.Scalar(0.5f)]),
            "half first" => g.Node("Mul", [x, g.Node("Mul", [g.Scalar(0.5f), plusOne])]),
            _ => g.Node("Mul", [g.Node("Mul", [x, g.Scalar(0.5f)]), plusOne]),
        };
        var model = g.Build(y);

        var gelu = Assert.Single(PatternMatches.Of(model.Graph).Gelus);
        var ordered = Pass.Named("gelu-order").Apply(model);

        Assert.Equal((GeluForm.Erf, x, y), (gelu.Form, gelu.Input, gelu.Output));
        Assert.Equal(order != "x first", ordered.Matches.Count > 0);
        Assert.Equal(0, new Proof(model, []).Shift(ordered.Model), 1e-6);
        Assert.Empty(Pass.Named("gelu-order").Apply(ordered.Model).Matches);
    }

    [Fact]
    public void A_product_that_is_no_gelu_is_none()
    {
        var g = new GraphBuilder();
        var x = g.FloatInput(1, 8);
        var plusOne = g.Node("Add", [g.Node("Erf", [g.Node("Div", [x, g.Scalar(2)])]), g.Scalar(1)]);
        Assert.Empty(PatternMatches.Of(g.Build(g.Node("Mul", [g.Node("Mul", [x, plusOne]), g.Scalar(0.5f)])).Graph).Gelus);
    }

    [Fact]
    public void A_Gemm_is_a_projection_unless_it_has_factors()
    {
        var g = new GraphBuilder();
        var x = g.FloatInput(2, 3);
        var (weight, bias) = (g.Constant(Tensor.Of<float>([4, 3], new float[12]), "w"), g.Constant(Tensor.Vector(1f, 2, 3, 4), "b"));
        var plain = g.Node("Gemm", [x, weight, bias], Attributes.Of("transB", 1));
        var scaled = g.Node("Gemm", [x, weight, bias], Attributes.Of("transB", 1), Attributes.Of("alpha", 2f));

        var linear = Assert.Single(PatternMatches.Of(g.Build(plain, scaled).Graph).Linears);

        Assert.Equal(
            (plain, "w", "b", 3, 4, true),
            (linear.Output, linear.WeightName, linear.BiasName, linear.Inputs, linear.Outputs, linear.Transposed)
        );
    }

    [Theory]
    [InlineData("nothing", true)]
    [InlineData("one number", true)]
    [InlineData("a vector", true)]
    [InlineData("a row", true)]
    [InlineData("a number a row", false)]
    [InlineData("as many numbers as outputs, one a row", false)]
    [InlineData("an activation", false)]
    public void A_Gemm_is_a_projection_only_if_it_adds_a_constant_to_each_output(string added, bool isProjection)
    {
        var g = new GraphBuilder();
        var x = g.FloatInput(added.StartsWith("as many", StringComparison.Ordinal) ? 4 : 2, 3);
        var bias = added switch
        {
            "nothing" => "",
            "one number" => g.Scalar(1),
            "a vector" => g.Constant(Tensor.Vector(1f, 2, 3, 4)),
            "a row" => g.Constant(Tensor.Of<float>([1, 4], [1, 2, 3, 4])),
            "a number a row" => g.Constant(Tensor.Of<float>([2, 1], [1, 2])),
            "an activation" => g.FloatInput(2, 4),
            _ => g.Constant(Tensor.Of<float>([4, 1], [1, 2, 3, 4])),
        };
        var model = g.Build(g.Node("Gemm", [x, g.Constant(Tensor.Of<float>([3, 4], new float[12])), bias]));

        var linears = PatternMatches.Of(model.Graph).Linears;

        Assert.Equal(isProjection ? 1 : 0, linears.Count);
        Assert.All(
            linears,
            linear => Assert.Equal(bias.Length == 0 ? null : linear.Outputs, new Editing(model, "test").Bias(linear)?.Length)
        );
    }

    [Theory]
    [InlineData(-1, "vector", true)]
    [InlineData(2, "vector", true)]
    [InlineData(1, "vector", false)]
    [InlineData(-2, "vector", false)]
    [InlineData(-1, "row", false)]
    [InlineData(-1, "activation", false)]
    public void The_operator_is_a_norm_of_the_last_axis_with_constants_alone(long axis, string scale, bool isNorm)
    {
        var g = new GraphBuilder();
        // Its rank follows from the inputs.
        var x = g.Node("Relu", [g.FloatInput(new(null, "batch"), new(null, "sequence"), 4)]);
        var factors = scale switch
        {
            "vector" => g.Constant(Tensor.Vector(1f, 2, 3, 4)),
            "row" => g.Constant(Tensor.Of<float>([1, 4], [1, 2, 3, 4])),
            _ => g.FloatInput(4),
        };
        var bias = g.Constant(Tensor.Vector(1f, 2, 3, 4));

        Assert.Equal(isNorm ? 1 : 0, Norms([factors]));
        Assert.Equal(isNorm ? 1 : 0, Norms([factors, bias]));
        Assert.Equal(isNorm ? 1 : 0, Norms([bias, factors]));

        int Norms(string[] constants) =>
            PatternMatches
                .Of(g.Build(g.Node("LayerNormalization", [x, .. constants], Attributes.Of("axis", axis))).Graph)
                .LayerNorms.Count(norm => norm.Output == norm.Nodes[^1].Output && norm.Nodes[0].Inputs.Skip(1).SequenceEqual(constants));
    }

    [Fact]
    public void A_graph_of_nothing_but_sums_ends_soon()
    {
        var g = new GraphBuilder();
        var x = g.FloatInput(1, 4, 4);
        for (var i = 0; i < 2000; i++)
            x = g.Node("Add", [x, x]);
        var model = g.Build(g.Node("Softmax", [x]));

        Assert.Empty(PatternMatches.Of(model.Graph).Attentions);
    }
}
