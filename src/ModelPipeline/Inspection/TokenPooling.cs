using ModelPipeline.Core;

namespace ModelPipeline.Inspection;

/// <summary>A way from states [tokens, hidden] to a vector.</summary>
/// <param name="Name">As in models.yaml.</param>
/// <param name="Words">What it takes of the states, for people.</param>
/// <param name="Reduce">Does it.</param>
internal sealed record TokenPooling(string Name, string Words, TokenPooling.Reduction Reduce)
{
    /// <param name="states">[tokens, hidden], row-major.</param>
    /// <param name="hidden">Values a token.</param>
    /// <param name="tokens">Indices of the tokens that are no padding, ascending; at least one.</param>
    public delegate float[] Reduction(ReadOnlySpan<float> states, int hidden, IReadOnlyList<int> tokens);

    public static IReadOnlyList<TokenPooling> All { get; } =
    [
        new("mean", "the mean of the states of the tokens whose mask is 1", Mean),
        new("cls", "the state of the first token", (states, hidden, tokens) => states.Slice(tokens[0] * hidden, hidden).ToArray()),
        new(
            "last",
            "the state of the last token whose mask is 1",
            (states, hidden, tokens) => states.Slice(tokens[^1] * hidden, hidden).ToArray()
        ),
        new("none", "the states of all tokens whose mask is 1", Every),
    ];

    /// <exception cref="PipelineException">There is none of that name; the message lists what there is.</exception>
    public static TokenPooling Named(string name) =>
        All.FirstOrDefault(pooling => pooling.Name == name)
        ?? throw new PipelineException(
            $"Unknown pooling '{name}'. Use one of {string.Join(", ", All.Select(pooling => pooling.Name))}.",
            PipelineException.ConfigurationError
        );

    /// <param name="states">[tokens, hidden], row-major.</param>
    /// <param name="attentionMask">[tokens]; where it is 0 throughout, all tokens count.</param>
    public float[] Apply(ReadOnlySpan<float> states, ReadOnlySpan<long> attentionMask)
    {
        var tokens = new List<int>(attentionMask.Length);
        for (var t = 0; t < attentionMask.Length; t++)
        {
            if (attentionMask[t] != 0)
                tokens.Add(t);
        }
        if (tokens.Count == 0)
            tokens.AddRange(Enumerable.Range(0, attentionMask.Length));
        return Reduce(states, states.Length / attentionMask.Length, tokens);
    }

    private static float[] Mean(ReadOnlySpan<float> states, int hidden, IReadOnlyList<int> tokens)
    {
        var sum = new double[hidden];
        foreach (var token in tokens)
        {
            for (var h = 0; h < hidden; h++)
                sum[h] += states[(token * hidden) + h];
        }
        return [.. sum.Select(value => (float)(value / tokens.Count))];
    }

    /// <summary>All states, those of padding as zeros.</summary>
    private static float[] Every(ReadOnlySpan<float> states, int hidden, IReadOnlyList<int> tokens)
    {
        var every = new float[states.Length];
        foreach (var token in tokens)
            states.Slice(token * hidden, hidden).CopyTo(every.AsSpan(token * hidden));
        return every;
    }
}
