using ModelPipeline.Onnx.Checking;
using ModelPipeline.Onnx.Patterns;

namespace ModelPipeline.Onnx;

/// <summary>
/// Where rknn-toolkit2 puts tensors. Its compiler fuses LayerNorm (exNorm), attention (exSDPAttention) and a MatMul with its bias and the
/// GELU, activation or residual addition behind it (Conv, ConvExGelu, ConvTanh, ConvAdd), so the values inside those never become int8;
/// every other float value does. Layout operations keep their input's tensor, and a value of which only a slice is read takes the slice's
/// range.
/// </summary>
internal sealed class FusedOperators
{
    private static readonly HashSet<string> Layout = ["Reshape", "Transpose", "Unsqueeze", "Squeeze", "Identity", "Flatten", "Expand"];
    private static readonly HashSet<string> Selection = ["Slice", "Gather"];

    private readonly HashSet<string> interior = [];
    private readonly Dictionary<string, string> owners = [];

    private FusedOperators() { }

    /// <summary>Float activations that the NPU holds as tensors, in graph order: the points to calibrate and quantize.</summary>
    public required IReadOnlyList<string> Points { get; init; }

    /// <summary>The tensor that the fused operator of a node writes; layout operations belong to what reads them. Null for nodes without
    /// float results.</summary>
    public string? OwnerOf(Node node) => owners.GetValueOrDefault(node.Output);

    /// <summary>Output of the last LayerNorm; null if there is none.</summary>
    public string? LastNorm { get; private set; }

    public int LayerNorms { get; private set; }
    public int Gelus { get; private set; }
    public int Attentions => FusedAttentions.Count;

    /// <summary>Those that become one operator.</summary>
    public IReadOnlyList<Attention> FusedAttentions { get; private set; } = [];

    public static FusedOperators Of(Graph graph)
    {
        var matches = PatternMatches.Of(graph);
        var uses = matches.Uses;
        var points = new List<string>();
        var fused = new FusedOperators { Points = points };
        foreach (var norm in matches.LayerNorms)
            fused.Add(norm);
        foreach (var gelu in matches.Gelus)
        {
            fused.Inside(gelu.Nodes);
            fused.Gelus++;
        }
        fused.FusedAttentions = [.. matches.Attentions.Where(IsFused)];
        foreach (var attention in fused.FusedAttentions)
            fused.interior.UnionWith(attention.Scales.Select(scale => scale.Output));
        foreach (var linear in matches.Linears)
            fused.Add(linear, matches);
        var types = ValueTypes.Of(graph);
        points.AddRange(
            graph
                .Nodes.Where(node =>
                    types.GetValueOrDefault(node.Output) == ElementType.Float
                    && !fused.interior.Contains(node.Output)
                    && !Layout.Contains(node.OpType)
                    && !ReadOnlyThroughSelection(node.Output, graph, uses)
                )
                .Select(node => node.Output)
        );
        var isPoint = points.ToHashSet();
        foreach (var node in graph.Nodes.Reverse())
        {
            if (isPoint.Contains(node.Output))
                fused.owners[node.Output] = node.Output;
            else if (uses.Consumers(node.Output).Select(fused.OwnerOf).FirstOrDefault(owner => owner is not null) is { } owner)
                fused.owners[node.Output] = owner;
        }
        return fused;
    }

    /// <summary>
    /// Whether the compiler makes one exSDPAttention of it: nothing but a scale and one addition between product and Softmax, and nothing
    /// behind it.
    /// The scaled product is inside; the raw product, the masked scores and the probabilities are tensors.
    /// </summary>
    public static bool IsFused(Attention attention) =>
        attention.Fills.Count == 0
        && attention.Addends.Count <= 1
        && attention.Probabilities.All(IsNothing)
        && attention.Scores.Count(node => !IsNothing(node)) == attention.Addends.Count + attention.Scales.Count;

    /// <summary>The tensors within a fused attention: scores with and without the mask, and probabilities.</summary>
    public static IEnumerable<string> Inner(Attention attention) =>
        attention.Scores.Concat(attention.Probabilities).Append(attention.Product).Append(attention.Softmax).Select(node => node.Output);

    /// <summary>Nodes that the toolkit drops.</summary>
    private static bool IsNothing(Node node) =>
        node.OpType == "Identity" || (node.OpType == "Cast" && node.Int("to", 0) == (long)ElementType.Float);

    /// <summary>x W + b, and what is fused behind it.</summary>
    private void Add(Linear linear, PatternMatches matches)
    {
        var uses = matches.Uses;
        if (linear.Sum is not null)
            interior.Add(linear.Product.Output);
        var isActivated =
            uses.OnlyConsumer(linear.Output) is { OpType: "Add" or "Tanh" or "Relu" or "Gelu" }
            || matches.Gelus.Any(gelu => gelu.Input == linear.Output);
        if (isActivated)
            interior.Add(linear.Output);
    }

    private void Add(LayerNorm norm)
    {
        Inside(norm.Nodes);
        LastNorm = norm.Output;
        LayerNorms++;
    }

    /// <summary>All but the last of some nodes write values that are never tensors.</summary>
    private void Inside(IReadOnlyList<Node> nodes) => interior.UnionWith(nodes.SkipLast(1).Select(node => node.Output));

    private static bool ReadOnlyThroughSelection(string value, Graph graph, UseDef uses) =>
        uses.Consumers(value) is { Count: > 0 } readers
        && readers.All(reader => Selection.Contains(reader.OpType) && reader.Inputs[0] == value)
        && !graph.Outputs.Any(output => output.Name == value);
}
