using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Proto;
using ModelPipeline.Tests.Onnx;
using static ModelPipeline.Onnx.Proto.AttributeProto.Types;
using static ModelPipeline.Tests.Raising.RaisedOutputs;
using Tensor = ModelPipeline.Onnx.Tensor;

namespace ModelPipeline.Tests.Raising;

/// <summary>ONNX Runtime's fused operators against what stands for them.</summary>
public sealed class FusedNodesTests
{
    private const string Microsoft = "com.microsoft";
    private const int Batch = 2,
        Tokens = 5,
        Hidden = 8,
        Heads = 2;

    /// <summary>The second row has two tokens of padding.</summary>
    private static readonly int[] Padding = [1, 1, 1, 1, 1, 1, 1, 1, 0, 0];

    private static Func<OrtValue[]> States => () => [Floats(Numbers(Batch * Tokens * Hidden), Batch, Tokens, Hidden)];

    private static AttributeProto Text(string name, string value) =>
        new()
        {
            Name = name,
            S = Google.Protobuf.ByteString.CopyFromUtf8(value),
            Type = AttributeType.String,
        };

    [Theory]
    [InlineData("Gelu", false)]
    [InlineData("FastGelu", false)]
    [InlineData("FastGelu", true)]
    [InlineData("BiasGelu", true)]
    [InlineData("QuickGelu", false)]
    public void Activations(string op, bool biased)
    {
        var graph = new GraphBuilder();
        var x = graph.FloatInput(Batch, Tokens, Hidden);
        string[] inputs = biased ? [x, graph.Constant(Tensor.Vector(Numbers(Hidden, 2)))] : [x];

        AssertSame(graph.Build(graph.Nodes(op, inputs, 1, Microsoft)), $"{op}_0", States);
    }

    [Theory]
    [InlineData("SkipLayerNormalization", false, false, 11)]
    [InlineData("SkipLayerNormalization", true, false, 14)]
    [InlineData("SkipLayerNormalization", true, true, 18)]
    [InlineData("SkipSimplifiedLayerNormalization", true, true, 14)]
    public void Norms_of_a_sum(string op, bool bias, bool sumIsRead, int opset)
    {
        var graph = new GraphBuilder(opset);
        var x = graph.FloatInput(Batch, Tokens, Hidden);
        var product = graph.Node("MatMul", [x, graph.Constant(Matrix(Hidden, Hidden))]);
        List<string> inputs = [product, x, graph.Constant(Tensor.Vector(Numbers(Hidden, 2)))];
        if (op == "SkipLayerNormalization")
            inputs.Add(graph.Constant(Tensor.Vector(Numbers(Hidden, 3))));
        if (bias)
            inputs.Add(graph.Constant(Tensor.Vector(Numbers(Hidden, 4))));
        var outputs = graph.Nodes(op, [.. inputs], sumIsRead ? 4 : 1, Microsoft, Attributes.Of("epsilon", 1e-5f));
        if (sumIsRead)
        {
            var model = graph.Build(graph.Node("Add", [outputs[0], outputs[3]]));
            // Of the four outputs only the first and the last are there.
            model = model.With(
                model.Graph with
                {
                    Nodes =
                    [
                        .. model.Graph.Nodes.Select(node =>
                            node.OpType == op ? node with { Outputs = [node.Outputs[0], "", "", node.Outputs[3]] } : node
                        ),
                    ],
                }
            );
            AssertSame(model, model.Graph.Outputs[0].Name, States);
        }
        else
            AssertSame(graph.Build(outputs[0]), outputs[0], States);
    }

    [Theory]
    [InlineData("LayerNormalization", 11)]
    [InlineData("LayerNormalization", 14)]
    [InlineData("SimplifiedLayerNormalization", 14)]
    public void Norms_that_the_opset_does_not_have(string op, int opset)
    {
        var graph = new GraphBuilder(opset);
        var x = graph.FloatInput(Batch, Tokens, Hidden);
        string[] weights =
        [
            .. Enumerable.Range(2, op == "LayerNormalization" ? 2 : 1).Select(seed => graph.Constant(Tensor.Vector(Numbers(Hidden, seed)))),
        ];
        var y = graph.Node(op, [x, .. weights], Attributes.Of("axis", -1L), Attributes.Of("epsilon", 1e-6f));

        AssertSame(graph.Build(y), y, States);
    }

