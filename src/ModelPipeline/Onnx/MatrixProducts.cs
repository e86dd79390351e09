using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Onnx.Proto;

namespace ModelPipeline.Onnx;

/// <summary>Products of matrices in fp32, by ONNX Runtime on one thread: safe to use from several.</summary>
internal sealed class MatrixProducts : IDisposable
{
    private readonly InferenceSession session = InferenceSessions.Open(
        new OnnxModel
        {
            Graph = new Graph
            {
                Name = "product",
                Inputs = [Matrix("left"), Matrix("right")],
                Outputs = [Matrix("product")],
                Nodes = [new Node("MatMul", "product", ["left", "right"], ["product"])],
                Initializers = [],
            },
            Opset = Opset,
            Header = new ModelProto { IrVersion = 7, OpsetImport = { new OperatorSetIdProto { Version = Opset } } },
        },
        new RunSettings(Threads: 1)
    );

    private const int Opset = 13;

    /// <param name="left">[rows, <paramref name="inner"/>], row after row.</param>
    /// <param name="right">[<paramref name="inner"/>, columns], likewise.</param>
    /// <param name="inner">At least 1; divides both lengths.</param>
    /// <returns>[rows, columns].</returns>
    public float[] Of(float[] left, float[] right, int inner)
    {
        using var product = session.Run(
            [
                OrtValue.CreateTensorValueFromMemory(left, [left.Length / inner, inner]),
                OrtValue.CreateTensorValueFromMemory(right, [inner, right.Length / inner]),
            ],
            ["product"]
        );
        return product[0].GetTensorDataAsSpan<float>().ToArray();
    }

    public void Dispose() => session.Dispose();

    private static ValueInfo Matrix(string name) => new(name, ElementType.Float, [new(null, null), new(null, null)]);
}
