using ModelPipeline.Core;

namespace ModelPipeline.Onnx;

/// <summary>Runs the fp32 graph once a sample with the wanted tensors as extra outputs. Memory does not grow with the number of
/// samples.</summary>
internal static class GraphRuns
{
    /// <param name="samples">Inputs in the model's order, int64 [1, sequence] each.</param>
    /// <param name="observe">Sees every tensor of every sample, in the order of <paramref name="tensors"/>, one sample at a time.</param>
    public static void Observe(
        OnnxModel model,
        IReadOnlyList<string> tensors,
        IReadOnlyList<IReadOnlyList<long[]>> samples,
        Action<int, ReadOnlySpan<float>> observe,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellation = default
    )
    {
        if (samples.Count == 0)
            throw new PipelineException("the calibration set is empty; at least one sample is needed");
        var outputs = tensors.Select(name =>
            model.Graph.Outputs.FirstOrDefault(output => output.Name == name) ?? new ValueInfo(name, ElementType.Undefined, [])
        );
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
}
