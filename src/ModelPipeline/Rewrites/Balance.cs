using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;

namespace ModelPipeline.Rewrites;

/// <summary>
/// Evens out the channels of attention's inputs, each by what its partner can take: q / s and k s with s = sqrt(q999(|q|) / q999(|k|)), v /
/// s and the rows of the output projection times s with s = sqrt(q999(|v|)) over the geometric mean of these. Weights and biases take the
/// factors:
/// exact.
/// </summary>
internal static class Balance
{
    private const double Share = 0.999;
    private const int Rows = 4096;
    private const string Role = "balanced";

    /// <summary>Left in the model: doing it again would go on flattening v.</summary>
    private const string MetadataKey = "modelpipeline.balanced";
    private const float Least = 1e-3f;

    public static Rewritten Apply(OnnxModel model, IReadOnlyList<IReadOnlyList<long[]>> samples)
    {
        var matches = PatternMatches.Of(model.Graph);
        var found = matches.Attentions.Select(attention => Projections.Of(attention, matches)).OfType<Projections>().ToList();
        if (model.Metadata.ContainsKey(MetadataKey))
            return Rewritten.Nothing(model, "attention is balanced already");
        if (found.Count == 0)
            return Rewritten.Nothing(
                model,
                "no attention whose q, k and v are read straight from projections of their own (a rotation or a joint projection is "
                    + "between)"
            );
        if (samples.Count == 0)
            return Rewritten.Nothing(model, "there are no calibration samples");
        var values = TokenRows.Collect(
            model,
            [.. found.SelectMany(each => new[] { each.Query, each.Key, each.Value }).Select(linear => (linear.Output, linear.Outputs))],
            samples,
            Rows
        );
        var editing = new Editing(model, Role);
        List<string> lines = [];
        foreach (var (index, each) in found.Index())
        {
            var (q, k, v) = (Reach(values[3 * index]), Reach(values[(3 * index) + 1]), Reach(values[(3 * index) + 2]));
            float[] between = [.. q.Zip(k, (a, b) => MathF.Sqrt(a / b))];
            var mean = MathF.Exp(v.Average(MathF.Log) / 2);
            float[] context = [.. v.Select(a => MathF.Sqrt(a) / mean)];
            Columns(each.Query, s => 1 / between[s], editing);
            Columns(each.Key, s => between[s], editing);
            Columns(each.Value, s => 1 / context[s], editing);
            var output = editing.Matrix(each.Output);
            for (var i = 0; i < output.Length; i++)
                output[i] *= context[i / each.Output.Outputs];
            editing.Change(each.Output, output, null);
            lines.Add($"{each.Attention.Softmax.Output}: q and k, v and context balanced");
        }
        return new Rewritten(editing.Apply().WithMetadata((MetadataKey, "true")), lines)
        {
            Skipped =
                found.Count < matches.Attentions.Count
                    ? $"{matches.Attentions.Count - found.Count} attentions read q, k or v from elsewhere"
                    : null,
        };
    }

    private static float[] Reach(TokenRows rows) => [.. rows.Quantile(Share, ofMagnitude: true).Select(value => MathF.Max(value, Least))];

    private static void Columns(Linear linear, Func<int, float> factor, Editing editing)
    {
        var (matrix, bias) = (editing.Matrix(linear), editing.Bias(linear));
        for (var i = 0; i < matrix.Length; i++)
            matrix[i] *= factor(i % linear.Outputs);
        for (var i = 0; i < (bias?.Length ?? 0); i++)
            bias![i] *= factor(i);
        editing.Change(linear, matrix, bias);
    }

    /// <summary>The projections around an attention.</summary>
    private sealed record Projections(Attention Attention, Linear Query, Linear Key, Linear Value, Linear Output)
    {
        public static Projections? Of(Attention attention, PatternMatches matches)
        {
            var (query, key, value) = (
                matches.OwnProjectionBehind(attention.Query),
                matches.OwnProjectionBehind(attention.Key),
                matches.OwnProjectionBehind(attention.Value)
            );
            if (query is null || key is null || value is null || query == key || key == value || query.Outputs != key.Outputs)
                return null;
            return Ahead(attention.Context.Output, matches) is { } output && output.Inputs == value.Outputs
                ? new Projections(attention, query, key, value, output)
                : null;
        }

        private static Linear? Ahead(string value, PatternMatches matches)
        {
            var name = value;
            while (true)
            {
                if (matches.Uses.OnlyConsumer(name) is not { } node)
                    return null;
                if (matches.Linears.FirstOrDefault(linear => linear.Product == node && linear.Input == name) is { } projection)
                    return projection;
                if (node.OpType is not ("Reshape" or "Transpose" or "Identity" or "Squeeze" or "Unsqueeze"))
                    return null;
                name = node.Output;
            }
        }
    }
}
