using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;

namespace ModelPipeline.Rewrites;

/// <summary>A place where the attention mask comes into what a Softmax reads: added to the scores, or choosing between them and a
/// constant.</summary>
/// <param name="Node">The Add, Sub or Where.</param>
/// <param name="ScoresIndex">The input that holds the scores.</param>
/// <param name="Factor">What the sum is multiplied with before the Softmax.</param>
internal sealed record MaskSite(Node Node, int ScoresIndex, float Factor);

/// <summary>Finds them by walking back from each Softmax.</summary>
internal sealed class MaskSites
{
    private static readonly HashSet<string> Passing =
    [
        "Reshape",
        "Identity",
        "Cast",
        "Squeeze",
        "Unsqueeze",
        "Transpose",
        "Clip",
        "Max",
        "Min",
        "Flatten",
        "Expand",
    ];
    private readonly PatternMatches matches;
    private readonly HashSet<string> ofMask;
    private readonly HashSet<string> ofOthers;
    private readonly HashSet<string> seen = [];

    private MaskSites(PatternMatches matches, string mask)
    {
        this.matches = matches;
        ofMask = Behind(matches.Graph, [mask]);
        ofOthers = Behind(matches.Graph, matches.Graph.Inputs.Select(input => input.Name).Where(name => name != mask));
    }

    public List<MaskSite> Sites { get; } = [];

    public static MaskSites Of(PatternMatches matches, string mask)
    {
        var sites = new MaskSites(matches, mask);
        foreach (var softmax in matches.Graph.Nodes.Where(node => node is { OpType: "Softmax", Domain: "" }))
            sites.Back(softmax.Inputs[0], 1);
        return sites;
    }

    /// <summary>Whether a value depends on the mask and on no other input.</summary>
    public bool IsOfMask(string value) => ofMask.Contains(value) && !ofOthers.Contains(value);

    private static HashSet<string> Behind(Graph graph, IEnumerable<string> inputs)
    {
        var behind = inputs.ToHashSet();
        foreach (var node in graph.Nodes.Where(node => node.OpType is not ("Shape" or "Size") && node.Reads.Any(behind.Contains)))
            behind.UnionWith(node.Outputs);
        return behind;
    }

    private void Back(string start, float factor)
    {
        var pending = new Stack<(string Value, float Factor)>([(start, factor)]);
        while (pending.TryPop(out var next))
        {
            if (!seen.Add(next.Value) || matches.Uses.Producer(next.Value) is not { Domain: "" } node)
                continue;
            switch (node.OpType)
            {
                case "Add" or "Sub":
                    var added = node.OpType == "Sub" ? 1 : Array.FindIndex([.. node.Inputs], IsOfMask);
                    if (added >= 0 && IsOfMask(node.Inputs[added]) && !IsOfMask(node.Inputs[1 - added]))
                        Sites.Add(new MaskSite(node, 1 - added, next.Factor));
                    foreach (var input in node.Inputs.Where(input => !IsOfMask(input)))
                        pending.Push((input, next.Factor));
                    break;
                case "Where":
                    var scores = Array.FindLastIndex([.. node.Inputs], input => !IsOfMask(input) && !IsFill(input));
                    if (IsOfMask(node.Inputs[0]) && scores > 0)
                        Sites.Add(new MaskSite(node, scores, next.Factor));
                    foreach (var input in node.Inputs.Skip(1).Where(input => !IsOfMask(input)))
                        pending.Push((input, next.Factor));
                    break;
                case "Mul" or "Div" when matches.Uses.Scalar(node) is var (number, value):
                    pending.Push((value, node.OpType == "Mul" ? next.Factor * number : next.Factor / number));
                    break;
                case var op when Passing.Contains(op):
                    pending.Push((node.Inputs[0], next.Factor));
                    break;
            }
        }
    }

    /// <summary>Numbers to put in the place of scores: constants, or what is spread over their shape.</summary>
    private bool IsFill(string value) =>
        matches.Uses.Constant(value) is not null
        || (matches.IsStatic(value) && matches.Uses.Producer(value)?.OpType is "ConstantOfShape" or "Expand");
}
