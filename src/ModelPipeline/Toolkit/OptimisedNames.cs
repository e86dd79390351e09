using System.Text.RegularExpressions;
using ModelPipeline.Onnx;

namespace ModelPipeline.Toolkit;

/// <summary>
/// Which tensor of the toolkit's optimised graph holds a value of the prepared ONNX graph. The toolkit keeps ONNX names and appends what it did
/// (_rs reshaped, _tp transposed, _sw swapped, _mm, _sdpa, ...); a LayerNorm is named after its first ReduceMean node, and a bias is added inside its MatMul.
/// </summary>
/// <param name="graph">The prepared graph that the toolkit read.</param>
/// <param name="tensors">Names in a <c>.quantization.cfg</c>, in its order, which is that of execution.</param>
public sealed partial class OptimisedNames(Graph graph, IReadOnlyList<string> tensors)
{
    private readonly UseDef uses = new(graph);
    private readonly HashSet<string> names = [.. tensors];
    private readonly ILookup<string, string> byOrigin = tensors.ToLookup(Origin);

    /// <summary>The toolkit's name of a value, or null if the value was fused away.</summary>
    public string? Find(string value) => LayerNorm(value) ?? Named(value) ?? Biased(value);

    /// <summary>The value that a tensor of the toolkit holds, or null if there is none.</summary>
    public string? ValueOf(string tensor)
    {
        var origin = Origin(tensor);
        if (uses.Producer(origin) is not null)
            return origin;
        return graph.Nodes.FirstOrDefault(node => node.OpType == "Add" && Find(node.Output) == tensor)?.Output;
    }

    private string? Named(string value) => names.Contains(value) ? value : byOrigin[value].FirstOrDefault();

    /// <summary>x W + b</summary>
    private string? Biased(string value) =>
        uses.Producer(value) is { OpType: "Add" } add && add.Inputs.Any(IsConstant)
        && add.Inputs.FirstOrDefault(input => uses.Producer(input)?.OpType is "MatMul" or "Gemm") is { } product
            ? Named(product)
            : null;

    /// <summary>(x - mean) / deviation * scale + bias</summary>
    private string? LayerNorm(string value) =>
        Behind(value, "Add") is { } scaled && Behind(scaled.Output, "Mul") is { OpType: "Div" } quotient
        && uses.Producer(quotient.Inputs[0]) is { OpType: "Sub" } centred && uses.Producer(centred.Inputs[1]) is { OpType: "ReduceMean" } mean
        && names.Contains(mean.Name + "_2ln")
            ? mean.Name + "_2ln"
            : null;

    /// <summary>What is computed right before an operation with a constant.</summary>
    private Node? Behind(string value, string operation) =>
        uses.Producer(value) is { } node && node.OpType == operation && node.Inputs.Any(IsConstant) && node.Inputs.FirstOrDefault(input => !IsConstant(input)) is { } operand
            ? uses.Producer(operand)
            : null;

    private bool IsConstant(string value) => uses.Constant(value) is not null;

    private static string Origin(string tensor) => Suffixes().Replace(tensor, "");

    [GeneratedRegex(@"(?:[_-](?:rs|tp|sw|mm|sdpa|int8)|#\d+)+$")]
    private static partial Regex Suffixes();
}
