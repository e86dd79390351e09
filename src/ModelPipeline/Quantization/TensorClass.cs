using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Quantization;

/// <summary>Tensors that have one part in a model: what int8 costs there, and what helps against it, is told by class.</summary>
/// <param name="Name">In words.</param>
/// <param name="Points">Of <see cref="FusedOperators"/>; none for the weights.</param>
/// <param name="Remedy">The step of a recipe that is for it; empty if there is none.</param>
internal sealed record TensorClass(string Name, IReadOnlySet<string> Points, string Remedy)
{
    /// <summary>All weights of products, their scales and biases of norms; no activation.</summary>
    public bool IsWeights => Points.Count == 0;

    /// <summary>The classes that a graph has, each point in one of them, in the order of a layer.</summary>
    public static IReadOnlyList<TensorClass> Of(Graph graph, FusedOperators fused)
    {
        var matches = PatternMatches.Of(graph);
        var left = fused.Points.ToHashSet();
        var feeding = matches.FeedForwards.Select(layer => layer.First.Input).ToHashSet();
        var inputs = matches.Attentions.SelectMany(attention => new[] { attention.Query, attention.Key, attention.Value }).ToList();
        var attending = inputs.Select(value => matches.ProjectionBehind(value)?.Input).ToHashSet();
        List<TensorClass> classes =
        [
            Class("embeddings", Embeddings(matches), "fp16: [adds]"),
            Class("norms before attention", matches.LayerNorms.Select(norm => norm.Output).Where(attending.Contains), "norm-copy"),
            Class("q and k", Projected(attention => [attention.Query, attention.Key]), "balance"),
            Class("v", Projected(attention => [attention.Value]), "balance"),
            Class(
                "attention's scores",
                matches.Attentions.SelectMany(each => each.Scores.Append(each.Product)).Select(node => node.Output),
                "fp16: [attention]"
            ),
            Class(
                "attention's probabilities",
                matches.Attentions.SelectMany(each => each.Probabilities.Append(each.Softmax)).Select(node => node.Output),
                "fp16: [attention]"
            ),
            Class("context", matches.Attentions.Select(attention => attention.Context.Output), "ranges"),
            Class("norms before feed-forward", matches.LayerNorms.Select(norm => norm.Output).Where(feeding.Contains), "norm-copy"),
            Class("GELU", matches.Gelus.Select(gelu => gelu.Output), Pass.HiddenSplitName),
            Class("residual sums", Fp16Plan.Resolve(["adds"], graph, fused), "outlier-split, fp16: [adds]"),
            Class("other norms", matches.LayerNorms.Select(norm => norm.Output), "fp16: [norms]"),
            Class("everything else", [.. left], "fp16: [head]"),
        ];
        return [.. classes.Where(each => each.Points.Count > 0), new("weights", new HashSet<string>(), "")];

        TensorClass Class(string name, IEnumerable<string> points, string remedy) =>
            new(name, points.Where(left.Remove).ToHashSet(), remedy);

        IEnumerable<string> Projected(Func<Attention, string[]> values) =>
            matches.Attentions.SelectMany(values).Select(value => matches.ProjectionBehind(value)?.Output).OfType<string>();
    }

    /// <summary>What is gathered from tables, and its sums.</summary>
    private static HashSet<string> Embeddings(PatternMatches matches)
    {
        var found = new HashSet<string>();
        foreach (var node in matches.Graph.Nodes)
        {
            if (
                node.OpType == "Gather" && matches.Graph.Initializers.ContainsKey(node.Inputs[0])
                || node.OpType == "Add" && node.Inputs.Any(found.Contains)
            )
                found.Add(node.Output);
        }
        return found;
    }
}
