using System.Numerics.Tensors;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;

namespace ModelPipeline.Rewrites;

/// <summary>The range that an int8 tensor is to cover.</summary>
public readonly record struct ClippedRange(float Min, float Max);

/// <summary>
/// Ranges of the int8 tensors that matter most, narrower than what calibration saw where that loses less: of what norm copies and contexts
/// give to a projection, by the squared error of its product; of q, k and v, by their own squared error.
/// </summary>
internal static class RangeClips
{
    /// <summary>Tokens whose errors are compared: the rare large ones must be among them.</summary>
    private const int Rows = 4096;
    private static readonly float[] Shares = [1, 0.95f, 0.9f, 0.85f, 0.8f, 0.7f, 0.6f, 0.5f, 0.4f];

    /// <param name="byProduct">False takes the squared error of the values themselves for all of them.</param>
    public static IReadOnlyDictionary<string, ClippedRange> Find(
        OnnxModel model,
        IReadOnlyList<IReadOnlyList<long[]>> samples,
        bool byProduct
    )
    {
        var matches = PatternMatches.Of(model.Graph);
        var float16 = Fp16Plan.OfModel(model).ToHashSet();
        var read = matches
            .Linears.Where(linear => !float16.Contains(linear.Output) && matches.Graph.Initializers.ContainsKey(linear.WeightName))
            .ToLookup(linear => linear.Input);
        var products = matches
            .LayerNorms.Select(norm => norm.Output)
            .Concat(matches.Attentions.Select(attention => Laid(attention.Context.Output, matches)))
            .Where(value => read[value].Any())
            .Distinct()
            .Select(value => (Name: value, Channels: read[value].First().Inputs))
            .ToList();
        var inner = matches
            .Attentions.SelectMany(attention => new[] { attention.Query, attention.Key, attention.Value })
            .Select(value => Projection(value, matches))
            .OfType<Linear>()
            .DistinctBy(linear => linear.Output)
            .Select(linear => (Name: linear.Output, Channels: linear.Outputs))
            .ToList();
        var laid = matches.Attentions.ToLookup(
            attention => Laid(attention.Context.Output, matches),
            attention => Chain(attention.Context.Output, matches)
        );
        var clips = new Dictionary<string, ClippedRange>();
        if (products.Count + inner.Count == 0)
            return clips;
        var rows = TokenRows.Collect(model, [.. products, .. inner], samples, Rows);
        var best = products
            .Select(product => (product.Name, Readers: byProduct ? read[product.Name].ToList() : []))
            .Concat(inner.Select(value => (value.Name, Readers: new List<Linear>())))
            .Zip(rows)
            .AsParallel()
            .AsOrdered()
            .Select(each => (each.First.Name, Range: Best(each.Second, each.First.Readers)));
        foreach (var (name, range) in best)
        {
            clips[name] = range;
            foreach (var other in laid[name].SelectMany(chain => chain))
                clips[other] = range;
        }
        return clips;
    }

    private static ClippedRange Best(TokenRows rows, List<Linear> readers)
    {
        var (low, high) = (rows.Smallest.Min(), rows.Largest.Max());
        var best = (Error: double.PositiveInfinity, Range: new ClippedRange(low, high));
        var weight = Importance(rows.Channels, readers);
        foreach (var share in Shares)
            Try(low * share, high * share);
        var both = best.Range;
        foreach (var share in Shares)
        {
            Try(low * share, both.Max);
            Try(both.Min, high * share);
        }
        return best.Range;

        void Try(float min, float max)
        {
            var range = new ClippedRange(min, max);
            if (Error(rows, weight, range) is var error && error < best.Error)
                best = (error, range);
        }
    }

    /// <summary>
    /// Squared error of the values, or of the products of their errors with the weights; by the diagonal of W W^T, which takes errors of
    /// channels as independent of each other.
    /// </summary>
    private static double Error(TokenRows rows, float[] weight, ClippedRange range)
    {
        var grid = Int8Grid.Covering(range.Min, range.Max);
        var (total, errors) = (0.0, new float[rows.Channels]);
        for (var row = 0; row < rows.Count; row++)
        {
            var values = rows.Row(row);
            values.CopyTo(errors);
            grid.Round(errors);
            TensorPrimitives.Subtract(values, errors, errors);
            TensorPrimitives.Multiply(errors, errors, errors);
            total += TensorPrimitives.Dot(errors, weight);
        }
        return total;
    }

    private static float[] Importance(int channels, List<Linear> readers)
    {
        var importance = new double[channels];
        if (readers.Count == 0)
            Array.Fill(importance, 1);
        foreach (var reader in readers)
        {
            var weight = reader.Weight.Span<float>();
            for (var i = 0; i < weight.Length; i++)
                importance[reader.Transposed ? i % reader.Inputs : i / reader.Outputs] += (double)weight[i] * weight[i];
        }
        return [.. importance.Select(each => (float)each)];
    }

    private static string Laid(string value, PatternMatches matches) => Chain(value, matches)[^1];

    /// <summary>A value in every layout that it is given before something reads it: the toolkit keeps one of them.</summary>
    private static List<string> Chain(string value, PatternMatches matches)
    {
        List<string> chain = [value];
        while (matches.Uses.OnlyConsumer(chain[^1]) is { OpType: "Reshape" or "Transpose" } layout)
            chain.Add(layout.Output);
        return chain;
    }

    private static Linear? Projection(string value, PatternMatches matches)
    {
        while (matches.LinearOf(value) is null && matches.Uses.Producer(value) is { OpType: "Reshape" or "Transpose" } layout)
            value = layout.Inputs[0];
        return matches.LinearOf(value);
    }
}
