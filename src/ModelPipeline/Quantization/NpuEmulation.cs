using System.Numerics.Tensors;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;

namespace ModelPipeline.Quantization;

/// <summary>
/// Builds the w8a8 model that predicts what rknn-toolkit2 makes of a prepared graph, as plain QDQ ONNX: asymmetric int8 weights, per
/// channel or per tensor (the toolkit's own layer-by-layer errors fit no symmetric scheme), per-tensor asymmetric int8 activations at the
/// tensors that the NPU holds (<see cref="FusedOperators"/>), int8 tables in Gather. Tensors of the hybrid plan stay fp16: the operator
/// that writes one computes in fp16 from whatever its inputs hold, and int8 operators read it quantized. An emulation for accuracy: nothing
/// of it runs on an NPU.
/// </summary>
internal sealed class NpuEmulation
{
    private readonly Graph graph;
    private readonly FusedOperators fused;
    private readonly IReadOnlyDictionary<string, AffineParameters> activations;
    private readonly IReadOnlySet<string> fp16;
    private readonly QuantizationMethod? method;
    private readonly FreshNames names;
    private readonly List<Node> nodes = [];
    private readonly OrderedDictionary<string, Tensor> initializers = [];
    private readonly Dictionary<string, string> renamed = [];

    /// <summary>Products that are kept in fp16 by name, weights and all; one whose sum alone is fp16 keeps int8 weights.</summary>
    private readonly HashSet<string> float16Products;

    private NpuEmulation(
        Graph graph,
        FusedOperators fused,
        IReadOnlyDictionary<string, AffineParameters> activations,
        IReadOnlySet<string> fp16,
        QuantizationMethod? method
    )
    {
        (this.graph, this.fused, this.activations, this.fp16, this.method) = (graph, fused, activations, fp16, method);
        names = new FreshNames(graph);
        float16Products =
        [
            .. PatternMatches
                .Of(graph)
                .Linears.Where(linear => fp16.Contains(linear.Output) || fp16.Contains(linear.Product.Output))
                .Select(linear => linear.Product.Output),
        ];
    }

    /// <summary>The graph as the toolkit imports it: it reads constants beyond 3e38 as 10000. Calibrate and build from this one.</summary>
    public static OnnxModel Import(OnnxModel model) =>
        model.With(
            model.Graph with
            {
                Initializers = model.Graph.InitializersWith(
                    model
                        .Graph.Initializers.Where(entry =>
                            entry.Value.Type == ElementType.Float && entry.Value.Span<float>().ContainsAnyExceptInRange(-3e38f, 3e38f)
                        )
                        .Select(entry => KeyValuePair.Create(entry.Key, Bounded(entry.Value)))
                ),
            }
        );

    private static Tensor Bounded(Tensor constant) =>
        Tensor.Of<float>(
            constant.Shape.AsSpan(),
            [.. constant.Span<float>().ToArray().Select(value => MathF.Abs(value) <= 3e38f ? value : MathF.CopySign(1e4f, value))]
        );

    /// <param name="activations">Scale and zero point of each point of <paramref name="fused"/>.</param>
    /// <param name="fp16">Points that stay fp16.</param>
    /// <param name="method">One scale an output channel of each weight, or one a weight; null leaves weights as they are.</param>
    public static OnnxModel Build(
        OnnxModel model,
        FusedOperators fused,
        IReadOnlyDictionary<string, AffineParameters> activations,
        IReadOnlySet<string>? fp16 = null,
        QuantizationMethod? method = QuantizationMethod.Channel
    ) => model.With(new NpuEmulation(model.Graph, fused, activations, fp16 ?? new HashSet<string>(), method).Build());

    private Graph Build()
    {
        foreach (var node in graph.Nodes)
        {
            if (node.OpType == "Gather" && Weight(node.Inputs[0]) is { } table && activations.TryGetValue(node.Output, out var parameters))
                Table(node, table, parameters);
            else if (
                method is not null
                && node.OpType is "MatMul" or "Gemm"
                && !float16Products.Contains(node.Output)
                && Weight(node.Inputs[1]) is { } weight
            )
                // It multiplies int8 with int8, wherever its input comes from and whatever it writes.
                Emit(WithInput(node, 1, Quantized(node.Inputs[1], weight, node.Int("transB", 0) == 1 ? 0 : 1)), inFp16: false);
            else
                Emit(node, fused.OwnerOf(node) is { } owner && fp16.Contains(owner));
        }
        foreach (var output in graph.Outputs.Where(output => renamed.ContainsKey(output.Name) && !fp16.Contains(output.Name)))
            KeepName(output.Name);
        return graph with { Nodes = [.. nodes], Initializers = Constants() };
    }

    private Tensor? Weight(string name) =>
        graph.Initializers.TryGetValue(name, out var tensor) && tensor is { Type: ElementType.Float, Rank: 2 } ? tensor : null;

    private static Node WithInput(Node node, int index, string name) => node with { Inputs = node.Inputs.SetItem(index, name) };

