using System.Runtime.InteropServices;
using ModelPipeline.Onnx;
using ModelPipeline.Tests.Onnx;
using static ModelPipeline.Tests.Raising.RaisedOutputs;
using Tensor = ModelPipeline.Onnx.Tensor;

namespace ModelPipeline.Tests.Raising;

/// <summary>Sources whose weights are of another type, or stand behind other nodes.</summary>
public sealed class PlainWeightsTests
{
    private const int Pairs = 6;
    private static readonly Graph Source = TinyReranker.Source.Graph;

    private static OnnxModel With(Func<string, Tensor, Tensor> weight, Func<Node, IEnumerable<Node>>? node = null) =>
        TinyReranker.Source.With(
            Source with
            {
                Initializers = new OrderedDictionary<string, Tensor>(
                    Source.Initializers.Select(entry => KeyValuePair.Create(entry.Key, weight(entry.Key, entry.Value)))
                ),
                Nodes = [.. Source.Nodes.SelectMany(node ?? (each => [each]))],
            }
        );

    private static Tensor As(ElementType type, Tensor tensor) =>
        tensor.Type != ElementType.Float
            ? tensor
            : new Tensor(
                type,
                tensor.Shape,
                type switch
                {
                    ElementType.Float16 => MemoryMarshal
                        .AsBytes(
                            tensor.Span<float>().ToArray().Select(value => (Half)MathF.Max(value, (float)Half.MinValue)).ToArray().AsSpan()
                        )
                        .ToArray(),
                    ElementType.BFloat16 => MemoryMarshal
                        .AsBytes(
                            tensor
                                .Span<float>()
                                .ToArray()
                                .Select(value => (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16))
                                .ToArray()
                                .AsSpan()
                        )
                        .ToArray(),
                    _ => MemoryMarshal.AsBytes(tensor.Span<float>().ToArray().Select(value => (double)value).ToArray().AsSpan()).ToArray(),
                }
            );

    /// <summary>The same graph in another type throughout: casts and constants too.</summary>
    private static OnnxModel InType(ElementType type) =>
        With(
            (_, tensor) => As(type, tensor),
            node =>
                [
                    node with
                    {
                        Attributes =
                        [
                            .. node.Attributes.Select(attribute =>
                                attribute switch
                                {
                                    { Name: "to", I: (long)ElementType.Float } => Attributes.Of("to", (long)type),
                                    { T: { DataType: (int)ElementType.Float } constant } => Attributes.Of(
                                        attribute.Name,
                                        As(type, OnnxReader.ReadTensor(constant))
                                    ),
                                    _ => attribute,
                                }
                            ),
                        ],
                    },
                ]
        );

    /// <summary>As optimum's --dtype fp16 exports: outputs are half floats, too.</summary>
    [Fact]
    public void A_source_whose_outputs_are_float16_is_raised_with_them()
    {
        var half = InType(ElementType.Float16);
        var source = half.With(
            half.Graph with
            {
                Outputs = [.. half.Graph.Outputs.Select(output => output with { Type = ElementType.Float16 })],
            }
        );
        var raised = Raise(source);
        Assert.Equal(ElementType.Float, Assert.Single(raised.Model.Graph.Outputs).Type);
        Assert.InRange(raised.Steps[0].Shift ?? 1, 0, 0.05);
    }

    [Theory]
    [InlineData(ElementType.Float16, 2e-3f)]
    [InlineData(ElementType.Double, 1e-5f)]
    public void A_source_of_another_float_type_is_raised_and_scores_as_the_original(ElementType type, float rounding)
    {
        var raised = Raise(InType(type));

        Assert.Equal("float", raised.Steps[0].Name);
        Assert.Contains(type.ToString().ToLowerInvariant(), raised.Steps[0].Matches[0], StringComparison.Ordinal);
        Assert.DoesNotContain(raised.Model.Graph.Initializers.Values, tensor => tensor.Type == type);
        Assert.Equal(ElementType.Float, raised.Model.Graph.Outputs[0].Type);
        Assert.All(
            TinyReranker.Scores(TinyReranker.Source, Pairs).Zip(TinyReranker.Scores(raised.Model, Pairs)),
            pair => Assert.Equal(pair.First, pair.Second, rounding)
        );
    }

    [Fact]
    public void Bfloat16_weights_behind_casts_are_constants_of_float()
    {
        var rounded = With((_, tensor) => As(ElementType.BFloat16, tensor) is { Type: ElementType.BFloat16 } half ? FloatOf(half) : tensor);
        // Each weight that a MatMul reads is stored as bfloat16, and cast where it is read.
        var weights = Source
            .Nodes.Where(node => node.OpType == "MatMul")
            .Select(node => node.Inputs[1])
            .Where(Source.Initializers.ContainsKey)
            .ToHashSet();
        var stored = With(
            (name, tensor) => weights.Contains(name) ? As(ElementType.BFloat16, tensor) : rounded.Graph.Initializers[name],
            node =>
                node.Inputs.FirstOrDefault(weights.Contains) is { } weight
                    ?
                    [
                        new Node("Cast", "", [weight], [$"{weight}_{node.Output}_cast"])
                        {
                            Attributes = [Attributes.Of("to", (long)ElementType.Float)],
                        },
                        node.Rewired(weight, $"{weight}_{node.Output}_cast"),
                    ]
                    : [node]
        );

        var raised = Raise(stored);

        Assert.Equal(["float", "constants"], raised.Steps.Select(step => step.Name));
        Assert.All(MatrixOperands(raised.Model), operand => Assert.Contains(operand, raised.Model.Graph.Initializers.Keys));
        Assert.Equal(TinyReranker.Scores(rounded, Pairs), TinyReranker.Scores(raised.Model, Pairs));

        static Tensor FloatOf(Tensor half) =>
            Tensor.Of(
                half.Shape.AsSpan(),
                MemoryMarshal
                    .Cast<byte, ushort>(half.Data.Span)
                    .ToArray()
                    .Select(bits => BitConverter.UInt32BitsToSingle((uint)bits << 16))
                    .ToArray()
            );
    }

