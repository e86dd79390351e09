using System.Text;

namespace ModelPipeline.Tests.Npu;

/// <summary>Small ONNX models written as protobuf bytes; field numbers are those of onnx.proto.</summary>
internal static class OnnxBytes
{
    private const long Float = 1,
        Int8 = 3,
        Int64 = 7;

    /// <summary>logits[1,1] = sum of ids[1,S].</summary>
    public static byte[] Sum(int sequence) =>
        Model(14, Cast("ids", "x"), Node("ReduceSum", ["x"], "logits"), Input("ids", 1, sequence), Output("logits", 1, 1));

    /// <summary><paramref name="steps"/> products of 512 x 512 matrices, some milliseconds each.</summary>
    public static byte[] Slow(int steps) =>
        Model(
            14,
            [
                Cast("ids", "x"),
                Node("MatMul", ["column", "x"], "m0"),
                Zeros("column", 512, 1),
                Zeros("w", 512, 512),
                .. Enumerable.Range(0, steps).Select(i => Node("MatMul", [$"m{i}", "w"], i + 1 == steps ? "logits" : $"m{i + 1}")),
                Input("ids", 1, 512),
                Output("logits", 512, 512),
            ]
        );

    /// <summary>logits[1,N] = QDQ(QDQ(ids[1,S]) * (weight * weightScale)), per tensor: the shape of one quantized layer.</summary>
    public static byte[] QuantizedLayer(sbyte[,] weight, float inputScale, float weightScale, float outputScale) =>
        Model(
            14,
            Cast("ids", "x"),
            Node("QuantizeLinear", ["x", "sx", "z"], "xq"),
            Node("DequantizeLinear", ["xq", "sx", "z"], "xd"),
            Node("DequantizeLinear", ["wq", "sw", "z"], "wd"),
            Node("MatMul", ["xd", "wd"], "y"),
            Node("QuantizeLinear", ["y", "sy", "z"], "yq"),
            Node("DequantizeLinear", ["yq", "sy", "z"], "logits"),
            Tensor("wq", Int8, [.. weight.Cast<sbyte>().Select(value => (byte)value)], weight.GetLength(0), weight.GetLength(1)),
            Tensor("z", Int8, [0]),
            Scalar("sx", inputScale),
            Scalar("sw", weightScale),
            Scalar("sy", outputScale),
            Input("ids", 1, weight.GetLength(0)),
            Output("logits", 1, weight.GetLength(1))
        );

    private static byte[] Model(long opset, params byte[][] parts) =>
        [
            .. Field(1, 8),
            .. Field(8, [.. Field(1, ""), .. Field(2, opset)]),
            .. Field(7, [.. Field(2, "g"), .. parts.SelectMany(part => part)]),
        ];

    private static byte[] Node(string op, string[] inputs, string output, params byte[] attributes) =>
        Field(1, [.. inputs.SelectMany(input => Field(1, input)), .. Field(2, output), .. Field(4, op), .. attributes]);

    private static byte[] Cast(string input, string output) =>
        Node("Cast", [input], output, Field(5, [.. Field(1, "to"), .. Field(3, Float), .. Field(20, 2)]));

    private static byte[] Tensor(string name, long type, byte[] data, params long[] dims) =>
        Field(5, [.. dims.SelectMany(dim => Field(1, dim)), .. Field(2, type), .. Field(8, name), .. Field(9, data)]);

    private static byte[] Zeros(string name, int rows, int columns) =>
        Tensor(name, Float, new byte[rows * columns * sizeof(float)], rows, columns);

    private static byte[] Scalar(string name, float value) => Tensor(name, Float, BitConverter.GetBytes(value));

    private static byte[] Input(string name, params long[] dims) => Field(11, ValueInfo(name, Int64, dims));

    private static byte[] Output(string name, params long[] dims) => Field(12, ValueInfo(name, Float, dims));

    private static byte[] ValueInfo(string name, long type, long[] dims) =>
        [.. Field(1, name), .. Field(2, Field(1, [.. Field(1, type), .. Field(2, [.. dims.SelectMany(dim => Field(1, Field(1, dim)))])]))];

    private static byte[] Field(int number, string value) => Field(number, Encoding.UTF8.GetBytes(value));

    private static byte[] Field(int number, byte[] value) => [.. Varint((number << 3) | 2), .. Varint(value.Length), .. value];

    private static byte[] Field(int number, long value) => [.. Varint(number << 3), .. Varint(value)];

    private static byte[] Varint(long value)
    {
        List<byte> bytes = [];
        for (; value >= 0x80; value >>= 7)
            bytes.Add((byte)(value | 0x80));
        return [.. bytes, (byte)value];
    }
}
