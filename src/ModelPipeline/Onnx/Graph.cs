using System.Collections.Immutable;
using ModelPipeline.Onnx.Proto;

namespace ModelPipeline.Onnx;

/// <summary>One operation. Empty input or output names stand for omitted optional ones.</summary>
public sealed record Node(string OpType, string Name, ImmutableArray<string> Inputs, ImmutableArray<string> Outputs)
{
    /// <summary>Empty for the standard operators.</summary>
    public string Domain { get; init; } = "";
    public ImmutableArray<AttributeProto> Attributes { get; init; } = [];

    /// <summary>Values of the graph around it that the branches of an If read; not among its inputs.</summary>
    public ImmutableArray<string> Captured { get; init; } = [];

    public string Output => Outputs[0];

    /// <summary>Its name with a suffix, for a copy; empty if it has none, for ONNX Runtime loads no model in which two nodes have one
    /// name.</summary>
    internal string NameWith(string suffix) => Name.Length == 0 ? "" : Name + suffix;

    /// <summary>Every value that it needs: inputs, and what its branches read.</summary>
    public IEnumerable<string> Reads => Captured.IsEmpty ? Inputs : Inputs.Concat(Captured);

    public AttributeProto? Attribute(string name) => Attributes.FirstOrDefault(attribute => attribute.Name == name);

    public long Int(string name, long otherwise) => Attribute(name) is { HasI: true } attribute ? attribute.I : otherwise;

    public ImmutableArray<long> Ints(string name) => Attribute(name) is { } attribute ? [.. attribute.Ints] : [];

    /// <summary>The same node reading <paramref name="to"/> wherever it read <paramref name="from"/>.</summary>
    public Node Rewired(string from, string to) =>
        Inputs.Contains(from) ? this with { Inputs = [.. Inputs.Select(name => name == from ? to : name)] } : this;
}

/// <summary>A dimension: a number, a symbol such as <c>batch_size</c>, or unknown (both null).</summary>
public readonly record struct Dimension(long? Value, string? Symbol)
{
    public static implicit operator Dimension(long value) => new(value, null);

    public override string ToString() => Value?.ToString() ?? Symbol ?? "?";
}

/// <summary>A graph input or output.</summary>
public sealed record ValueInfo(string Name, ElementType Type, ImmutableArray<Dimension> Shape)
{
    /// <summary>As in messages: <c>input_ids int64 [batch_size,128]</c>.</summary>
    public override string ToString() => $"{Name} {Type.ToString().ToLowerInvariant()} [{string.Join(',', Shape)}]";
}

/// <summary>A dataflow graph in single assignment form; nodes stand in topological order. Never changed: passes return new
/// graphs.</summary>
public sealed record Graph
{
    public required string Name { get; init; }
    public required ImmutableArray<ValueInfo> Inputs { get; init; }
    public required ImmutableArray<ValueInfo> Outputs { get; init; }
    public required ImmutableArray<Node> Nodes { get; init; }

    /// <summary>Constants by name, in file order.</summary>
    public required OrderedDictionary<string, Tensor> Initializers { get; init; }

    /// <summary>What nothing that is added may be called: the names of values, constants and nodes.</summary>
    internal HashSet<string> Names() =>
        [
            .. Inputs.Select(input => input.Name),
            .. Initializers.Keys,
            .. Nodes.SelectMany(node => node.Outputs.Concat(node.Captured).Append(node.Name)),
        ];

    /// <summary>The wanted name, or one like it that nothing in the graph has. <see cref="FreshNames"/> gives many, no two
    /// alike.</summary>
    public string Unused(string wanted)
    {
        var taken = Names();
        while (taken.Contains(wanted))
            wanted += "_";
        return wanted;
    }

    /// <summary>A copy with constants added or replaced.</summary>
    public OrderedDictionary<string, Tensor> InitializersWith(IEnumerable<KeyValuePair<string, Tensor>> added)
    {
        var all = new OrderedDictionary<string, Tensor>(Initializers);
        foreach (var (name, tensor) in added)
            all[name] = tensor;
        return all;
    }
}

/// <summary>Who writes and who reads each value of one graph.</summary>
public sealed class UseDef
{
    private readonly Graph graph;
    private readonly Dictionary<string, Node> producers = [];
    private readonly Dictionary<string, List<Node>> consumers = [];
    private readonly HashSet<string> outputs;

    public UseDef(Graph graph)
    {
        this.graph = graph;
        outputs = [.. graph.Outputs.Select(output => output.Name)];
        foreach (var node in graph.Nodes)
        {
            foreach (var output in node.Outputs)
                producers[output] = node;
            foreach (var input in node.Reads.Distinct())
                (consumers.TryGetValue(input, out var readers) ? readers : consumers[input] = []).Add(node);
        }
    }

    /// <summary>The node that writes a value; null for inputs and initializers.</summary>
    public Node? Producer(string value) => producers.GetValueOrDefault(value);

    /// <summary>The nodes that read a value, in graph order, each once.</summary>
    public IReadOnlyList<Node> Consumers(string value) => consumers.TryGetValue(value, out var readers) ? readers : [];

    /// <summary>Whether a value is an output of the graph.</summary>
    public bool IsOutput(string value) => outputs.Contains(value);

    /// <summary>The only reader of a value that is no graph output; null otherwise.</summary>
    public Node? OnlyConsumer(string value) => Consumers(value) is [var only] && !IsOutput(value) ? only : null;

    /// <summary>The constant behind a name: an initializer or the value of a Constant node; null otherwise.</summary>
    public Tensor? Constant(string value)
    {
        if (graph.Initializers.TryGetValue(value, out var tensor))
            return tensor;
        return Producer(value) is { OpType: "Constant", Domain: "", Attributes: [var content] } ? ConstantOf(content) : null;
    }

    /// <summary>What a node of two inputs reads beside a value; null if it has another number of inputs, or reads something else.</summary>
    public string? Other(Node node, string value)
    {
        if (node.Inputs.Length != 2)
            return null;
        if (node.Inputs[0] == value)
            return node.Inputs[1];
        return node.Inputs[1] == value ? node.Inputs[0] : null;
    }

    /// <summary>The number that a node of two inputs adds, multiplies with or divides by, and what it does so to; null if it has no such
    /// number.</summary>
    public (float Number, string Value)? Scalar(Node node)
    {
        if (node.Inputs.Length != 2)
            return null;
        if (Constant(node.Inputs[1])?.SingleFloat() is { } right)
            return (right, node.Inputs[0]);
        return node.OpType is "Add" or "Mul" && Constant(node.Inputs[0])?.SingleFloat() is { } left ? (left, node.Inputs[1]) : null;
    }

    private static Tensor? ConstantOf(AttributeProto content) =>
        content.Name switch
        {
            "value" when content.T is not null => OnnxReader.ReadTensor(content.T),
            "value_float" => Tensor.Scalar(content.F),
            "value_int" => Tensor.Scalar(content.I),
            "value_floats" => Tensor.Vector<float>([.. content.Floats]),
            "value_ints" => Tensor.Vector<long>([.. content.Ints]),
            _ => null,
        };
}
