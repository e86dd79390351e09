using ModelPipeline.Core;

namespace ModelPipeline.Text;

/// <summary>One model input row: three arrays of the padded length, named as BERT exports name them.</summary>
/// <param name="InputIds">Token ids, padded with [PAD].</param>
/// <param name="AttentionMask">1 for tokens, 0 for padding.</param>
/// <param name="TokenTypeIds">0 for the first text and its special tokens, 1 for the second and its [SEP], 0 for padding.</param>
/// <param name="Length">Tokens before the padding.</param>
public sealed record TokenizedInput(long[] InputIds, long[] AttentionMask, long[] TokenTypeIds, int Length)
{
    /// <summary>Rows as runs of several take them: [batch, tokens] each, row-major. The last one is filled up with its last row.</summary>
    /// <param name="rows">All of one length.</param>
    /// <param name="batch">Rows a run, at least 1.</param>
    public static IReadOnlyList<TokenizedInput> Batches(IReadOnlyList<TokenizedInput> rows, int batch) =>
        batch == 1
            ? rows
            : [.. rows.Chunk(batch).Select(chunk => Joined([.. chunk, .. Enumerable.Repeat(chunk[^1], batch - chunk.Length)]))];

    private static TokenizedInput Joined(IReadOnlyList<TokenizedInput> rows) =>
        new(
            [.. rows.SelectMany(row => row.InputIds)],
            [.. rows.SelectMany(row => row.AttentionMask)],
            [.. rows.SelectMany(row => row.TokenTypeIds)],
            rows.Sum(row => row.Length)
        );

    /// <summary>The array for a model input of this name.</summary>
    /// <exception cref="PipelineException">The name is none of input_ids, attention_mask, token_type_ids.</exception>
    public long[] this[string input] =>
        input switch
        {
            "input_ids" => InputIds,
            "attention_mask" => AttentionMask,
            "token_type_ids" => TokenTypeIds,
            _ => throw new PipelineException(
                $"The model has an input '{input}', but only input_ids, attention_mask and token_type_ids can be filled; export the model "
                    + $"with these names."
            ),
        };
}
