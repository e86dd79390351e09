using System.Globalization;
using System.Numerics.Tensors;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;

namespace ModelPipeline.Rewrites;

/// <summary>
/// Gives the projections behind a LayerNorm a copy of it whose channels are shifted to the middle of their range and divided by s, which
/// the weights take back: gamma' = gamma / s, beta' = (beta - z) / s, W' = diag(s) W, b' = b + z W. The residual stream keeps the original.
/// Exact. With
/// z = (q.001 + q.999) / 2, a = the largest distance from it and w = the largest weight that reads a channel, s = a^alpha / w^(1 - alpha);
/// alpha, and whether to shift, by the smallest error of the products after quantizing both sides.
/// </summary>
internal static class NormCopy
{
    private const string Suffix = "_matmul_path";

    /// <summary>Tokens on which the choices are compared.</summary>
    private const int Rows = 192;
    private const double Tail = 0.001;
    private static readonly double[] Alphas = [0, 0.3, 0.5, 0.65, 0.8];

    public static Rewritten Apply(OnnxModel model, IReadOnlyList<IReadOnlyList<long[]>> samples)
    {
        var matches = PatternMatches.Of(model.Graph);
        var float16 = Fp16Plan.OfModel(model).ToHashSet();
        var norms = matches
            .LayerNorms.Where(norm => !norm.Output.EndsWith(Suffix, StringComparison.Ordinal))
            .Select(norm => (Norm: norm, Readers: Readers(norm, matches, float16)))
            .Where(pair => pair.Readers.Count > 0)
            .ToList();
        if (norms.Count == 0)
            return Rewritten.Nothing(model, "no LayerNorm is read by a projection that is quantized");
        if (samples.Count == 0)
            return Rewritten.Nothing(model, "there are no calibration samples");
        var rows = TokenRows.Collect(model, [.. norms.Select(pair => (pair.Norm.Output, pair.Readers[0].Inputs))], samples, 16 * Rows);
        var editing = new Editing(model, "scaled");
        List<string> lines = [];
        var read = norms.Select(pair => pair.Readers.Select(reader => new Reader(reader, editing.Matrix(reader))).ToList()).ToList();
        using var products = new MatrixProducts();
        var choices = rows.Zip(read).AsParallel().AsOrdered().Select(pair => Choose(pair.First, pair.Second, products)).ToList();
        foreach (var (index, ((norm, readers), choice)) in norms.Zip(choices).Index())
        {
            Write(norm, read[index], choice, editing, matches);
            lines.Add(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{norm.Output}: alpha {choice.Alpha}{(choice.IsShifted ? ", shifted" : "")}, error of {readers.Count} products "
                        + $"{choice.Error:0.00} of before"
                )
            );
        }
        return new Rewritten(editing.Apply(), lines);
    }

    /// <summary>Projections that read a norm and are int8 themselves.</summary>
    private static List<Linear> Readers(LayerNorm norm, PatternMatches matches, HashSet<string> float16) =>
        [.. matches.Linears.Where(linear => linear.Input == norm.Output && !float16.Contains(linear.Output))];

    /// <summary>A projection that reads a norm.</summary>
    /// <param name="Weight">Its matrix, [inputs, outputs].</param>
    private sealed record Reader(Linear Linear, float[] Weight)
    {
        /// <summary>What one channel of the norm is multiplied with.</summary>
        public Span<float> Row(int channel) => Weight.AsSpan(channel * Linear.Outputs, Linear.Outputs);

        /// <summary>What int8 leaves of the matrix with its rows multiplied.</summary>
        public float[] Quantized(float[] factors)
        {
            var (columns, scaled) = (Linear.Outputs, new float[Weight.Length]);
            var (low, high) = (new float[columns], new float[columns]);
            for (var row = 0; row < factors.Length; row++)
            {
                var line = scaled.AsSpan(row * columns, columns);
                TensorPrimitives.Multiply(Row(row), factors[row], line);
                TensorPrimitives.Min(line, low, low);
                TensorPrimitives.Max(line, high, high);
            }
            Int8Grid.RoundColumns(scaled, [.. low.Zip(high, Int8Grid.Covering)]);
            return scaled;
        }
    }

    /// <summary>What the channels of a norm are shifted and divided by.</summary>
    private sealed record Choice(double Alpha, bool IsShifted, float[] Shift, float[] Divisor, double Error);

    private static Choice Choose(TokenRows rows, IReadOnlyList<Reader> readers, MatrixProducts products)
    {
        var channels = rows.Channels;
        var reads = new float[channels];
        foreach (var reader in readers)
        {
            for (var row = 0; row < channels; row++)
                reads[row] = MathF.Max(reads[row], MathF.Abs(TensorPrimitives.MaxMagnitude(reader.Row(row))));
        }
        var unshifted = new Shifted(rows, new float[channels], readers, products);
        var plain = unshifted.Error([.. Enumerable.Repeat(1f, channels)]);
        List<(bool IsShifted, Shifted Rows)> possible = [(false, unshifted)];
        if (readers.All(reader => reader.Linear.BiasName is not null))
        {
            var (low, high) = (rows.Quantile(Tail), rows.Quantile(1 - Tail));
            possible.Insert(0, (true, new(rows, [.. low.Zip(high, (a, b) => (a + b) / 2)], readers, products)));
        }
        Choice? best = null;
        foreach (var (isShifted, shifted) in possible)
        {
            foreach (var alpha in Alphas)
            {
                var divisor = Divisor(rows, shifted.Shift, reads, alpha);
                var error = shifted.Error(divisor) / Math.Max(plain, double.Epsilon);
                if (best is null || error < best.Error)
                    best = new Choice(alpha, isShifted, shifted.Shift, divisor, error);
            }
        }
        return best!;
    }

    /// <summary>With geometric mean 1. Channels that are never far from the middle, or that nothing reads, must not lead to numbers near 0
    /// or infinity.</summary>
    private static float[] Divisor(TokenRows rows, float[] shift, float[] reads, double alpha)
    {
        const double least = 1e-3;
        var logs = new double[shift.Length];
        for (var channel = 0; channel < logs.Length; channel++)
        {
            var distance = Math.Max(rows.Largest[channel] - shift[channel], shift[channel] - rows.Smallest[channel]);
            logs[channel] = (alpha * Math.Log(Math.Max(distance, least))) - ((1 - alpha) * Math.Log(Math.Max(reads[channel], least)));
        }
        var mean = logs.Average();
        return [.. logs.Select(log => (float)Math.Exp(log - mean))];
    }

    /// <summary>Rows of a norm less a shift, and their exact products.</summary>
    private sealed class Shifted
    {
        private readonly TokenRows rows;
        private readonly IReadOnlyList<Reader> readers;
        private readonly MatrixProducts products;
        private readonly float[] values;
        private readonly IReadOnlyList<float[]> exact;

        public Shifted(TokenRows rows, float[] shift, IReadOnlyList<Reader> readers, MatrixProducts products)
        {
            (this.rows, this.readers, this.products, Shift) = (rows, readers, products, shift);
            var step = Math.Max(1, rows.Count / Rows);
            var channels = rows.Channels;
            values = new float[(rows.Count + step - 1) / step * channels];
            for (var row = 0; row * step < rows.Count; row++)
                TensorPrimitives.Subtract(rows.Row(row * step), shift, values.AsSpan(row * channels, channels));
            exact = [.. readers.Select(reader => products.Of(values, reader.Weight, channels))];
        }

        public float[] Shift { get; }

        /// <summary>Squared error of the products if the channels are divided by this, activations with one scale and weights with one a
        /// column.</summary>
        public double Error(float[] divisor)
        {
            var channels = rows.Channels;
            var (low, high) = (0f, 0f);
            for (var channel = 0; channel < channels; channel++)
            {
                low = MathF.Min(low, (rows.Smallest[channel] - Shift[channel]) / divisor[channel]);
                high = MathF.Max(high, (rows.Largest[channel] - Shift[channel]) / divisor[channel]);
            }
            var quantized = values.ToArray();
            for (var row = 0; row < quantized.Length; row += channels)
                TensorPrimitives.Divide(quantized.AsSpan(row, channels), divisor, quantized.AsSpan(row, channels));
            Int8Grid.Covering(low, high).Round(quantized);
            return readers
                .Zip(
                    exact,
                    (reader, right) =>
                        Math.Pow(TensorPrimitives.Distance(products.Of(quantized, reader.Quantized(divisor), channels), right), 2)
                )
                .Sum();
        }
    }

    private static void Write(LayerNorm norm, IReadOnlyList<Reader> readers, Choice choice, Editing editing, PatternMatches matches)
    {
        var copy = Copied(norm, choice, editing, matches);
        var last = norm.Nodes[^1];
        editing.Replace(last, [editing.Now(last), .. copy]);
        foreach (var (reader, weight) in readers)
        {
            var bias = editing.Bias(reader);
            var scaled = weight.ToArray();
            for (var row = 0; row < reader.Inputs; row++)
            {
                var line = scaled.AsSpan(row * reader.Outputs, reader.Outputs);
                if (bias is not null)
                    TensorPrimitives.MultiplyAdd(line, choice.Shift[row], bias, bias);
                TensorPrimitives.Multiply(line, choice.Divisor[row], line);
            }
            editing.Change(reader, scaled, bias);
            editing.Replace(reader.Product, editing.Now(reader.Product).Rewired(norm.Output, copy[^1].Output));
        }
    }

    /// <summary>The norm's nodes under other names, with its scale and bias changed.</summary>
    private static List<Node> Copied(LayerNorm norm, Choice choice, Editing editing, PatternMatches matches)
    {
        float[] scale = [.. matches.Uses.Constant(norm.Scale)!.Span<float>().ToArray().Zip(choice.Divisor, (g, s) => g / s)];
        var beta = norm.Bias is null ? new float[scale.Length] : matches.Uses.Constant(norm.Bias)!.Span<float>().ToArray();
        float[] bias = [.. beta.Select((b, channel) => (b - choice.Shift[channel]) / choice.Divisor[channel])];
        var gamma = editing.Constant($"{norm.Output}_copied_scale", Tensor.Vector(scale));
        string? shifted =
            norm.Bias is not null || choice.IsShifted ? editing.Constant($"{norm.Output}_copied_bias", Tensor.Vector(bias)) : null;
        var own = norm.Nodes.Select(node => node.Output).ToHashSet();
        var copies = norm
            .Nodes.Select(node =>
                node with
                {
                    Name = node.NameWith(Suffix),
                    Inputs = [.. node.Inputs.Select(Input)],
                    Outputs = [.. node.Outputs.Select(Name)],
                }
            )
            .ToList();
        if (norm.Bias is null && shifted is not null && copies is [{ OpType: "LayerNormalization" } only])
            copies[0] = only with { Inputs = [only.Inputs[0], only.Inputs[1], shifted] };
        else if (norm.Bias is null && shifted is not null)
            copies.Add(new Node("Add", $"{norm.Output}{Suffix}_shifted", [copies[^1].Output, shifted], [$"{norm.Output}_shifted{Suffix}"]));
        return copies;

        string Name(string value) => own.Contains(value) ? value + Suffix : value;

        string Input(string value)
        {
            if (value == norm.Scale)
                return gamma;
            return value == norm.Bias ? shifted! : Name(value);
        }
    }
}
