using System.Numerics.Tensors;
using System.Text.Json.Serialization;
using ModelPipeline.Core;

namespace ModelPipeline.Inspection;

/// <summary>How one row of the model's answer becomes what is compared: a reranker's score [1], or an embedder's vector.</summary>
/// <param name="Output">Name of the output that is the answer.</param>
public sealed record Answer(string Output)
{
    /// <summary>Rerankers: index of the score among a row's logits.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? Label { get; init; }

    /// <summary>Rerankers: the score is the first of these logits minus the second.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<int>? Difference { get; init; }

    /// <summary>Embedders: how token states become a vector, a name of <see cref="TokenPooling.All"/>; null where the model pools by
    /// itself.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Pooling { get; init; }

    /// <summary>Embedders: the vector is scaled to length 1.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool Normalize { get; init; }

    /// <summary>As in messages: <c>logits, label 1</c>.</summary>
    public override string ToString() =>
        string.Join(
            ", ",
            new[]
            {
                Output,
                Label is { } label ? $"label {label}" : null,
                Difference is [var plus, var minus] ? $"label {plus} minus label {minus}" : null,
                Pooling is null ? null : $"pooling {Pooling}",
                Normalize ? "scaled to length 1" : null,
            }.OfType<string>()
        );

    /// <summary>The answer to one input.</summary>
    /// <param name="row">The output's values for it: [labels], [hidden], or [tokens, hidden].</param>
    /// <param name="attentionMask">[tokens]; 1 for tokens that count in pooling.</param>
    public float[] Read(ReadOnlySpan<float> row, ReadOnlySpan<long> attentionMask)
    {
        if (Difference is [var plus, var minus])
            return [row[plus] - row[minus]];
        if (Label is { } label)
            return [row[label]];
        var vector = Pooling is { } pooling ? TokenPooling.Named(pooling).Apply(row, attentionMask) : row.ToArray();
        // A vector of zeros has no direction; validation says so.
        if (Normalize && TensorPrimitives.Norm<float>(vector) is var norm && norm > 0)
            TensorPrimitives.Divide(vector, norm, vector);
        return vector;
    }

    /// <summary>The answers of one run.</summary>
    /// <param name="output">The output's values, [batch, ...].</param>
    /// <param name="attentionMask">[batch, tokens].</param>
    /// <param name="batch">Inputs of the run.</param>
    /// <exception cref="PipelineException">The output has not equally many numbers for each input.</exception>
    public IReadOnlyList<float[]> ReadAll(ReadOnlySpan<float> output, ReadOnlySpan<long> attentionMask, int batch)
    {
        var (width, tokens) = (output.Length / batch, attentionMask.Length / batch);
        if (output.Length % batch != 0)
            throw new PipelineException(
                $"a run of {batch} texts gave {output.Length} numbers as output {Output}, which are not equally many for each: its first "
                    + $"axis is no batch; export the model with dynamic axes, or declare shapes of batch 1"
            );
        var answers = new float[batch][];
        for (var row = 0; row < batch; row++)
            answers[row] = Read(output.Slice(row * width, width), attentionMask.Slice(row * tokens, tokens));
        return answers;
    }

    public bool Equals(Answer? other) => other is not null && ToString() == other.ToString();

    public override int GetHashCode() => ToString().GetHashCode(StringComparison.Ordinal);
}
