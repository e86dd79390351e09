using System.Numerics.Tensors;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;

namespace ModelPipeline.Quantization;

/// <summary>
/// How far each channel of the LayerNorms' outputs may reach, read from the weights alone. A few channels of a transformer's residual
/// stream take values tenfold the others' and would claim the whole int8 range. They betray themselves in the weights that write the
/// stream: the largest weight of their column is tens of times the usual one. Sums take the larger peak of their operands, LayerNorm scales
/// a usual channel to
/// <see cref="Usual"/> standard deviations and none beyond sqrt(channels), the most one value of a normalized row can be.
/// </summary>
internal sealed class CpuPeaks
{
    private const float Usual = 3.5f;

    /// <summary>Share of a peak that moves from the activations into the weights, as in SmoothQuant (Xiao et al., ICML 2023).</summary>
    private const float Migration = 0.75f;

    private readonly UseDef uses;
    private readonly Dictionary<string, float[]> norms = [];

    public CpuPeaks(PatternMatches matches)
    {
        uses = matches.Uses;
        foreach (var norm in matches.LayerNorms)
        {
            if (
                norm.Bias is not null
                && Channels(norm.Scale) is { } scale
                && Channels(norm.Bias) is { } bias
                && Relative(norm.Input) is { } peaks
                && scale.Count == peaks.Length
                && bias.Count == peaks.Length
            )
            {
                var (reach, limit) = (new float[peaks.Length], MathF.Sqrt(peaks.Length));
                for (var channel = 0; channel < reach.Length; channel++)
                {
                    var scaled = MathF.Abs(scale.Span<float>()[channel]) * MathF.Min(limit, Usual * peaks[channel]);
                    reach[channel] = scaled + MathF.Abs(bias.Span<float>()[channel]);
                }
                norms[norm.Output] = reach;
            }
        }
    }

    /// <summary>
    /// What to divide each channel of <paramref name="value"/> by, and multiply the rows of the weights that read it by, so that both
    /// quantize well:
    /// reach^m / weight^(1 - m) for m = <see cref="Migration"/>. Null if the value is no LayerNorm's.
    /// </summary>
    public float[]? Divisors(string value, IEnumerable<Tensor> readers)
    {
        if (!norms.TryGetValue(value, out var reach))
            return null;
        var weights = new float[reach.Length];
        foreach (var reader in readers)
        {
            var columns = (int)reader.Shape[1];
            for (var row = 0; row < weights.Length; row++)
                weights[row] = MathF.Max(
                    weights[row],
                    MathF.Abs(TensorPrimitives.MaxMagnitude(reader.Span<float>().Slice(row * columns, columns)))
                );
        }
        return [.. reach.Zip(weights, (a, w) => MathF.Pow(MathF.Max(a, Least), Migration) / MathF.Pow(MathF.Max(w, Least), 1 - Migration))];
    }

    /// <summary>Channels that say nothing, or weights that read nothing, must not lead to divisors near zero or infinity.</summary>
    private const float Least = 1e-3f;

    /// <summary>Peaks of a value as multiples of the median channel's; null where nothing is known.</summary>
    private float[]? Relative(string value)
    {
        if (norms.TryGetValue(value, out var reach))
            return ToMedian(reach);
        return uses.Producer(value) switch
        {
            { OpType: "MatMul" } product when Matrix(product.Inputs[1]) is { } weight => ToMedian(LargestInColumns(weight)),
            // Rows of rare tokens would tell most about a table's columns and least about what is gathered: usual peaks are assumed.
            { OpType: "Gather" } gather when Matrix(gather.Inputs[0]) is { } table => Enumerable.Repeat(1f, (int)table.Shape[1]).ToArray(),
            { OpType: "Add" } sum => Larger(sum.Inputs.Where(input => uses.Constant(input) is null).Select(Relative)),
            _ => null,
        };
    }

    private Tensor? Matrix(string name) => uses.Constant(name) is { Rank: 2, Type: ElementType.Float } matrix ? matrix : null;

    private static float[]? Larger(IEnumerable<float[]?> operands)
    {
        float[]? larger = null;
        foreach (var operand in operands)
        {
            if (operand is null || larger is not null && larger.Length != operand.Length)
                return null;
            larger = larger is null ? operand : [.. larger.Zip(operand, MathF.Max)];
        }
        return larger;
    }

    private static float[] LargestInColumns(Tensor weight)
    {
        var largest = new float[weight.Shape[1]];
        var magnitudes = new float[largest.Length];
        for (var row = 0; row < weight.Shape[0]; row++)
        {
            TensorPrimitives.Abs(weight.Span<float>().Slice(row * largest.Length, largest.Length), magnitudes);
            TensorPrimitives.Max(magnitudes, largest, largest);
        }
        return largest;
    }

    private static float[] ToMedian(float[] values)
    {
        var sorted = values.Order().ToArray();
        var median = sorted[sorted.Length / 2];
        return [.. values.Select(value => median > 0 ? value / median : 1)];
    }

    private Tensor? Channels(string name) => uses.Constant(name) is { Rank: 1, Type: ElementType.Float } vector ? vector : null;
}
