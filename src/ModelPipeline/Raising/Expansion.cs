using System.Collections.Immutable;
using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Checking;
using ModelPipeline.Onnx.Proto;

namespace ModelPipeline.Raising;

/// <summary>The graph whose nodes are replaced one by one, and the constants that come with the new ones.</summary>
/// <param name="model">As it is read.</param>
/// <param name="opset">Version of the standard operators that are written.</param>
internal sealed class ExpandedGraph(OnnxModel model, int opset)
{
    private readonly CheckResult check = OnnxChecker.Check(model);

    public FreshNames Names { get; } = new(model.Graph);

    public UseDef Uses { get; } = new(model.Graph);

    public OrderedDictionary<string, Tensor> Constants { get; } = new(model.Graph.Initializers);

    public int Opset => opset;

    /// <summary>Shape as far as it is inferred; null for an unknown rank.</summary>
    public IReadOnlyList<Dimension>? Shape(string value) => check.Values.GetValueOrDefault(value)?.Shape;

    public ElementType TypeOf(string value) => check.Values.GetValueOrDefault(value)?.Type ?? ElementType.Undefined;

    /// <summary>The model with each node replaced by what <paramref name="expand"/> makes of it; null keeps a node.</summary>
    /// <param name="model">Keeps its operator set's number.</param>
    /// <param name="expand">Writes the nodes.</param>
    /// <param name="opset">In whose forms they are written; the model's own if not given.</param>
    public static OnnxModel Apply(OnnxModel model, Func<Node, Action<Expansion>?> expand, int? opset = null)
    {
        var graph = new ExpandedGraph(model, opset ?? model.Opset);
        var nodes = new List<Node>(model.Graph.Nodes.Length);
        foreach (var node in model.Graph.Nodes)
        {
            if (expand(node) is not { } write)
            {
                nodes.Add(node);
                continue;
            }
            var expansion = new Expansion(node, graph);
            write(expansion);
            nodes.AddRange(expansion.Nodes);
        }
        return model.With(model.Graph with { Nodes = [.. nodes], Initializers = graph.Constants });
    }
}

/// <summary>The standard nodes that take one node's place. Each method adds one and returns what it writes.</summary>
/// <param name="node">Which is replaced.</param>
/// <param name="graph">In which it stands.</param>
internal sealed class Expansion(Node node, ExpandedGraph graph)
{
    private const int AxesAreInputs = 13,
        ReducedAxesAreInputs = 18;
    private readonly List<Node> nodes = [];
    private string Id => node.Outputs.First(output => output.Length > 0);

    public Node Node => node;
    public ExpandedGraph Graph => graph;
    public IReadOnlyList<Node> Nodes => nodes;

    public bool Has(int input) => input < node.Inputs.Length && node.Inputs[input].Length > 0;

    public bool Writes(int output) => output < node.Outputs.Length && node.Outputs[output].Length > 0;

    public Tensor? Constant(int input) => Has(input) ? graph.Uses.Constant(node.Inputs[input]) : null;

    public string Value(string op, string role, ImmutableArray<string> inputs, params ImmutableArray<AttributeProto> attributes) =>
        Write(graph.Names.Of(Id, role), op, inputs, attributes);

    /// <summary>Adds a node that writes a value of the replaced one.</summary>
    public string Write(string output, string op, ImmutableArray<string> inputs, params ImmutableArray<AttributeProto> attributes)
    {
        var name = node.Name == "" || output == node.Output ? node.Name : graph.Names.Of(node.Name, $"{op}_{nodes.Count}");
        nodes.Add(new Node(op, name, inputs, [output]) { Attributes = attributes });
        return output;
    }

    /// <summary>The node as another operator or with other inputs, without some of its attributes.</summary>
    public void Same(string op, ImmutableArray<string>? inputs = null, params ReadOnlySpan<string> without)
    {
        var dropped = without.ToArray();
        nodes.Add(
            node with
            {
                OpType = op,
                Inputs = inputs ?? node.Inputs,
                Attributes = [.. node.Attributes.Where(attribute => !dropped.Contains(attribute.Name))],
            }
        );
    }

    /// <summary>The node with integers of an attribute as its second input instead.</summary>
    public void AttributeToInput(string attribute) =>
        Same(
            node.OpType,
            node.Ints(attribute) is { Length: > 0 } values
                ? [node.Inputs[0], Constant(attribute, Tensor.Vector<long>([.. values]))]
                : node.Inputs,
            attribute
        );

    public string Constant(string role, Tensor value)
    {
        var name = graph.Names.Of(Id, role);
        graph.Constants[name] = value;
        return name;
    }

    public string Reshape(string role, string x, params long[] shape) =>
        Value("Reshape", role, [x, Constant($"{role}_shape", Tensor.Vector(shape))]);

    public string Transpose(string role, string x, params long[] order) => Value("Transpose", role, [x], Attributes.Of("perm", order));

    public string Unsqueeze(string role, string x, params long[] axes) =>
        graph.Opset >= AxesAreInputs
            ? Value("Unsqueeze", role, [x, Constant($"{role}_axes", Tensor.Vector(axes))])
            : Value("Unsqueeze", role, [x], Attributes.Of("axes", axes));

    /// <summary>Mean over the last axis, which stays with size 1.</summary>
    public string Mean(string role, string x) =>
        graph.Opset >= ReducedAxesAreInputs
            ? Value("ReduceMean", role, [x, Constant($"{role}_axes", Tensor.Vector(-1L))], Attributes.Of("keepdims", 1L))
            : Value("ReduceMean", role, [x], Attributes.Of("axes", [-1L]), Attributes.Of("keepdims", 1L));

    public string Cast(string role, string x, ElementType type) => Value("Cast", role, [x], Attributes.Of("to", (long)type));

    /// <summary>The node cannot be said in standard operators, or not at this operator set.</summary>
    public PipelineException Refused(string reason) =>
        new(
            $"{node.OpType}{(node.Name.Length > 0 ? $" '{node.Name}'" : "")}{(node.Domain.Length > 0 ? $" of {node.Domain}" : "")}: "
                + $"{reason}"
        );
}
