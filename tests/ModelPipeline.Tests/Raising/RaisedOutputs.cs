using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Checking;
using ModelPipeline.Raising;
using ModelPipeline.Tests.Onnx;

namespace ModelPipeline.Tests.Raising;

/// <summary>Raises a small model and holds what ONNX Runtime makes of it against what it made of the source.</summary>
internal static class RaisedOutputs
{
    /// <summary>Numbers that look random and are the same each time, in [-1, 1].</summary>
    public static float[] Numbers(int count, int seed = 1) =>
        [.. Enumerable.Range(0, count).Select(i => MathF.Sin((i + 1) * (0.7f + seed)))];

    public static Tensor Matrix(int rows, int columns, int seed = 1) => Tensor.Of([rows, columns], Numbers(rows * columns, seed));

    public static RaisedModel Raise(OnnxModel model) => RaisedModel.Of(model, "model.onnx", TestContext.Current.CancellationToken);

    /// <summary>Raises; the output must stay within the tolerance, and nothing but sound standard operators may be left.</summary>
    public static RaisedModel AssertSame(OnnxModel model, string output, Func<OrtValue[]> inputs, float tolerance = 2e-5f)
    {
        var raised = Raise(model);
        Assert.All(raised.Model.Graph.Nodes, node => Assert.Equal("", node.Domain));
        Assert.InRange(raised.Model.Opset, 13, 19);
        Assert.Empty(OnnxChecker.Check(raised.Model).Findings);
        var (expected, actual) = (GraphBuilder.Run(model, output, inputs()), GraphBuilder.Run(raised.Model, output, inputs()));
        Assert.Equal(expected.Length, actual.Length);
        Assert.All(
            expected.Zip(actual),
            pair => Assert.InRange(MathF.Abs(pair.First - pair.Second), 0, tolerance * MathF.Max(1, MathF.Abs(pair.First)))
        );
        return raised;
    }

    public static OrtValue Floats(float[] values, params long[] shape) => OrtValue.CreateTensorValueFromMemory(values, shape);
}
