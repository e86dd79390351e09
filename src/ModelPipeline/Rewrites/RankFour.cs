using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;

namespace ModelPipeline.Rewrites;

/// <summary>
/// Attention over [heads, tokens, width] (DeBERTa) as attention over [1, heads, tokens, width], which the toolkit fuses: q, k, v are taken
/// before their Reshape, k's divisor goes behind the product, what is added to the scores is reshaped and joined with the mask.
/// </summary>
internal static class RankFour
{
    public static Rewritten Apply(OnnxModel model)
    {
        var matches = PatternMatches.Of(model.Graph);
        var found = matches.Attentions.Select(attention => Flat.Of(attention, matches)).OfType<Flat>().ToList();
        if (found.Count == 0)
            return Rewritten.Nothing(
                model,
                matches.Attentions.Count == 0 ? "no attention was recognised" : "no attention is computed with heads as its first axis"
            );
        var nodes = model.Graph.Nodes.ToList();
        var constants = new Dictionary<string, Tensor>();
        foreach (var flat in found)
        {
            var at = nodes.IndexOf(flat.Last);
            nodes.RemoveAt(at);
            nodes.InsertRange(at, Written(flat, model.Graph, matches.Uses, constants));
        }
        var graph = model.Graph with { Nodes = [.. nodes], Initializers = model.Graph.InitializersWith(constants) };
        return new Rewritten(
            DeadNodes.Apply(model.With(graph)).Model,
            [.. found.Select(flat => $"{flat.Attention.Softmax.Output}: heads as the second axis")]
        );
    }

    /// <summary>An attention over rank 3.</summary>
    /// <param name="Q">[1, heads, tokens, width], like K and V.</param>
    /// <param name="Divisors">What k was divided by or multiplied with, one node each.</param>
    /// <param name="Flattened">Added to the scores of rank 3.</param>
    /// <param name="Added">Added to the scores of rank 4.</param>
    /// <param name="Target">The shape of rank 4 that the scores are given.</param>
    /// <param name="Last">The Reshape of the context to rank 4.</param>
    private sealed record Flat(
        Attention Attention,
        string Q,
        string K,
        string V,
        IReadOnlyList<Node> Divisors,
        IReadOnlyList<string> Flattened,
        IReadOnlyList<string> Added,
        Tensor Target,
        Node Last
    )
    {
        public static Flat? Of(Attention attention, PatternMatches matches)
        {
            var uses = matches.Uses;
            if (
                attention.Fills.Count > 0
                || attention.Scales.Count > 0
                || Heads(attention.Query, uses) is not { } q
                || Heads(attention.Value, uses) is not { } v
                || attention.Scores.Where(node => node.OpType == "Reshape").ToList() is not [var reshape]
                || uses.Constant(reshape.Inputs[1]) is not { } target
                || attention.Probabilities is not [{ OpType: "Reshape" }]
                || uses.OnlyConsumer(attention.Context.Output) is not { OpType: "Reshape" } last
            )
                return null;
            List<Node> divisors = [];
            var key = attention.Key;
            var turned = false;
            while (uses.Producer(key) is { } node)
            {
                if (node.OpType == "Transpose" && node.Ints("perm").SequenceEqual([0L, 2, 1]) && !turned)
                    (turned, key) = (true, node.Inputs[0]);
                else if (node.OpType is "Div" or "Mul" && uses.Scalar(node) is var (_, scaled))
                {
                    divisors.Add(node);
                    key = scaled;
                }
                else
                    break;
            }
            if (!turned || Heads(key, uses) is not { } k)
                return null;
            var reshaped = attention.Scores.TakeWhile(node => node.OpType != "Reshape").ToHashSet();
            return new Flat(
                attention,
                q,
                k,
                v,
                divisors,
                [.. attention.Addends.Where(addend => reshaped.Contains(addend.Node)).Select(addend => addend.Value)],
                [.. attention.Addends.Where(addend => !reshaped.Contains(addend.Node)).Select(addend => addend.Value)],
                target,
                last
            );
        }

        /// <summary>What a Reshape joins batch and heads of.</summary>
        private static string? Heads(string value, UseDef uses) =>
            uses.Producer(value) is { OpType: "Reshape" } reshape
            && uses.Constant(reshape.Inputs[1])?.Count == 3
            && uses.Producer(reshape.Inputs[0]) is { OpType: "Transpose" } transpose
            && transpose.Ints("perm").SequenceEqual([0L, 2, 1, 3])
                ? reshape.Inputs[0]
                : null;
    }

    private static List<Node> Written(Flat flat, Graph graph, UseDef uses, Dictionary<string, Tensor> constants)
    {
        List<Node> nodes = [];
        var name = flat.Attention.Softmax.Output;
        var keys = Made("Transpose", "keys", [flat.K]);
        nodes[^1] = nodes[^1] with { Attributes = [Attributes.Of("perm", 0L, 1, 3, 2)] };
        var scores = Made("MatMul", "product", [flat.Q, keys]);
        foreach (var (index, divisor) in flat.Divisors.Index())
            scores = Made(divisor.OpType, $"scaled_{index}", [scores, divisor.Inputs.First(input => uses.Constant(input) is not null)]);
        string? bias = null;
        foreach (var added in flat.Flattened)
            bias = bias is null ? added : Made("Add", "bias", [bias, added]);
        if (bias is not null)
        {
            var shape = graph.Unused("rank_four");
            constants[shape] = flat.Target;
            bias = Made("Reshape", "bias_heads", [bias, shape]);
        }
        foreach (var (index, added) in flat.Added.Index())
            bias = bias is null ? added : Made("Add", $"bias_{index}", [bias, added]);
        var masked = bias is null ? scores : Made("Add", "masked", [scores, bias]);
        var probabilities = Made("Softmax", "probabilities", [masked]);
        nodes[^1] = nodes[^1] with { Attributes = [Attributes.Of("axis", -1L)] };
        nodes.Add(new Node("MatMul", flat.Last.Name, [probabilities, flat.V], [flat.Last.Output]));
        return nodes;

        string Made(string op, string what, string[] inputs)
        {
            var output = graph.Unused($"{name}_{what}");
            nodes.Add(new Node(op, output, [.. inputs], [output]));
            return output;
        }
    }
}
