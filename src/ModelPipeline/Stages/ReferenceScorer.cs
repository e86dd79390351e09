using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;

namespace ModelPipeline.Stages;

/// <summary>What a model says about one input: a reranker's logit [1], an embedder's mean-pooled hidden state [hidden].</summary>
internal static class ModelOutput
{
    /// <param name="output">First output of the model for batch 1: logits, or hidden states [sequence, hidden] of an embedder.</param>
    /// <param name="attentionMask">1 for tokens that count in the mean.</param>
    public static float[] Read(ReadOnlySpan<float> output, ModelTask task, ReadOnlySpan<long> attentionMask)
    {
        if (task == ModelTask.Rerank)
            return [output[0]];
        var hidden = output.Length / attentionMask.Length;
        var sum = new double[hidden];
        var tokens = 0;
        for (var t = 0; t < attentionMask.Length; t++)
        {
            if (attentionMask[t] == 0)
                continue;
            tokens++;
            for (var h = 0; h < hidden; h++)
                sum[h] += output[(t * hidden) + h];
        }
        return [.. sum.Select(value => (float)(value / Math.Max(tokens, 1)))];
    }
}

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
        return ModelOutput.Read(outputs[0].GetTensorDataAsSpan<float>(), task, inputs[mask]);
    }

    public void Dispose() => session.Dispose();
}
