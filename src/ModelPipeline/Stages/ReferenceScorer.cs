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

    /// <summary>Texts a run: the model's first axis, 1 if it is open.</summary>
    public int Batch { get; } = (int)(model.Graph.Inputs is [{ Shape: [{ Value: > 0 and var rows }, ..] }, ..] ? rows : 1);

    /// <summary>The answer to one text or pair.</summary>
    public float[] Score(TokenizedInput row, CancellationToken cancellation) => Score([row], cancellation)[0];

    /// <summary>The answer to each of at most <see cref="Batch"/> texts or pairs.</summary>
    public IReadOnlyList<float[]> Score(IReadOnlyList<TokenizedInput> rows, CancellationToken cancellation)
    {
        var run = TokenizedInput.Batches(rows, Batch)[0];
        return [.. Score([.. names.Select(name => run[name])], run.AttentionMask, cancellation).Take(rows.Count)];
    }

    /// <summary>The answers of one run.</summary>
    /// <param name="inputs">In the model's order, [<see cref="Batch"/>, sequence] each. Without an attention mask among them every token
    /// counts in pooling.</param>
    /// <param name="cancellation">Ends the run.</param>
    public IReadOnlyList<float[]> Score(IReadOnlyList<long[]> inputs, CancellationToken cancellation) =>
        Score(
            inputs,
            Array.IndexOf(names, "attention_mask") is >= 0 and var mask ? inputs[mask] : [.. Enumerable.Repeat(1L, inputs[0].Length)],
            cancellation
        );

    public void Dispose() => session.Dispose();

    private IReadOnlyList<float[]> Score(IReadOnlyList<long[]> inputs, long[] mask, CancellationToken cancellation)
    {
        using var outputs = session.Run(inputs, [answer.Output], cancellation);
        return answer.ReadAll(outputs[0].GetTensorDataAsSpan<float>(), mask, Batch);
    }
}
