using ModelPipeline.Onnx.Patterns;

namespace ModelPipeline.Rewrites;

/// <summary>A part of every transformer that a plan can keep in fp16 by name.</summary>
/// <param name="Name">As written under <c>fp16</c> in models.yaml.</param>
/// <param name="Values">Its values in a graph, in graph order.</param>
internal sealed record Float16Class(string Name, Func<PatternMatches, IEnumerable<string>> Values)
{
    /// <summary>
    /// <c>adds</c>: the sums of the residual stream, and of the embeddings. <c>norms</c>: what LayerNorms write. <c>attention</c>: what
    /// attention writes, and its layout. The paths that hidden-split and outlier-split make stay fp16 in any case.
    /// </summary>
    public static IReadOnlyList<Float16Class> All { get; } =
    [
        new("adds", Sums),
        new("norms", matches => matches.LayerNorms.Select(norm => norm.Output)),
        new("attention", matches => matches.Attentions.SelectMany(attention => WithLayout(attention.Context.Output, matches))),
    ];

    /// <summary>Sums of activations that end in a LayerNorm.</summary>
    private static HashSet<string> Sums(PatternMatches matches)
    {
        var sums = new HashSet<string>();
        var pending = new Stack<string>(matches.LayerNorms.Select(norm => norm.Input));
        while (pending.TryPop(out var value))
        {
            if (
                matches.Uses.Producer(value) is not { OpType: "Add" } sum
                || matches.LinearOf(value) is not null
                || matches.NormOf(value) is not null
                || !sums.Add(value)
            )
                continue;
            foreach (var input in sum.Inputs)
                pending.Push(input);
        }
        return sums;
    }

    private static IEnumerable<string> WithLayout(string value, PatternMatches matches)
    {
        yield return value;
        while (matches.Uses.OnlyConsumer(value) is { OpType: "Reshape" or "Transpose" } layout)
        {
            value = layout.Output;
            yield return value;
        }
    }
}
