using ModelPipeline.Core;
using ModelPipeline.Onnx;

namespace ModelPipeline.Rewrites;

/// <summary>How far a rewrite moves a model's fp32 outputs on random inputs with padding and on real text. What stands at padding does not
/// count.</summary>
internal sealed class Proof
{
    /// <summary>Largest shift of a rewrite that counts as exact, relative to the outputs' largest magnitude or 1.</summary>
    public const double Exact = 2e-5;
    private const int Probes = 4;
    private const int Texts = 8;

    private readonly OnnxModel model;
    private readonly IReadOnlyList<Probe> probes;
    private readonly IReadOnlyList<IReadOnlyList<long[]>> texts;
    private readonly Lazy<List<float[]>> expected;

    /// <param name="model">As it is before the rewrite.</param>
    /// <param name="samples">Inputs in the model's order; the first few serve.</param>
    public Proof(OnnxModel model, IReadOnlyList<IReadOnlyList<long[]>> samples)
    {
        this.model = model;
        probes = Probe.Of(model.Graph, Probes);
        texts = [.. samples.Take(Texts)];
        expected = new(() => Outputs(model));
    }

    /// <summary>Largest change of any output; 0 for the model itself, infinite for one that does not run or has outputs of other
    /// sizes.</summary>
    public double Shift(OnnxModel rewritten) => Shift(rewritten, out _);

    /// <inheritdoc cref="Shift(OnnxModel)"/>
    /// <param name="rewritten">The model after the rewrite.</param>
    /// <param name="failure">Why the change is infinite; null if it is not.</param>
    public double Shift(OnnxModel rewritten, out string? failure)
    {
        var before = expected.Value;
        List<float[]> after;
        try
        {
            after = Outputs(rewritten);
        }
        catch (PipelineException e)
        {
            failure = e.Message;
            return double.PositiveInfinity;
        }
        if (!before.Select(output => output.Length).SequenceEqual(after.Select(output => output.Length)))
        {
            failure = "outputs have another type or size";
            return double.PositiveInfinity;
        }
        var shift = Shift(before, after);
        failure = double.IsFinite(shift) ? null : "finite numbers of an output became infinite or NaN, or the reverse";
        return shift;
    }

    private static double Shift(List<float[]> before, List<float[]> after)
    {
        var (shift, largest) = (0.0, 1.0);
        foreach (var (was, now) in before.Zip(after))
        {
            foreach (var (a, b) in was.Zip(now))
            {
                // What was infinite or no number and is so still has not moved.
                var moved = a.Equals(b) ? 0 : Math.Abs((double)a - b);
                (shift, largest) = (Math.Max(shift, double.IsNaN(moved) ? double.PositiveInfinity : moved), Math.Max(largest, Finite(a)));
            }
        }
        return shift / largest;
    }

    private static double Finite(float value) => float.IsFinite(value) ? Math.Abs(value) : 0;

    private List<float[]> Outputs(OnnxModel candidate)
    {
        using var session = InferenceSessions.Open(candidate);
        var names = candidate.Graph.Outputs.Select(output => output.Name).ToList();
        var maskAt = candidate.Graph.Inputs.Select(input => input.Name).ToList().IndexOf(Probe.MaskOf(candidate.Graph) ?? "");
        List<float[]> outputs = [];
        foreach (var probe in probes)
        {
            using var values = session.Run(probe.Values(), names);
            outputs.AddRange(values.Select(value => Real(value, probe.Batch * probe.Sequence, probe.IsReal)));
        }
        foreach (var text in texts)
        {
            using var values = session.Run(text, names);
            outputs.AddRange(values.Select(value => Real(value, text[0].Length, position => maskAt < 0 || text[maskAt][position] != 0)));
        }
        return outputs;
    }

    /// <summary>The numbers of an output; of one that has a row for each token, those of real tokens.</summary>
    private static float[] Real(Microsoft.ML.OnnxRuntime.OrtValue value, int tokens, Func<int, bool> isReal)
    {
        var info = value.GetTensorTypeAndShape();
        if (info.ElementDataType != Microsoft.ML.OnnxRuntime.Tensors.TensorElementType.Float)
            return [];
        var all = value.GetTensorDataAsSpan<float>().ToArray();
        if (info.Shape.Length < 3 || info.Shape[0] * info.Shape[1] != tokens)
            return all;
        var width = all.Length / tokens;
        return [.. all.Where((_, index) => isReal(index / width))];
    }
}
