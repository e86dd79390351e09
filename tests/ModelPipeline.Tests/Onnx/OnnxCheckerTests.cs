using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Checking;
using ModelPipeline.Quantization;
using ModelPipeline.Rewrites;
using Tensor = ModelPipeline.Onnx.Tensor;

namespace ModelPipeline.Tests.Onnx;

public sealed class OnnxCheckerTests
{
    private static string[] Findings(GraphBuilder g, params string[] outputs) => [.. OnnxChecker.Check(g.Build(outputs)).Findings];

    private static string X(GraphBuilder g) => g.FloatInput(2, 3);

    private static string Floats(GraphBuilder g, params long[] shape) =>
        g.Constant(Tensor.Of(shape, new float[shape.Aggregate(1L, (a, b) => a * b)]));

    public static TheoryData<string> Models => ["source", "pinned", "prepared", "emulation", "half"];

    private static OnnxModel Model(string name)
    {
        var fused = new Lazy<FusedOperators>(() => FusedOperators.Of(TinyReranker.Prepared.Graph));
        return name switch
        {
            "source" => TinyReranker.Source,
            "pinned" => PinShapes.Apply(TinyReranker.Source, new InputShape(1, TinyReranker.Sequence)),
            "prepared" => TinyReranker.Prepared,
            "emulation" => NpuEmulation.Build(
                TinyReranker.Prepared,
                fused.Value,
                fused.Value.Points.ToDictionary(point => point, _ => new AffineParameters(0.1f, 3))
            ),
            _ => HalfPrecision.Build(TinyReranker.Prepared, fused.Value),
        };
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Types_and_shapes_of_all_values_are_those_that_ONNX_Runtime_makes(string name)
    {
        var model = Model(name);
        var checkedModel = OnnxChecker.Check(model);
        Assert.Empty(checkedModel.Findings);

        var names = model.Graph.Nodes.SelectMany(node => node.Outputs).Where(output => output.Length > 0).ToList();
        var probe = model.With(
            model.Graph with
            {
                Outputs = [.. names.Select(output => new ValueInfo(output, ElementType.Undefined, []))],
            }
        );
        using var session = InferenceSessions.Open(probe, new RunSettings(Optimize: false));
        var (query, passage) = TinyReranker.Pairs[0];
        using var outputs = session.Run(TinyReranker.Inputs(query, passage), names, TestContext.Current.CancellationToken);
        foreach (var (output, value) in names.Zip(outputs))
        {
            var actual = value.GetTensorTypeAndShape();
            var inferred = checkedModel.Values[output];
            Assert.Equal((ElementType)actual.ElementDataType, inferred.Type);
            if (name == "source" || name == "pinned")
                Assert.True(
                    inferred.Shape is null
                        || inferred.Shape.Count == actual.Shape.Length
                            && inferred.Shape.Zip(actual.Shape).All(pair => pair.First.Value is null || pair.First.Value == pair.Second),
                    $"{output}: {inferred} [{string.Join(',', actual.Shape)}]"
                );
            else
                Assert.Equal(actual.Shape, inferred.Shape!.Select(dimension => dimension.Value ?? -1));
        }
    }

    [Fact]
    public void Every_operator_that_quantizers_write_is_inferred_as_ONNX_Runtime_computes_it()
    {
        var g = new GraphBuilder(opset: 20, irVersion: 9);
        var x = g.Input("x", ElementType.Float, 2, 3, 4);
        var weight = g.Constant(Tensor.Of<sbyte>([4, 6], new sbyte[24]));
        var (scales, zeros) = (g.Constant(Tensor.Vector(1f, 2, 3, 4, 5, 6)), g.Constant(Tensor.Of<sbyte>([6], new sbyte[6])));
        var dynamic = g.Nodes("DynamicQuantizeLinear", [x], 3, "");
        var (scale, zero) = (g.Scalar(0.5f), g.Constant(Tensor.Scalar<byte>(128)));
        var quantized = g.Node("QuantizeLinear", [x, scale, zero]);
        List<string> outputs =
        [
            .. dynamic,
            g.Node("MatMulInteger", [dynamic[0], weight, dynamic[2], zeros]),
            g.Nodes("MatMulIntegerToFloat", [dynamic[0], weight, dynamic[1], scales, dynamic[2], zeros], 1, "com.microsoft")[0],
            g.Nodes("DynamicQuantizeMatMul", [x, weight, scales, zeros], 1, "com.microsoft")[0],
            quantized,
            g.Node("DequantizeLinear", [quantized, scale, zero]),
            g.Node("DequantizeLinear", [weight, scales, zeros], Attributes.Of("axis", 1L)),
            g.Node("QLinearMatMul", [quantized, scale, zero, weight, g.Scalar(1), g.Constant(Tensor.Scalar<sbyte>(0)), scale, zero]),
            g.Node("QuantizeLinear", [x, scale]),
            g.Node("Gelu", [x]),
            g.Nodes("Gelu", [x], 1, "com.microsoft")[0],
            g.Nodes("FastGelu", [x, Floats(g, 4)], 1, "com.microsoft")[0],
            .. g.Nodes("LayerNormalization", [x, Floats(g, 4), Floats(g, 4)], 3, ""),
            g.Nodes("SkipLayerNormalization", [x, x, Floats(g, 4)], 1, "com.microsoft")[0],
            .. g.Nodes("Split", [x, g.Constant(Tensor.Vector(1L, 3))], 2, "", Attributes.Of("axis", 2L)),
            .. g.Nodes("Split", [x], 2, "", Attributes.Of("axis", 1L), Attributes.Of("num_outputs", 2L)),
            g.Node(
                "Slice",
                [
                    x,
                    g.Constant(Tensor.Vector(-1L, 3)),
                    g.Constant(Tensor.Vector(long.MinValue, 0)),
                    g.Constant(Tensor.Vector(1L, 2)),
                    g.Constant(Tensor.Vector(-1L, -2)),
                ]
            ),
            g.Node("Reshape", [x, g.Constant(Tensor.Vector(0L, -1))]),
            g.Node("Transpose", [x]),
            g.Node("Flatten", [x], Attributes.Of("axis", 2L)),
            g.Node("Tile", [x, g.Constant(Tensor.Vector(2L, 1, 3))]),
            g.Node("Expand", [x, g.Constant(Tensor.Vector(5L, 1, 1, 4))]),
            g.Node("Squeeze", [g.Node("Unsqueeze", [x, g.Constant(Tensor.Vector(0L, -1))]), g.Constant(Tensor.Vector(-1L))]),
            g.Node("ReduceMean", [x, g.Constant(Tensor.Vector(-1L))]),
            g.Node("ReduceSum", [x], Attributes.Of("keepdims", 0L)),
            g.Node("ArgMax", [x], Attributes.Of("axis", 1L), Attributes.Of("keepdims", 0L)),
            g.Node("Gemm", [Floats(g, 4, 2), Floats(g, 5, 4), Floats(g, 5)], Attributes.Of("transA", 1L), Attributes.Of("transB", 1L)),
            g.Node("MatMul", [x, Floats(g, 4)]),
            g.Node("MatMul", [Floats(g, 3), x]),
            g.Node("Pow", [x, g.Constant(Tensor.Scalar(2L))]),
            g.Node("Concat", [x, Floats(g, 2, 5, 4)], Attributes.Of("axis", -2L)),
            g.Node("Where", [g.Node("Less", [x, g.Scalar(0)]), x, g.Scalar(1)]),
            g.Node("Shape", [x]),
            g.Node("Size", [x]),
            g.Node("ConstantOfShape", [g.Constant(Tensor.Vector(2L, 2))]),
            g.Node("Clip", [x, "", g.Scalar(1)]),
            g.Node("Gather", [x, g.Constant(Tensor.Of<long>([1, 2], [0, -1]))], Attributes.Of("axis", 1L)),
            g.Node("Cast", [x], Attributes.Of("to", (long)ElementType.Float16)),
        ];
        var model = g.Build([.. outputs]);

        var result = OnnxChecker.Check(model);

        Assert.Empty(result.Findings);
        using var session = InferenceSessions.Open(model, new RunSettings(Threads: 1, Optimize: false));
        using var values = session.Run(
            [OrtValue.CreateTensorValueFromMemory(new float[24], [2, 3, 4])],
            outputs,
            TestContext.Current.CancellationToken
        );
        Assert.All(
            outputs.Zip(values),
            pair =>
            {
                var actual = pair.Second.GetTensorTypeAndShape();
                Assert.Equal(
                    $"{(ElementType)actual.ElementDataType} [{string.Join(',', actual.Shape)}]".ToLowerInvariant(),
                    result.Values[pair.First].ToString()
                );
            }
        );
    }

    [Fact]
    public void Dynamic_axes_stay_symbols_and_every_rank_is_known()
    {
        var values = OnnxChecker.Check(TinyReranker.Source).Values;

        Assert.Equal("float [batch_size,sequence_length,128]", values["/embeddings/word_embeddings/Gather_output_0"].ToString());
        Assert.All(values.Values, value => Assert.NotNull(value.Shape));
    }

    /// <summary>Graphs that break one rule each, and what is said of them.</summary>
    private static readonly Dictionary<string, Func<GraphBuilder, string>> Unsound = new()
    {
        ["no such operator is known in version 17 of the standard operator set"] = g => g.Node("Frobnicate", [X(g)]),
        ["no such operator is known in version 1 of the com.microsoft operator set"] = g =>
            g.Nodes("Frobnicate", [X(g)], 1, "com.microsoft")[0],
        ["the model imports no operator set 'ai.nobody'"] = g => g.Nodes("Add", [X(g)], 1, "ai.nobody")[0],
        ["no such operator is known in version 17"] = g => g.Node("Gelu", [X(g)]),
        ["1 inputs; at least 2 are needed"] = g => g.Node("Add", [X(g)]),
        ["1 inputs; at least 2 are needed "] = g => g.Node("Add", [X(g), ""]),
        ["3 inputs; at most 2 are allowed"] = g => g.Node("Add", [X(g), X(g), X(g)]),
        ["2 outputs; at most 1 are allowed"] = g => g.Nodes("Relu", [X(g)], 2, "")[0],
        ["is int64 where another is float; they must be the same"] = g => g.Node("Add", [X(g), g.Constant(Tensor.Scalar(1L))]),
        ["is float; expected int32 or int64"] = g => g.Node("Gather", [X(g), Floats(g, 2)]),
        ["[2,3] and [4] cannot be broadcast"] = g => g.Node("Add", [X(g), Floats(g, 4)]),
        ["the inner dimensions of [2,3] and [4,5] are 3 and 4, which must be equal"] = g => g.Node("MatMul", [X(g), Floats(g, 4, 5)]),
        ["the inner dimensions are 3 and 4"] = g => g.Node("Gemm", [X(g), Floats(g, 4, 5)]),
        ["[2,3] cannot be reshaped to [4,-1]"] = g => g.Node("Reshape", [X(g), g.Constant(Tensor.Vector(4L, -1))]),
        ["[2,3] cannot be reshaped to [7]"] = g => g.Node("Reshape", [X(g), g.Constant(Tensor.Vector(7L))]),
        ["cannot be reshaped to [-1,-1]"] = g => g.Node("Reshape", [X(g), g.Constant(Tensor.Vector(-1L, -1))]),
        ["perm [0,0] is no order of the axes of [2,3]"] = g => g.Node("Transpose", [X(g)], Attributes.Of("perm", 0L, 0L)),
        ["axis 2 is out of range for rank 2"] = g => g.Node("Gather", [X(g), g.Constant(Tensor.Scalar(0L))], Attributes.Of("axis", 2L)),
        ["an index is out of range for 2 entries"] = g => g.Node("Gather", [X(g), g.Constant(Tensor.Scalar(2L))]),
        ["operands of different ranks: [2,3], [3]"] = g => g.Node("Concat", [X(g), Floats(g, 3)], Attributes.Of("axis", 0L)),
        ["the sizes of axis 1 are 3 and 4"] = g => g.Node("Concat", [X(g), Floats(g, 2, 4)], Attributes.Of("axis", 0L)),
        ["the parts [1,1] do not make up [2,3] on axis 1"] = g =>
            g.Nodes("Split", [X(g), g.Constant(Tensor.Vector(1L, 1))], 2, "", Attributes.Of("axis", 1L))[0],
        ["axis 1 of [2,3] and what is squeezed are 3 and 1"] = g => g.Node("Squeeze", [X(g), g.Constant(Tensor.Vector(1L))]),
        ["axes [0,0] name one axis twice"] = g => g.Node("Unsqueeze", [X(g), g.Constant(Tensor.Vector(0L, 0))]),
        ["makes element type 8, which the operator does not allow"] = g =>
            g.Node("Cast", [X(g)], Attributes.Of("to", (long)ElementType.String)),
        ["makes element type -1"] = g => g.Node("Cast", [X(g)]),
        ["makes element type 1, which the operator does not allow"] = g =>
            g.Node("QuantizeLinear", [X(g), g.Scalar(1)], Attributes.Of("output_dtype", 1L)),
        ["a step of 0"] = g =>
            g.Node(
                "Slice",
                [
                    X(g),
                    g.Constant(Tensor.Vector(0L)),
                    g.Constant(Tensor.Vector(1L)),
                    g.Constant(Tensor.Vector(0L)),
                    g.Constant(Tensor.Vector(0L)),
                ]
            ),
        ["scale or bias [2,3] is larger than what is normalized"] = g => g.Node("LayerNormalization", [X(g), Floats(g, 2, 3)]),
        ["axis 1 of [2,3] and the number of scales are 3 and 2"] = g =>
            g.Node("QuantizeLinear", [X(g), g.Constant(Tensor.Vector(1f, 1)), g.Constant(Tensor.Vector<sbyte>(0, 0))]),
        ["axis 4 is out of range"] = g => g.Node("QuantizeLinear", [X(g), g.Constant(Tensor.Vector(1f, 1))], Attributes.Of("axis", 4L)),
        ["zero points [2] do not have the shape of the scales []"] = g =>
            g.Node("QuantizeLinear", [X(g), g.Scalar(1), g.Constant(Tensor.Vector<sbyte>(0, 0))]),
        ["blocks are not supported"] = g => g.Node("QuantizeLinear", [X(g), g.Constant(Tensor.Of<float>([2, 3], [1, 1, 1, 1, 1, 1]))]),
        ["a scale of 0; scales are positive and finite"] = g => g.Node("QuantizeLinear", [X(g), g.Scalar(0)]),
        ["a scale of NaN; scales are positive and finite"] = g => g.Node("QuantizeLinear", [X(g), g.Scalar(float.NaN)]),
        ["is uint8 where another is int8; they must be the same"] = g =>
            g.Node("DequantizeLinear", [g.Constant(Tensor.Vector<sbyte>(1)), g.Scalar(1), g.Constant(Tensor.Scalar<byte>(1))]),
        ["is int64; expected int8 or uint8"] = g =>
            g.Node("MatMulInteger", [g.Constant(Tensor.Of<long>([1, 1], [1])), g.Constant(Tensor.Of<sbyte>([1, 1], [1]))]),
        ["the length of operand 3 and the number of columns are 3 and 2"] = g =>
            g.Node(
                "MatMulInteger",
                [
                    g.Constant(Tensor.Of<byte>([1, 1], [1])),
                    g.Constant(Tensor.Of<sbyte>([1, 2], [1, 1])),
                    "",
                    g.Constant(Tensor.Vector<sbyte>(0, 0, 0)),
                ]
            ),
    };

    public static TheoryData<string> UnsoundNames => [.. Unsound.Keys];

    [Theory]
    [MemberData(nameof(UnsoundNames))]
    public void What_breaks_a_rule_is_found_by_name(string finding)
    {
        var g = new GraphBuilder();

        Assert.Contains(finding.Trim(), Assert.Single(Findings(g, Unsound[finding](g))));
    }

    [Fact]
    public void A_scale_an_entry_needs_opset_13()
    {
        var g = new GraphBuilder(opset: 12);

        Assert.Contains(
            "one scale an axis entry needs opset 13",
            Assert.Single(Findings(g, g.Node("QuantizeLinear", [X(g), g.Constant(Tensor.Vector(1f, 1, 1))])))
        );
    }

    [Fact]
    public void Versions_order_and_declared_outputs_are_checked()
    {
        var g = new GraphBuilder(opset: 19, irVersion: 8);
        var y = g.Node("Relu", [X(g)]);
        var model = g.Build(new ValueInfo(y, ElementType.Float, [2, 4]));
        model = model.With(model.Graph with { Nodes = model.Graph.Nodes.Add(new Node("Relu", "again", [y], [y])) });

        Assert.Equal(
            [
                $"node 'again' (Relu) writes '{y}', which is written already",
                "IR version 8 is older than opset 19, which came with 9",
                $"output {y} float [2,4] is declared so, but is float [2,3]",
            ],
            OnnxChecker.Check(model).Findings
        );
        Assert.Contains(
            "tiny.onnx: not a sound ONNX model: node 'again'",
            Assert.Throws<PipelineException>(() => OnnxChecker.Check(model).ThrowIfUnsound("tiny.onnx")).Message
        );
    }
}