    /// <param name="inFp16">It reads fp16 inputs as they are.</param>
    private void Emit(Node node, bool inFp16)
    {
        nodes.Add(
            node with
            {
                Inputs = [.. node.Inputs.Select(input => inFp16 && fp16.Contains(input) ? input : renamed.GetValueOrDefault(input, input))],
            }
        );
        foreach (var output in node.Outputs)
        {
            if (activations.TryGetValue(output, out var parameters))
                QuantizeDequantize(output, parameters);
        }
    }

    private void QuantizeDequantize(string value, AffineParameters parameters)
    {
        var (scale, zeroPoint) = Parameters(value, parameters);
        nodes.Add(new Node("QuantizeLinear", names.Of(value, "QuantizeLinear"), [value, scale, zeroPoint], [names.Of(value, "quantized")]));
        Dequantize(value, scale, zeroPoint);
    }

    /// <summary>From the value of that name and role.</summary>
    private void Dequantize(string value, string scale, string zeroPoint)
    {
        nodes.Add(
            new Node(
                "DequantizeLinear",
                names.Of(value, "DequantizeLinear"),
                [names.Of(value, "quantized"), scale, zeroPoint],
                [names.Of(value, "dequantized")]
            )
        );
        renamed[value] = names.Of(value, "dequantized");
    }

    /// <summary>An int8 embedding table: the rows are gathered as int8, with the scale of what is gathered.</summary>
    private void Table(Node gather, Tensor table, AffineParameters parameters)
    {
        var value = gather.Output;
        var (scale, zeroPoint) = Parameters(value, parameters);
        var rows = names.Of(value, "table");
        initializers[rows] = WeightQuantizer.PerTensor(table, parameters);
        nodes.Add(gather with { Inputs = [rows, gather.Inputs[1]], Outputs = [names.Of(value, "quantized")] });
        Dequantize(value, scale, zeroPoint);
    }

    private (string Scale, string ZeroPoint) Parameters(string value, AffineParameters parameters)
    {
        initializers[names.Of(value, "scale")] = Tensor.Scalar(parameters.Scale);
        initializers[names.Of(value, "zero_point")] = Tensor.Scalar(parameters.ZeroPoint);
        return (names.Of(value, "scale"), names.Of(value, "zero_point"));
    }

    private string Quantized(string name, Tensor weight, int axis)
    {
        var dequantized = names.Of(name, "dequantized");
        if (initializers.ContainsKey(names.Of(name, "quantized")))
            return dequantized;
        var quantized = method == QuantizationMethod.Channel ? WeightQuantizer.PerChannel(weight, axis) : WeightQuantizer.PerTensor(weight);
        initializers[names.Of(name, "quantized")] = quantized.Values;
        initializers[names.Of(name, "scale")] = quantized.Scales;
        initializers[names.Of(name, "zero_point")] = quantized.ZeroPoints;
        nodes.Add(
            new Node(
                "DequantizeLinear",
                names.Of(name, "DequantizeLinear"),
                [names.Of(name, "quantized"), names.Of(name, "scale"), names.Of(name, "zero_point")],
                [dequantized]
            )
            {
                Attributes = quantized.Axis is { } channels ? [Attributes.Of("axis", (long)channels)] : [],
            }
        );
        return dequantized;
    }

    /// <summary>The graph's output keeps its name: the value before quantization gives it up.</summary>
    private void KeepName(string output)
    {
        var raw = names.Of(output, "raw");
        for (var i = 0; i < nodes.Count; i++)
        {
            nodes[i] = nodes[i].Rewired(output, raw).Rewired(renamed[output], output) with
            {
                Outputs = [.. nodes[i].Outputs.Select(Swapped)],
            };
        }

        string Swapped(string name)
        {
            if (name == output)
                return raw;
            return name == renamed[output] ? output : name;
        }
    }

    /// <summary>Constants that are still read; scales and biases of LayerNorms that are not fp16 hold what int8 leaves of them.</summary>
    private OrderedDictionary<string, Tensor> Constants()
    {
        var read = nodes.SelectMany(node => node.Inputs).ToHashSet();
        var rounded = PatternMatches
            .Of(graph)
            .LayerNorms.Where(norm => !fp16.Contains(norm.Output))
            .SelectMany(norm => new[] { norm.Scale, norm.Bias })
            .ToHashSet();
        var constants = new OrderedDictionary<string, Tensor>();
        foreach (var (name, tensor) in graph.Initializers.Concat(initializers).Where(entry => read.Contains(entry.Key)))
            constants[name] = rounded.Contains(name) ? Rounded(tensor) : tensor;
        return constants;
    }

    private static Tensor Rounded(Tensor weight)
    {
        var values = weight.Span<float>();
        var parameters = AffineParameters.Covering(TensorPrimitives.Min(values), TensorPrimitives.Max(values));
        var rounded = values.ToArray();
        foreach (ref var value in rounded.AsSpan())
            value = parameters.Dequantize(parameters.Quantize(value));
        return Tensor.Of(weight.Shape.AsSpan(), rounded);
    }
}
