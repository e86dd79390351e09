using ModelPipeline.Onnx;

namespace ModelPipeline.Raising;

/// <summary>Attention and embeddings of ONNX Runtime's optimizer, as exporters write them: heads by Reshape and Transpose, one product each
/// for Q, K and V.</summary>
internal static class FusedAttention
{
    private const float EmbedEpsilon = 1e-12f,
        MaskFilter = -10000;

    /// <summary>The three projections of one attention, [batch, tokens, heads * size] each, and the inputs that its mask and score bias
    /// are.</summary>
    private sealed record Projected(string Q, string K, string V, int Heads, (int Mask, int Bias) Inputs);

    /// <summary>input, weights [hidden, 3 hidden], bias, mask, past, score bias, past length.</summary>
    public static void Attention(Expansion e)
    {
        RequireNoPast(e, 4, 6);
        if (e.Constant(1) is not { Type: ElementType.Float, Rank: 2 } weights)
            throw e.Refused("its weights are no constant matrix");
        var sizes = Sizes(e, weights.Shape[1]);
        var parts = Columns(weights, sizes);
        var biases = e.Has(2) ? Columns(e.Constant(2) ?? throw e.Refused("its bias is no constant"), sizes) : null;
        string[] names = ["query", "key", "value"];
        var projected = names
            .Select(
                (name, i) =>
                {
                    var product = e.Value("MatMul", $"{name}_product", [e.Node.Inputs[0], e.Constant($"{name}_weight", parts[i])]);
                    return biases is null ? product : e.Value("Add", name, [product, e.Constant($"{name}_bias", biases[i])]);
                }
            )
            .ToArray();
        Attend(e, new Projected(projected[0], projected[1], projected[2], Heads(e), (3, 5)));
    }

    /// <summary>query, key, value, bias [3 hidden], padding mask, score bias, past key, past value.</summary>
    public static void MultiHead(Expansion e)
    {
        RequireNoPast(e, 6, 7);
        if (!e.Has(1) || !e.Has(2) || Enumerable.Range(0, 3).Any(input => e.Graph.Shape(e.Node.Inputs[input]) is { Count: not 3 }))
            throw e.Refused(
                "its query, key and value are packed; only [batch, tokens, hidden] each is known: start from the model as it was exported"
            );
        string[] names = ["query", "key", "value"];
        var projected = names.Select((_, i) => e.Node.Inputs[i]).ToArray();
        if (e.Has(3))
        {
            var bias = e.Constant(3) ?? throw e.Refused("its bias is no constant");
            var biases = Columns(bias, Sizes(e, bias.Shape[^1]));
            projected = [.. names.Select((name, i) => e.Value("Add", name, [projected[i], e.Constant($"{name}_bias", biases[i])]))];
        }
        Attend(e, new Projected(projected[0], projected[1], projected[2], Heads(e), (4, 5)));
    }

    /// <summary>softmax(q k / sqrt(size) + mask + bias) v.</summary>
    private static void Attend(Expansion e, Projected of)
    {
        if (e.Node.Int("unidirectional", 0) != 0 || e.Node.Int("do_rotary", 0) != 0)
            throw e.Refused("is causal or rotates positions itself; only an encoder's attention is known");
        if (e.Writes(1))
            throw e.Refused(
                "its keys and values are an output, which only generation needs; export the model for inference without a cache"
            );
        var hidden = e.Graph.Shape(of.Q)?[^1].Value ?? HiddenOf(e, of.Q);
        var size = hidden / of.Heads;
        var q = Split("query_heads", of.Q, 0, 2, 1, 3);
        var k = Split("key_heads", of.K, 0, 2, 3, 1);
        var v = Split("value_heads", of.V, 0, 2, 1, 3);
        var product = e.Value("MatMul", "scores", [q, k]);
        var scaled =
            e.Node.Attribute("scale")?.F is { } scale && scale != 0
                ? e.Value("Mul", "scaled", [product, e.Constant("scale", Tensor.Scalar(scale))])
                : e.Value("Div", "scaled", [product, e.Constant("root_size", Tensor.Scalar(MathF.Sqrt(size)))]);
        if (e.Has(of.Inputs.Bias))
            scaled = e.Value("Add", "biased_scores", [scaled, e.Node.Inputs[of.Inputs.Bias]]);
        if (e.Has(of.Inputs.Mask))
            scaled = e.Value("Add", "masked", [scaled, Mask(e, of.Inputs.Mask)]);
        var context = e.Value("MatMul", "context", [e.Value("Softmax", "probabilities", [scaled], Attributes.Of("axis", 3L)), v]);
        var shape = e.Constant("joined_shape", Tensor.Vector(0L, 0L, -1L));
        e.Write(e.Node.Output, "Reshape", [e.Transpose("joined", context, 0, 2, 1, 3), shape]);

        string Split(string role, string x, params long[] order) =>
            e.Transpose(role, e.Reshape($"{role}_split", x, 0, 0, of.Heads, -1), order);
    }