    [Theory]
    [InlineData(false, true, 1f)]
    [InlineData(true, true, 0.125f)]
    [InlineData(true, false, 1f)]
    public void A_product_with_its_transpositions_and_scale(bool left, bool right, float alpha)
    {
        var graph = new GraphBuilder();
        var x = graph.FloatInput(Batch, Tokens, Tokens);
        var y = graph.Nodes(
            "FusedMatMul",
            [x, x],
            1,
            Microsoft,
            Attributes.Of("transA", left ? 1L : 0),
            Attributes.Of("transB", right ? 1L : 0),
            Attributes.Of("alpha", alpha)
        )[0];

        AssertSame(graph.Build(y), y, () => [Floats(Numbers(Batch * Tokens * Tokens), Batch, Tokens, Tokens)]);
    }

    [Fact]
    public void A_product_with_its_activation()
    {
        var graph = new GraphBuilder();
        var x = graph.FloatInput(Tokens, Hidden);
        var y = graph.Nodes(
            "FusedGemm",
            [x, graph.Constant(Matrix(4, Hidden)), graph.Constant(Tensor.Vector(Numbers(4, 2)))],
            1,
            Microsoft,
            Attributes.Of("transB", 1L),
            Text("activation", "Relu")
        )[0];

        AssertSame(graph.Build(y), y, () => [Floats(Numbers(Tokens * Hidden), Tokens, Hidden)]);
    }

    /// <param name="mask">of [batch, tokens], [batch, tokens, tokens], lengths or none.</param>
    /// <param name="filter">Of the attribute; 0 for its default.</param>
    [Theory]
    [InlineData("none", 0f)]
    [InlineData("row", 0f)]
    [InlineData("row", -50f)]
    [InlineData("square", 0f)]
    [InlineData("lengths", 0f)]
    public void Attention_with_each_kind_of_mask(string mask, float filter)
    {
        var graph = new GraphBuilder(14);
        var x = graph.FloatInput(Batch, Tokens, Hidden);
        List<string> inputs = [x, graph.Constant(Matrix(Hidden, 3 * Hidden)), graph.Constant(Tensor.Vector(Numbers(3 * Hidden, 2)))];
        var rows = mask switch
        {
            "square" => graph.Input("mask", ElementType.Int32, Batch, Tokens, Tokens),
            "none" => "",
            _ => graph.Input("mask", ElementType.Int32, Batch, Tokens),
        };
        if (mask == "lengths")
            inputs.Add(graph.Node("ReduceSum", [rows, graph.Constant(Tensor.Vector(1L))], Attributes.Of("keepdims", 0L)));
        else if (mask != "none")
            inputs.Add(rows);
        var y = graph.Nodes(
            "Attention",
            [.. inputs],
            1,
            Microsoft,
            [Attributes.Of("num_heads", (long)Heads), .. filter == 0 ? (AttributeProto[])[] : [Attributes.Of("mask_filter_value", filter)]]
        )[0];

        var raised = AssertSame(
            graph.Build(y),
            y,
            () =>
                mask switch
                {
                    "none" => States(),
                    "square" =>
                    [
                        .. States(),
                        OrtValue.CreateTensorValueFromMemory(
                            Enumerable
                                .Range(0, Batch * Tokens * Tokens)
                                .Select(i => Padding[(i / (Tokens * Tokens) * Tokens) + (i % Tokens)])
                                .ToArray(),
                            [Batch, Tokens, Tokens]
                        ),
                    ],
                    _ => [.. States(), OrtValue.CreateTensorValueFromMemory(Padding.ToArray(), [Batch, Tokens])],
                }
        );
        Assert.Equal(3, raised.Model.Graph.Initializers.Values.Count(tensor => tensor.Shape.SequenceEqual([Hidden, Hidden])));
    }

