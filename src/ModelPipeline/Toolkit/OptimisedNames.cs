using System.Text.RegularExpressions;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;

namespace ModelPipeline.Toolkit;

/// <summary>
/// Which tensor of the toolkit's optimised graph holds a value of the prepared ONNX graph. The toolkit keeps ONNX names and appends what it
/// did (_rs reshaped, _tp transposed, _sw swapped, _mm, _sdpa, ...); a LayerNorm is named after its first ReduceMean node, and a bias is
/// added inside its MatMul.
/// </summary>
/// <param name="graph">The prepared graph that the toolkit read.</param>
/// <param name="tensors">Names in a <c>.quantization.cfg</c>, in its order, which is that of execution.</param>
public sealed partial class OptimisedNames(Graph graph, IReadOnlyList<string> tensors)
{
    private readonly PatternMatches matches = PatternMatches.Of(graph);
    private readonly HashSet<string> names = [.. tensors];
    private readonly ILookup<string, string> byOrigin = tensors.ToLookup(Origin);

    /// <summary>The toolkit's name of a value, or null if the value was fused away.</summary>
    public string? Find(string value) => LayerNorm(value) ?? Named(value) ?? Biased(value);

    /// <summary>All of the toolkit's tensors that hold a value, in any layout; empty if it was fused away.</summary>
    public IReadOnlyList<string> All(string value) =>
        [
            .. new[] { LayerNorm(value) }
                .OfType<string>()
                .Concat(byOrigin[value])
                .Concat(Find(value) is { } found ? [found] : [])
                .Concat(matches.Uses.Producer(value) is { Name.Length: > 0 } node ? byOrigin[node.Name] : [])
                .Distinct(),
        ];

    /// <summary>The value that a tensor of the toolkit holds, or null if there is none.</summary>
    public string? ValueOf(string tensor)
    {
        var origin = Origin(tensor);
        if (matches.Uses.Producer(origin) is not null)
            return origin;
        return graph.Nodes.FirstOrDefault(node => node.OpType == "Add" && Find(node.Output) == tensor)?.Output;
    }

    private string? Named(string value) => names.Contains(value) ? value : byOrigin[value].FirstOrDefault();

    /// <summary>x W + b is called as its product.</summary>
    private string? Biased(string value) => matches.LinearOf(value) is { Sum: not null } linear ? Named(linear.Product.Output) : null;

    private string? LayerNorm(string value) =>
        matches.NormOf(value) is { } norm && names.Contains(norm.Nodes[0].Name + "_2ln") ? norm.Nodes[0].Name + "_2ln" : null;

    private static string Origin(string tensor) => Suffixes().Replace(tensor, "");

    [GeneratedRegex(@"(?:[_-](?:rs|tp|sw|mm|sdpa|int8)|#\d+)+$")]
    private static partial Regex Suffixes();
}