    /// <summary>(1 - mask) times a large negative number, to be added to the scores.</summary>
    private static string Mask(Expansion e, int input)
    {
        var mask = e.Node.Inputs[input];
        var padding = Lengths(e, mask) ?? mask;
        if (e.Graph.Shape(padding) is not { Count: 2 or 3 })
            throw e.Refused(
                $"its mask '{mask}' is neither [batch, tokens] nor [batch, tokens, tokens], nor the lengths of one that is; start from "
                    + $"the model as it was exported"
            );
        var filter = e.Node.Attribute("mask_filter_value")?.F ?? MaskFilter;
        var opened = e.Graph.Shape(padding) is { Count: 3 }
            ? e.Unsqueeze("mask_opened", padding, 1)
            : e.Unsqueeze("mask_opened", padding, 1, 2);
        var inverse = e.Value(
            "Sub",
            "mask_inverse",
            [e.Constant("one", Tensor.Scalar(1f)), e.Cast("mask_float", opened, ElementType.Float)]
        );
        return e.Value("Mul", "mask", [inverse, e.Constant("mask_filter", Tensor.Scalar(filter))]);
    }

    /// <summary>The 0 and 1 mask whose sums are the lengths that an attention takes; null if its mask is no such sum.</summary>
    private static string? Lengths(Expansion e, string mask) =>
        e.Graph.Uses.Producer(mask) switch
        {
            { OpType: "EmbedLayerNormalization", Inputs.Length: > 7 } embed
                when embed.Outputs.Length > 1 && embed.Outputs[1] == mask && embed.Inputs[7].Length > 0 => embed.Inputs[7],
            { OpType: "ReduceSum" } sum when sum.Int("keepdims", 1) == 0 => sum.Inputs[0],
            _ => null,
        };

    /// <summary>ids, segments, word, position and segment tables, scale, bias, mask, position ids; gives the norm, what the mask sums to,
    /// and the sum before the norm.</summary>
    public static void Embed(Expansion e)
    {
        if (
            e.Writes(1)
            && e.Graph.Uses.Consumers(e.Node.Outputs[1]).Any(reader => reader is not { OpType: "Attention", Domain.Length: > 0 })
        )
            throw e.Refused("its mask lengths are read by something else than an Attention; start from the model as it was exported");
        var words = e.Value("Gather", "words", [e.Node.Inputs[2], e.Node.Inputs[0]]);
        var positions = e.Value("Gather", "positions", [e.Node.Inputs[3], e.Has(8) ? e.Node.Inputs[8] : PositionIds(e)]);
        var sum = e.Value("Add", "words_positions", [words, positions]);
        if (e.Has(1) && e.Has(4))
            sum = e.Value("Add", "embeddings", [sum, e.Value("Gather", "segments", [e.Node.Inputs[4], e.Node.Inputs[1]])]);
        if (e.Writes(2))
            sum = e.Write(e.Node.Outputs[2], "Identity", [sum]);
        Norms.Layer(e, sum, (5, 6), Norms.Epsilon(e, EmbedEpsilon));
    }

    /// <summary>0, 1, 2 ... as many as there are tokens.</summary>
    private static string PositionIds(Expansion e)
    {
        var count = e.Graph.Shape(e.Node.Inputs[3])?[0].Value ?? throw e.Refused("its position table is no constant");
        var all = e.Constant(
            "all_positions",
            Tensor.Of([1, count], [.. Enumerable.Range(0, (int)count).Select(position => (long)position)])
        );
        var tokens = e.Value(
            "Gather",
            "tokens",
            [e.Value("Shape", "shape", [e.Node.Inputs[0]]), e.Constant("second", Tensor.Vector(1L))],
            Attributes.Of("axis", 0L)
        );
        return e.Value(
            "Slice",
            "position_ids",
            [all, e.Constant("from", Tensor.Vector(0L)), tokens, e.Constant("along", Tensor.Vector(1L))]
        );
    }

    private static int Heads(Expansion e) =>
        e.Node.Int("num_heads", 0) is > 0 and < 4096 and var heads ? (int)heads : throw e.Refused("says no number of heads");

    /// <summary>Columns of Q, K and V.</summary>
    private static long[] Sizes(Expansion e, long columns)
    {
        long[] sizes = e.Node.Ints("qkv_hidden_sizes") is { Length: 3 } given ? [.. given] : [columns / 3, columns / 3, columns / 3];
        return sizes.Sum() == columns ? sizes : throw e.Refused($"its {columns} columns are not those of a query, a key and a value");
    }

    private static long HiddenOf(Expansion e, string q)
    {
        var columns = e.Constant(1) is { Rank: 2 } weights ? weights.Shape[1] : e.Constant(3)?.Shape[^1];
        return columns is { } all ? Sizes(e, all)[0] : throw e.Refused($"the width of '{q}' does not follow from the graph");
    }

    private static void RequireNoPast(Expansion e, params ReadOnlySpan<int> inputs)
    {
        foreach (var input in inputs)
        {
            if (e.Has(input))
                throw e.Refused(
                    "reads keys and values of earlier tokens, which only generation needs; export the model for inference without a cache"
                );
        }
    }

    /// <summary>A matrix or vector cut into pieces of its last axis.</summary>
    private static Tensor[] Columns(Tensor tensor, long[] sizes)
    {
        var columns = (int)tensor.Shape[^1];
        var rows = (int)(tensor.Count / columns);
        var start = 0;
        return
        [
            .. sizes.Select(size =>
            {
                var part = new float[rows * size];
                for (var row = 0; row < rows; row++)
                    tensor.Span<float>().Slice((row * columns) + start, (int)size).CopyTo(part.AsSpan((int)(row * size)));
                start += (int)size;
                return Tensor.Of([.. tensor.Shape[..^1], size], part);
            }),
        ];
    }
}
