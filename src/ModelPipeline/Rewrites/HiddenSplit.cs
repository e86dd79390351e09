using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;

namespace ModelPipeline.Rewrites;

/// <summary>
/// Gives the few hidden channels of a feed-forward layer whose activations reach furthest a path of their own, in fp16: their columns of
/// the first and rows of the second matrix become two small products, whose result is added to the residual sum after that of the rest. In
/// the rest they are zero, so that one int8 scale fits the others. Exact.
/// </summary>
internal static class HiddenSplit
{
    public const int DefaultChannels = 16;
    private const string Suffix = "_rest";

    /// <summary>Samples on which channels are measured: outliers are the same channels on any text.</summary>
    private const int Samples = 32;

    public static Rewritten Apply(OnnxModel model, IReadOnlyList<IReadOnlyList<long[]>> samples, int channels)
    {
        var matches = PatternMatches.Of(model.Graph);
        var layers = matches.FeedForwards.Where(layer => layer.Hidden > 4 * channels && !IsSplit(layer)).ToList();
        if (layers.Count == 0)
            return Rewritten.Nothing(
                model,
                "no feed-forward layer of MatMul, GELU and MatMul that is much wider than the channels to split off"
            );
        if (samples.Count == 0)
            return Rewritten.Nothing(model, "there are no calibration samples");
        var hidden = TokenRows.Collect(
            model,
            [.. layers.Select(layer => (layer.Activation.Output, layer.Hidden))],
            [.. samples.Take(Samples)],
            1
        );
        var editing = new Editing(model, "rest");
        var float16 = layers
            .Zip(hidden)
            .SelectMany(pair => Split(pair.First, Chosen(pair.First, pair.Second.Reach, channels, editing), editing, model.Graph))
            .ToList();
        return new Rewritten(
            Fp16Plan.Add(editing.Apply(), float16),
            [.. layers.Select(layer => $"{layer.Residual.Output}: {channels} of {layer.Hidden} hidden channels by themselves")]
        );
    }

    private static bool IsSplit(FeedForward layer) =>
        layer.Residual.Output.EndsWith(Suffix, StringComparison.Ordinal) || layer.First.Outputs != layer.Hidden;

    /// <summary>Half of them by what they add to the output, then those with the largest activations; ascending.</summary>
    private static int[] Chosen(FeedForward layer, float[] reach, int count, Editing editing)
    {
        var second = editing.Matrix(layer.Second);
        var (width, weight) = (layer.Second.Outputs, new float[reach.Length]);
        for (var row = 0; row < weight.Length; row++)
            weight[row] = MathF.Abs(System.Numerics.Tensors.TensorPrimitives.MaxMagnitude(second.AsSpan(row * width, width)));
        var byOutput = Enumerable.Range(0, reach.Length).OrderByDescending(channel => reach[channel] * weight[channel]).Take(count / 2);
        var byReach = Enumerable.Range(0, reach.Length).OrderByDescending(channel => reach[channel]);
        return [.. byOutput.Concat(byReach).Distinct().Take(count).Order()];
    }

    /// <returns>What of the new path is to stay fp16.</returns>
    private static string[] Split(FeedForward layer, int[] chosen, Editing editing, Graph graph)
    {
        var (inputs, hidden, outputs) = (layer.First.Inputs, layer.Hidden, layer.Second.Outputs);
        var (first, second) = (editing.Matrix(layer.First), editing.Matrix(layer.Second));
        var bias = editing.Bias(layer.First) ?? new float[hidden];
        var (ownFirst, ownBias, ownSecond) = (
            new float[inputs * chosen.Length],
            new float[chosen.Length],
            new float[chosen.Length * outputs]
        );
        foreach (var (k, channel) in chosen.Index())
        {
            for (var row = 0; row < inputs; row++)
                (ownFirst[(row * chosen.Length) + k], first[(row * hidden) + channel]) = (first[(row * hidden) + channel], 0);
            (ownBias[k], bias[channel]) = (bias[channel], 0);
            second.AsSpan(channel * outputs, outputs).CopyTo(ownSecond.AsSpan(k * outputs));
            second.AsSpan(channel * outputs, outputs).Clear();
        }
        editing.Change(layer.First, first, layer.First.BiasName is null ? null : bias);
        editing.Change(layer.Second, second, null);

        var name = layer.Residual.Output;
        string Value(string what) => graph.Unused($"{name}_hidden_{what}");
        var (w1, b1) = (
            editing.Constant(Value("w1"), Tensor.Of([inputs, chosen.Length], ownFirst)),
            editing.Constant(Value("b1"), Tensor.Vector(ownBias))
        );
        var w2 = editing.Constant(Value("w2"), Tensor.Of([chosen.Length, outputs], ownSecond));
        List<Node> path =
        [
            new("MatMul", Value("first"), [layer.First.Input, w1], [Value("first")]),
            new("Add", Value("sum"), [Value("first"), b1], [Value("sum")]),
            .. Copied(layer.Activation, Value("sum"), Value("gelu"), graph, name),
            new("MatMul", Value("second"), [Value("gelu"), w2], [Value("second")]),
        ];
        var residual = editing.Now(layer.Residual);
        var rest = graph.Unused(name + Suffix);
        editing.Replace(
            layer.Residual,
            [
                residual with
                {
                    Name = residual.NameWith(Suffix),
                    Outputs = [rest],
                },
                .. path,
                new Node("Add", residual.Name, [rest, Value("second")], [name]),
            ]
        );
        return [Value("sum"), Value("gelu"), Value("second"), rest, name];
    }

    /// <summary>The layer's own GELU, of another value.</summary>
    private static IEnumerable<Node> Copied(Gelu gelu, string x, string y, Graph graph, string name)
    {
        var renamed = gelu.Nodes.ToDictionary(
            node => node.Output,
            node => node.Output == gelu.Output ? y : graph.Unused($"{name}_hidden_{node.Output}")
        );
        renamed[gelu.Input] = x;
        return InOrder(gelu.Nodes, graph)
            .Select(node =>
                node with
                {
                    Name = renamed[node.Output],
                    Inputs = [.. node.Inputs.Select(input => renamed.GetValueOrDefault(input, input))],
                    Outputs = [renamed[node.Output]],
                }
            );
    }

    private static IEnumerable<Node> InOrder(IReadOnlyList<Node> nodes, Graph graph)
    {
        var wanted = nodes.ToHashSet<Node>(ReferenceEqualityComparer.Instance);
        return graph.Nodes.Where(wanted.Contains);
    }
}