    [Theory]
    [InlineData("Transpose")]
    [InlineData("Identity")]
    [InlineData("Reshape")]
    [InlineData("Constant")]
    [InlineData("Mul")]
    public void Weights_behind_a_node_become_constants(string op)
    {
        var weights = Source
            .Nodes.Where(node => node.OpType == "MatMul")
            .Select(node => node.Inputs[1])
            .Where(Source.Initializers.ContainsKey)
            .ToHashSet();
        var behind = With(
            (name, tensor) => weights.Contains(name) && op == "Transpose" ? Transposed(tensor) : tensor,
            node =>
                node.Inputs.FirstOrDefault(weights.Contains) is { } weight
                    ? [.. Behind(weight, $"{weight}_{node.Output}"), node.Rewired(weight, $"{weight}_{node.Output}")]
                    : [node]
        );
        var model = behind.With(
            behind.Graph with
            {
                Initializers = behind.Graph.InitializersWith([KeyValuePair.Create("one", Tensor.Scalar(1f))]),
            }
        );

        var raised = Raise(model);

        Assert.All(MatrixOperands(raised.Model), operand => Assert.Contains(operand, raised.Model.Graph.Initializers.Keys));
        Assert.Equal(TinyReranker.Scores(TinyReranker.Source, Pairs), TinyReranker.Scores(raised.Model, Pairs));
        Assert.InRange(raised.Model.ToBytes().Length, 0, TinyReranker.Source.ToBytes().Length + 20_000);

        IEnumerable<Node> Behind(string weight, string output) =>
            op switch
            {
                "Transpose" => [new Node(op, "", [weight], [output]) { Attributes = [Attributes.Of("perm", 1L, 0L)] }],
                "Constant" => [new Node(op, "", [], [output]) { Attributes = [Attributes.Of("value", Source.Initializers[weight])] }],
                "Mul" => [new Node(op, "", [weight, "one"], [output])],
                "Reshape" =>
                [
                    new Node("Shape", "", [weight], [$"{output}_shape"]),
                    new Node(op, "", [weight, $"{output}_shape"], [output]),
                ],
                _ => [new Node(op, "", [weight], [output])],
            };
    }

    [Fact]
    public void A_weight_that_several_nodes_transpose_is_kept_once()
    {
        var graph = new GraphBuilder(14);
        var x = graph.FloatInput(3, 64);
        var weight = graph.Constant(Matrix(64, 64));
        var y = x;
        for (var layer = 0; layer < 4; layer++)
            y = graph.Node("MatMul", [y, graph.Node("Transpose", [weight], Attributes.Of("perm", 1L, 0L))]);

        var raised = AssertSame(graph.Build(y), y, () => [Floats(Numbers(3 * 64), 3, 64)]);

        Assert.Single(raised.Model.Graph.Initializers);
    }

    [Fact]
    public void A_table_that_would_grow_is_left_computed()
    {
        var graph = new GraphBuilder(14);
        var wide = graph.Node("Expand", [graph.Constant(Matrix(1, 512)), graph.Constant(Tensor.Vector(1024L, 512L))]);
        var y = graph.Node("MatMul", [graph.FloatInput(2, 1024), wide]);

        Assert.Empty(Raise(graph.Build(y)).Steps);
    }

    /// <summary>The most negative double is no float: it becomes the most negative of those, not minus infinity.</summary>
    [Fact]
    public void A_double_beyond_float_stays_finite()
    {
        var graph = new GraphBuilder(14);
        var y = graph.Node(
            "Cast",
            [graph.Node("Mul", [graph.Input("x", ElementType.Double, 2), graph.Constant(Tensor.Scalar(double.MinValue))])],
            Attributes.Of("to", (long)ElementType.Float)
        );

        Assert.Equal(-float.MaxValue, Raise(graph.Build(y)).Model.Graph.Initializers.Values.Single().SingleFloat());
    }

    private static IEnumerable<string> MatrixOperands(OnnxModel model)
    {
        var original = Source
            .Nodes.Where(node => node.OpType == "MatMul" && Source.Initializers.ContainsKey(node.Inputs[1]))
            .Select(node => node.Output)
            .ToHashSet();
        return model.Graph.Nodes.Where(node => original.Contains(node.Output)).Select(node => node.Inputs[1]);
    }

    private static Tensor Transposed(Tensor matrix)
    {
        var (rows, columns) = ((int)matrix.Shape[0], (int)matrix.Shape[1]);
        var values = matrix.Span<float>().ToArray();
        return Tensor.Of(
            [columns, rows],
            Enumerable.Range(0, values.Length).Select(i => values[(i % rows * columns) + (i / rows)]).ToArray()
        );
    }
}