    [Fact]
    public void Attention_with_a_score_bias_and_a_scale_of_its_own()
    {
        var graph = new GraphBuilder(14);
        var x = graph.FloatInput(Batch, Tokens, Hidden);
        var bias = graph.Constant(Tensor.Of([1, Heads, Tokens, Tokens], Numbers(Heads * Tokens * Tokens, 5)));
        var y = graph.Nodes(
            "Attention",
            [x, graph.Constant(Matrix(Hidden, 3 * Hidden)), graph.Constant(Tensor.Vector(Numbers(3 * Hidden, 2))), "", "", bias],
            1,
            Microsoft,
            Attributes.Of("num_heads", (long)Heads),
            Attributes.Of("scale", 0.3f)
        )[0];

        AssertSame(graph.Build(y), y, States);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Attention_of_a_query_key_and_value(bool masked)
    {
        var graph = new GraphBuilder(14);
        var x = graph.FloatInput(Batch, Tokens, Hidden);
        string[] projected =
        [
            .. Enumerable.Range(1, 3).Select(seed => graph.Node("MatMul", [x, graph.Constant(Matrix(Hidden, Hidden, seed))])),
        ];
        List<string> inputs = [.. projected, graph.Constant(Tensor.Vector(Numbers(3 * Hidden, 2)))];
        if (masked)
            inputs.Add(graph.Input("mask", ElementType.Int32, Batch, Tokens));
        var y = graph.Nodes("MultiHeadAttention", [.. inputs], 1, Microsoft, Attributes.Of("num_heads", (long)Heads))[0];

        AssertSame(
            graph.Build(y),
            y,
            () => masked ? [.. States(), OrtValue.CreateTensorValueFromMemory(Padding.ToArray(), [Batch, Tokens])] : States()
        );
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(false, false)]
    public void Embeddings_and_the_mask_lengths_that_attention_reads(bool segments, bool masked)
    {
        var graph = new GraphBuilder(14);
        var ids = graph.Input("input_ids", ElementType.Int32, Batch, new Dimension(null, "tokens"));
        var types = segments ? graph.Input("token_type_ids", ElementType.Int32, Batch, new Dimension(null, "tokens")) : "";
        var mask = masked ? graph.Input("attention_mask", ElementType.Int32, Batch, new Dimension(null, "tokens")) : "";
        string[] inputs =
        [
            ids,
            types,
            graph.Constant(Matrix(11, Hidden)),
            graph.Constant(Matrix(9, Hidden, 2)),
            segments ? graph.Constant(Matrix(2, Hidden, 3)) : "",
            graph.Constant(Tensor.Vector(Numbers(Hidden, 4))),
            graph.Constant(Tensor.Vector(Numbers(Hidden, 5))),
            .. masked ? (string[])[mask] : [],
        ];
        var embedded = graph.Nodes("EmbedLayerNormalization", inputs, 2, Microsoft);
        var y = masked
            ? graph.Nodes(
                "Attention",
                [
                    embedded[0],
                    graph.Constant(Matrix(Hidden, 3 * Hidden)),
                    graph.Constant(Tensor.Vector(Numbers(3 * Hidden, 2))),
                    embedded[1],
                ],
                1,
                Microsoft,
                Attributes.Of("num_heads", (long)Heads)
            )[0]
            : embedded[0];

        AssertSame(
            graph.Build(y),
            y,
            () =>
                [
                    OrtValue.CreateTensorValueFromMemory(
                        Enumerable.Range(0, Batch * Tokens).Select(i => i * 7 % 11).ToArray(),
                        [Batch, Tokens]
                    ),
                    .. segments
                        ? (OrtValue[])
                            [
                                OrtValue.CreateTensorValueFromMemory(
                                    Enumerable.Range(0, Batch * Tokens).Select(i => i % 2).ToArray(),
                                    [Batch, Tokens]
                                ),
                            ]
                        : [],
                    .. masked ? (OrtValue[])[OrtValue.CreateTensorValueFromMemory(Padding.ToArray(), [Batch, Tokens])] : [],
                ]
        );
    }

    [Theory]
    [InlineData("PackedAttention", "PackedAttention (com.microsoft)")]
    [InlineData("GroupQueryAttention", "start from the model as it was exported")]
    public void What_is_not_known_is_refused_by_name(string op, string expected)
    {
        var graph = new GraphBuilder();
        var model = graph.Build(graph.Nodes(op, [graph.FloatInput(Batch, Tokens, Hidden)], 1, Microsoft)[0]);

        Assert.Contains(expected, Assert.Throws<PipelineException>(() => Raise(model)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_causal_attention_is_refused_by_name()
    {
        var graph = new GraphBuilder();
        var model = graph.Build(
            graph.Nodes(
                "Attention",
                [graph.FloatInput(Batch, Tokens, Hidden), graph.Constant(Matrix(Hidden, 3 * Hidden))],
                1,
                Microsoft,
                Attributes.Of("num_heads", (long)Heads),
                Attributes.Of("unidirectional", 1L)
            )[0]
        );

        var message = Assert.Throws<PipelineException>(() => Raise(model)).Message;
        Assert.StartsWith("model.onnx: Attention 'Attention_0' of com.microsoft: is causal", message, StringComparison.Ordinal);
    }
}
