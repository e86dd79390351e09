using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;

namespace ModelPipeline.Rewrites;

/// <summary>
/// Adds a bias by position and the mask to each other before the scores: <c>scores + (bias + mask)</c>, the inner sum made once for all
/// layers. The toolkit fuses an attention with one addition, not with two.
/// </summary>
internal static class BiasMerge
{
    public static Rewritten Apply(OnnxModel model)
    {
        var matches = PatternMatches.Of(model.Graph);
        var found = matches.Attentions.Where(attention => attention.Addends.Count > 1).ToList();
        var merged = found.Where(attention => IsAdjacent(attention, matches.Uses)).ToList();
        if (merged.Count == 0)
            return Rewritten.Nothing(
                model,
                found.Count == 0
                    ? "no attention adds more than one thing to its scores"
                    : "the additions to the scores are not next to each other"
            );
        var nodes = model.Graph.Nodes.ToList();
        var sums = new Dictionary<string, string>();
        foreach (var attention in merged)
        {
            var (first, last) = (attention.Addends[0], attention.Addends[^1]);
            var scores = matches.Uses.Other(first.Node, first.Value)!;
            var sum = first.Value;
            foreach (var addend in attention.Addends.Skip(1))
                sum = Sum(sum, addend.Value, nodes.IndexOf(last.Node));
            nodes[nodes.IndexOf(last.Node)] = last.Node with { Inputs = [scores, sum] };
        }
        return new Rewritten(
            DeadNodes.Apply(model.With(model.Graph with { Nodes = [.. nodes] })).Model,
            [
                .. merged.Select(attention =>
                    $"{attention.Softmax.Output}: {string.Join(" and ", attention.Addends.Select(addend => addend.Value))} added before "
                    + $"the scores"
                ),
            ]
        );

        string Sum(string left, string right, int at)
        {
            var key = $"{left} + {right}";
            if (!sums.TryGetValue(key, out var sum))
            {
                sum = sums[key] = model.Graph.Unused($"attention_bias_{sums.Count}");
                nodes.Insert(at, new Node("Add", sum, [left, right], [sum]));
            }
            return sum;
        }
    }

    private static bool IsAdjacent(Attention attention, UseDef uses) =>
        attention.Addends.Zip(attention.Addends.Skip(1)).All(pair => uses.OnlyConsumer(pair.First.Node.Output) == pair.Second.Node);
}
