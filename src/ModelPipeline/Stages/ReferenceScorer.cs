using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Inspection;
using ModelPipeline.Onnx;
using ModelPipeline.Text;

namespace ModelPipeline.Stages;

/// <summary>Scores of a graph by ONNX Runtime.</summary>
internal sealed class ReferenceScorer(OnnxModel model, Answer answer, RunSettings settings = default) : IDisposable
{
    private readonly InferenceSession session = InferenceSessions.Open(model, settings);
    private readonly string[] names = [.. model.Graph.Inputs.Select(input => input.Name)];

    /// <summary>The answer to one text or pair.</summary>
    public float[] Score(TokenizedInput row, CancellationToken cancellation) =>
        Score([.. names.Select(name => row[name])], row.AttentionMask, cancellation);

    /// <param name="inputs">In the model's order, [1, sequence] each. Without an attention mask among them every token counts in
    /// pooling.</param>
    /// <param name="cancellation">Ends the run.</param>
    public float[] Score(IReadOnlyList<long[]> inputs, CancellationToken cancellation) =>
        Score(
            inputs,
            Array.IndexOf(names, "attention_mask") is >= 0 and var mask ? inputs[mask] : [.. Enumerable.Repeat(1L, inputs[0].Length)],
            cancellation
        );

    public void Dispose() => session.Dispose();

    private float[] Score(IReadOnlyList<long[]> inputs, long[] mask, CancellationToken cancellation)
    {
        using var outputs = session.Run(inputs, [answer.Output], cancellation);
        return answer.Read(outputs[0].GetTensorDataAsSpan<float>(), mask);
    }
}
