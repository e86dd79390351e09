using ModelPipeline.Inspection;
using ModelPipeline.Onnx;
using ModelPipeline.Tests.Onnx;
using Tensor = ModelPipeline.Onnx.Tensor;

namespace ModelPipeline.Tests.Inspection;

/// <summary>What is foreseen of a build with the toolkit.</summary>
public sealed class BuildRiskTests
{
    [Fact]
    public void A_prepared_model_has_nothing_to_look_at()
    {
        var foreseen = BuildRisks.Of(TinyReranker.Prepared, TinyReranker.Source);
        Assert.DoesNotContain(foreseen, finding => finding.IsWarning);
        Assert.Contains(foreseen, finding => finding.About == "vocabulary" && finding.Statement.StartsWith("8,000 rows of 128: 2.0 MB"));
        Assert.Contains(foreseen, finding => finding is { About: "positions" } && finding.Statement.EndsWith("has 256 rows"));
        Assert.Contains(foreseen, finding => finding.About == "opset");
    }

    [Theory]
    [InlineData("CumSum", "2.3.2 makes a custom operator of it that boards may not have")]
    [InlineData("IsNaN", "IsNaN will run on the CPU")]
    [InlineData("GatherElements", "both versions fail on DeBERTa's")]
    public void What_the_toolkit_does_badly_is_told(string op, string statement)
    {
        var g = new GraphBuilder();
        var x = g.FloatInput(1, 4);
        var y = op switch
        {
            "CumSum" => g.Node("CumSum", [x, g.Constant(Tensor.Scalar(1L))]),
            "IsNaN" => g.Node("IsNaN", [x]),
            _ => g.Node("GatherElements", [x, g.Constant(Tensor.Of([1, 4], new long[] { 0, 0, 0, 0 }))]),
        };
        Assert.Contains(Of(g.Build(y)), finding => finding.IsWarning && finding.Statement.Contains(statement));
    }

    [Fact]
    public void A_Gelu_that_is_halved_first_is_told_and_one_in_the_other_order_is_not()
    {
        Assert.Contains(Of(Gelu(halvedFirst: true)), finding => finding.Statement.Contains("the rewrite 'gelu-order' turns it"));
        Assert.DoesNotContain(Of(Gelu(halvedFirst: false)), finding => finding.Statement.Contains("gelu-order"));

        static OnnxModel Gelu(bool halvedFirst)
        {
            var g = new GraphBuilder();
            var x = g.FloatInput(1, 4);
            var sum = g.Node("Add", [g.Node("Erf", [g.Node("Div", [x, g.Scalar(1.4142135f)])]), g.Scalar(1)]);
            return halvedFirst
                ? g.Build(g.Node("Mul", [x, g.Node("Mul", [g.Scalar(0.5f), sum])]))
                : g.Build(g.Node("Mul", [g.Node("Mul", [x, sum]), g.Scalar(0.5f)]));
        }
    }

    [Fact]
    public void An_opset_that_the_toolkit_refuses_is_told()
    {
        var g = new GraphBuilder(opset: 20, irVersion: 9);
        Assert.Contains(Of(g.Build(g.Node("Abs", [g.FloatInput(1)]))), finding => finding is { About: "opset", IsWarning: true });
    }

    private static IReadOnlyList<Finding> Of(OnnxModel model) => BuildRisks.Of(model, model);
}
