using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Proto;
using ModelPipeline.Tests.Onnx;
using static ModelPipeline.Onnx.Proto.AttributeProto.Types;
using static ModelPipeline.Tests.Raising.RaisedOutputs;
using Tensor = ModelPipeline.Onnx.Tensor;

namespace ModelPipeline.Tests.Raising;

/// <summary>Operators of older and newer operator sets against what stands for them between 13 and 19.</summary>
public sealed class OperatorSetTests
{
    private static Func<OrtValue[]> Cube => () => [Floats(Numbers(2 * 3 * 4), 2, 3, 4)];

    private static AttributeProto[] Old(string op) =>
        op switch
        {
            "Slice" => [Attributes.Of("starts", 0L, 1L), Attributes.Of("ends", 2L, 3L), Attributes.Of("axes", 0L, 2L)],
            "Clip" => [Attributes.Of("min", -0.5f), Attributes.Of("max", 0.25f)],
            "Pad" => [Attributes.Of("pads", 0L, 1L, 0L, 0L, 0L, 2L), Attributes.Of("value", 0.5f)],
            "Dropout" => [Attributes.Of("ratio", 0.1f)],
            "Softmax" or "LogSoftmax" => [],
            "ReduceSum" => [Attributes.Of("axes", [1L]), Attributes.Of("keepdims", 0L)],
            "Unsqueeze" => [Attributes.Of("axes", 1L, 3L)],
            _ => throw new ArgumentException(op),
        };

    [Theory]
    [InlineData("Slice", 9)]
    [InlineData("Clip", 7)]
    [InlineData("Clip", 10)]
    [InlineData("Pad", 10)]
    [InlineData("Dropout", 11)]
    [InlineData("Softmax", 11)]
    [InlineData("LogSoftmax", 12)]
    [InlineData("ReduceSum", 12)]
    [InlineData("Unsqueeze", 11)]
    public void What_changed_means_what_it_meant(string op, int opset)
    {
        var graph = new GraphBuilder(opset, irVersion: 4);
        var y = graph.Node(op, [graph.FloatInput(2, 3, 4)], Old(op));

        var raised = AssertSame(graph.Build(y), y, Cube);

        Assert.Equal(13, raised.Model.Opset);
        Assert.StartsWith($"opset {opset} -> 13", raised.Steps.Single(step => step.Name == "opset").Matches[0], StringComparison.Ordinal);
    }

    /// <summary>Over the last axis, over the last two joined, and where the rank is not known.</summary>
    [Theory]
    [InlineData(2L, true, 1)]
    [InlineData(-1L, false, 1)]
    [InlineData(1L, true, 3)]
    [InlineData(2L, false, 3)]
    public void Softmax_over_axes_that_were_one(long axis, bool rankIsKnown, int softmaxNodes)
    {
        var graph = new GraphBuilder(11, irVersion: 6);
        var x = graph.FloatInput(2, 3, 4);
        var shape = rankIsKnown
            ? graph.Constant(Tensor.Vector(2L, 3L, 4L))
            : graph.Input("shape", ElementType.Int64, new Dimension(null, "rank"));
        var y = graph.Node("Softmax", [graph.Node("Reshape", [x, shape])], Attributes.Of("axis", axis));

        var raised = AssertSame(
            graph.Build(y),
            y,
            () => rankIsKnown ? Cube() : [.. Cube(), OrtValue.CreateTensorValueFromMemory(new[] { 2L, 3L, 4L }, [3])]
        );

        Assert.Equal(softmaxNodes > 1, raised.Model.Graph.Nodes.Any(node => node.OpType == "Flatten"));
    }

    [Fact]
    public void Parts_of_a_split()
    {
        var graph = new GraphBuilder(11, irVersion: 6);
        var parts = graph.Nodes("Split", [graph.FloatInput(2, 3, 4)], 2, "", Attributes.Of("axis", 2L), Attributes.Of("split", 1L, 3L));

        AssertSame(graph.Build(parts[1]), parts[1], Cube);
    }

    [Fact]
    public void An_operator_that_cannot_be_raised_is_named()
    {
        var graph = new GraphBuilder(9, irVersion: 4);
        var model = graph.Build(graph.Node("Upsample", [graph.FloatInput(1, 1, 4, 4), graph.Constant(Tensor.Vector(1f, 1f, 2f, 2f))]));

        var message = Assert.Throws<PipelineException>(() => Raise(model)).Message;
        Assert.Equal(
            "model.onnx: test: opset 9 cannot be brought to 13, because of Upsample; export it at opset 13 to 19 (14 and 17 are usual)",
            message
        );
    }

    [Theory]
    [InlineData("none", 9)]
    [InlineData("tanh", 9)]
    [InlineData("none", 7)] // as onnx.version_converter leaves it
    public void Gelu_of_opset_20(string approximate, int irVersion)
    {
        var graph = new GraphBuilder(20, irVersion);
        var y = graph.Node(
            "Gelu",
            [graph.FloatInput(2, 3, 4)],
            new AttributeProto
            {
                Name = "approximate",
                S = Google.Protobuf.ByteString.CopyFromUtf8(approximate),
                Type = AttributeType.String,
            }
        );

        Assert.Equal(19, AssertSame(graph.Build(y), y, Cube).Model.Opset);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Attention_of_opset_23(bool booleans)
    {
        var graph = new GraphBuilder(23, irVersion: 10);
        var x = graph.FloatInput(1, 2, 3, 4);
        bool[] open = [true, true, false];
        var mask = booleans ? graph.Constant(Tensor.Of([1, 1, 1, 3], open)) : graph.Constant(Tensor.Of([1, 1, 1, 3], [0f, 0f, -1000f]));
        var y = graph.Node("Attention", [x, x, x, graph.Node("Expand", [mask, graph.Constant(Tensor.Vector(1L, 2L, 3L, 3L))])]);

        AssertSame(graph.Build(y), y, () => [Floats(Numbers(24), 1, 2, 3, 4)]);
    }

    [Fact]
    public void A_model_in_the_range_is_left_as_it_is()
    {
        var raised = Raise(TinyReranker.Source);

        Assert.Same(TinyReranker.Source, raised.Model);
        Assert.Empty(raised.Steps);
    }
}
