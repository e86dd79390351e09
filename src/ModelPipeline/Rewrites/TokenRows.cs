using System.Numerics.Tensors;
using ModelPipeline.Onnx;

namespace ModelPipeline.Rewrites;

/// <summary>What some values of a model were for the real tokens of a calibration set: a row of channels for each token.</summary>
/// <param name="Channels">Length of a row.</param>
/// <param name="Values">The kept rows, one after the other.</param>
/// <param name="Smallest">Of each channel, over all tokens.</param>
/// <param name="Largest">Likewise.</param>
internal sealed record TokenRows(int Channels, float[] Values, float[] Smallest, float[] Largest)
{
    public int Count => Values.Length / Channels;

    public ReadOnlySpan<float> Row(int index) => Values.AsSpan(index * Channels, Channels);

    /// <summary>Largest magnitude of each channel.</summary>
    public float[] Reach => [.. Smallest.Zip(Largest, (low, high) => MathF.Max(MathF.Abs(low), MathF.Abs(high)))];

    /// <summary>The value below which the given share of a channel's numbers lies, [0, 1].</summary>
    public float[] Quantile(double share, bool ofMagnitude = false)
    {
        var quantiles = new float[Channels];
        var column = new float[Count];
        for (var channel = 0; channel < Channels; channel++)
        {
            for (var row = 0; row < column.Length; row++)
                column[row] = ofMagnitude ? MathF.Abs(Values[(row * Channels) + channel]) : Values[(row * Channels) + channel];
            Array.Sort(column);
            quantiles[channel] = column[(int)Math.Round(share * (column.Length - 1))];
        }
        return quantiles;
    }

    /// <summary>Runs the model on every sample.</summary>
    /// <param name="values">Names and the number of channels, the last axis of each.</param>
    /// <param name="rows">At most so many rows of each are kept, evenly over the samples.</param>
    public static IReadOnlyList<TokenRows> Collect(
        OnnxModel model,
        IReadOnlyList<(string Name, int Channels)> values,
        IReadOnlyList<IReadOnlyList<long[]>> samples,
        int rows
    )
    {
        var mask = model.Graph.Inputs.Select(input => input.Name).ToList().IndexOf(Probe.MaskOf(model.Graph) ?? "");
        var lengths = samples.Select(sample => mask < 0 ? sample[0].Length : sample[mask].Count(token => token != 0)).ToList();
        var stride = Math.Max(1, lengths.Sum() / Math.Max(1, rows));
        var kept = values.Select(_ => new List<float>()).ToArray();
        var (seen, at) = (new long[values.Count], new int[values.Count]);
        var smallest = values.Select(value => Filled(value.Channels, float.PositiveInfinity)).ToArray();
        var largest = values.Select(value => Filled(value.Channels, float.NegativeInfinity)).ToArray();
        GraphRuns.Observe(
            model,
            [.. values.Select(value => value.Name)],
            samples,
            (t, all) =>
            {
                var channels = values[t].Channels;
                var sample = samples[at[t]++];
                for (var token = 0; token < all.Length / channels; token++)
                {
                    if (mask >= 0 && sample[mask][token] == 0)
                        continue;
                    var row = all.Slice(token * channels, channels);
                    TensorPrimitives.Min(row, smallest[t], smallest[t]);
                    TensorPrimitives.Max(row, largest[t], largest[t]);
                    if (seen[t]++ % stride == 0)
                        kept[t].AddRange(row);
                }
            }
        );
        return [.. values.Select((value, t) => new TokenRows(value.Channels, [.. kept[t]], smallest[t], largest[t]))];
    }

    private static float[] Filled(int count, float value)
    {
        var array = new float[count];
        Array.Fill(array, value);
        return array;
    }
}
