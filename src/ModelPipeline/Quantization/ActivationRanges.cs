using System.Numerics.Tensors;
using ModelPipeline.Onnx;

namespace ModelPipeline.Quantization;

/// <summary>Smallest and largest value that a tensor took over the calibration samples.</summary>
public readonly record struct ActivationRange(float Min, float Max)
{
    public static ActivationRange Empty { get; } = new(float.PositiveInfinity, float.NegativeInfinity);

    public ActivationRange Union(ActivationRange other) => new(MathF.Min(Min, other.Min), MathF.Max(Max, other.Max));
}

/// <summary>Runs the fp32 graph once a sample with the wanted tensors as extra outputs. Memory does not grow with the number of samples.</summary>
public static class ActivationRanges
{
    /// <param name="samples">Inputs in the model's order, int64 [1, sequence] each.</param>
    /// <param name="observe">Sees every tensor of every sample, in the order of <paramref name="tensors"/>, one sample at a time.</param>
    public static void Run(
        OnnxModel model, IReadOnlyList<string> tensors, IReadOnlyList<IReadOnlyList<long[]>> samples, Action<int, ReadOnlySpan<float>> observe,
        IProgress<StageProgress>? progress = null, CancellationToken cancellation = default)
    {
        if (samples.Count == 0)
            throw new PipelineException("the calibration set is empty; at least one sample is needed");
        var outputs = tensors.Select(name => model.Graph.Outputs.FirstOrDefault(output => output.Name == name) ?? new ValueInfo(name, ElementType.Undefined, []));
        using var session = InferenceSessions.Open(model.With(model.Graph with { Outputs = [.. outputs] }));
        for (var i = 0; i < samples.Count; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            progress?.Report(new StageProgress("calibrating", i, samples.Count));
            using var values = session.Run(samples[i], tensors, cancellation);
            for (var t = 0; t < tensors.Count; t++)
                observe(t, values[t].GetTensorDataAsSpan<float>());
        }
        progress?.Report(new StageProgress("calibrating", samples.Count, samples.Count));
    }

    /// <summary>The range of each tensor.</summary>
    /// <exception cref="PipelineException">A tensor became infinite or not a number.</exception>
    public static IReadOnlyDictionary<string, ActivationRange> Collect(
        OnnxModel model, IReadOnlyList<string> tensors, IReadOnlyList<IReadOnlyList<long[]>> samples,
        IProgress<StageProgress>? progress = null, CancellationToken cancellation = default)
    {
        var ranges = Enumerable.Repeat(ActivationRange.Empty, tensors.Count).ToArray();
        Run(model, tensors, samples, (t, values) => ranges[t] = ranges[t].Union(new(TensorPrimitives.Min(values), TensorPrimitives.Max(values))), progress, cancellation);
        for (var t = 0; t < tensors.Count; t++)
        {
            if (!float.IsFinite(ranges[t].Min) || !float.IsFinite(ranges[t].Max))
                throw new PipelineException($"tensor '{tensors[t]}' reaches [{ranges[t].Min}, {ranges[t].Max}] on the calibration set; a finite range is needed to quantize it (is the mask rewrite on?)");
        }
        return tensors.Zip(ranges).ToDictionary(pair => pair.First, pair => pair.Second);
    }
}
