using ModelPipeline.Core;
using ModelPipeline.Inspection;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Proto;
using ModelPipeline.Tests.Onnx;
using Tensor = ModelPipeline.Onnx.Tensor;

namespace ModelPipeline.Tests.Inspection;

public sealed class WeightCheckTests
{
    /// <summary>Of an If, of one within its branch, as initializer and as Constant; whichever branch runs.</summary>
    [Theory]
    [InlineData("then_branch", false, false)]
    [InlineData("else_branch", false, true)]
    [InlineData("else_branch", true, false)]
    [InlineData("then_branch", true, true)]
    public void A_weight_that_is_no_number_is_found_in_a_branch(string name, bool nested, bool isConstant)
    {
        var odd = Tensor.Vector(1f, float.NaN);
        var branch = new GraphProto { Name = "branch" };
        if (isConstant)
            branch.Node.Add(
                new NodeProto
                {
                    OpType = "Constant",
                    Output = { "odd" },
                    Attribute = { Attributes.Of("value", odd) },
                }
            );
        else
            branch.Initializer.Add(Named(odd));
        if (nested)
            branch = new GraphProto
            {
                Name = "around",
                Node =
                {
                    new NodeProto
                    {
                        OpType = "If",
                        Output = { "inner" },
                        Attribute = { Branch("then_branch", branch) },
                    },
                },
            };
        var graph = new GraphBuilder();
        var model = graph.Build(graph.Node("If", [graph.Constant(Tensor.Scalar(true))], Branch(name, branch)));
        var notes = new InspectionNotes();

        WeightCheck.Run(model.Graph, notes);

        Assert.Contains(
            "m: initializer 'odd' [2] has 1 NaN among its 2 values, the first at index 1",
            Assert.Throws<PipelineException>(() => notes.ThrowIfAny("m")).Message
        );
    }

    private static TensorProto Named(Tensor value)
    {
        var proto = OnnxWriter.ToProto(value);
        proto.Name = "odd";
        return proto;
    }

    private static AttributeProto Branch(string name, GraphProto content) =>
        new()
        {
            Name = name,
            G = content,
            Type = AttributeProto.Types.AttributeType.Graph,
        };
}
