using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Onnx;
using ModelPipeline.Tasks;

namespace ModelPipeline.Stages;

/// <summary>fp32 scores by ONNX Runtime.</summary>
internal sealed class ReferenceScorer(OnnxModel model, ModelTask task) : IDisposable
{
    private readonly InferenceSession session = InferenceSessions.Open(model);
    private readonly string output = model.Graph.Outputs[0].Name;
    private readonly int mask = model.Graph.Inputs.Select(input => input.Name).ToList().IndexOf("attention_mask");

    /// <param name="inputs">In the model's order, [1, sequence] each.</param>
    public float[] Score(IReadOnlyList<long[]> inputs, CancellationToken cancellation)
    {
        using var outputs = session.Run(inputs, [output], cancellation);
        return task.Read(outputs[0].GetTensorDataAsSpan<float>(), inputs[mask]);
    }

    public void Dispose() => session.Dispose();
}
