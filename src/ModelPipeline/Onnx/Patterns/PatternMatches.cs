using ModelPipeline.Onnx.Checking;

namespace ModelPipeline.Onnx.Patterns;

/// <summary>What a transformer is made of, as found in one graph. Passes, quantizers and reports ask here, so that each form is known to
/// all of them.</summary>
internal sealed class PatternMatches
{
    private readonly HashSet<string> varying;
    private readonly Dictionary<string, Linear> linearsByOutput = [];
    private readonly Dictionary<string, LayerNorm> normsByOutput = [];

    private PatternMatches(Graph graph)
    {
        Graph = graph;
        Uses = new UseDef(graph);
        varying = Varying(graph);
        Linears = [.. graph.Nodes.Select(node => Linear.Of(node, Uses)).OfType<Linear>()];
        var values = new Lazy<IReadOnlyDictionary<string, InferredValue>>(() =>
            OnnxChecker.Check(new OnnxModel { Graph = graph, Opset = OnnxReader.NewestOpset }).Values
        );
        LayerNorms = [.. graph.Nodes.Select(node => LayerNorm.Of(node, Uses, Rank)).OfType<LayerNorm>()];
        Gelus = [.. graph.Nodes.Select(node => Gelu.Of(node, Uses)).OfType<Gelu>()];
        Attentions = [.. graph.Nodes.Select(node => Attention.Of(node, this)).OfType<Attention>()];
        foreach (var linear in Linears)
            linearsByOutput[linear.Output] = linear;
        foreach (var norm in LayerNorms)
            normsByOutput[norm.Output] = norm;
        FeedForwards = [.. Gelus.Select(gelu => FeedForward.Of(gelu, this)).OfType<FeedForward>()];

        int? Rank(string value) => values.Value.GetValueOrDefault(value)?.Shape?.Count;
    }

    public static PatternMatches Of(Graph graph) => new(graph);

    public Graph Graph { get; }

    public UseDef Uses { get; }

    /// <summary>In graph order, like all of these.</summary>
    public IReadOnlyList<Linear> Linears { get; }

    public IReadOnlyList<LayerNorm> LayerNorms { get; }

    public IReadOnlyList<Gelu> Gelus { get; }

    public IReadOnlyList<Attention> Attentions { get; }

    public IReadOnlyList<FeedForward> FeedForwards { get; }

    /// <summary>The projection that writes a value; null if none does.</summary>
    public Linear? LinearOf(string value) => linearsByOutput.GetValueOrDefault(value);

    /// <summary>The projection that a value is read from by way of layout and one factor for all; null if another value comes
    /// between.</summary>
    public Linear? ProjectionBehind(string value)
    {
        var name = value;
        while (true)
        {
            if (LinearOf(name) is { } linear)
                return linear.Sum is not null || linear.BiasName is null || linear.Product.OpType == "Gemm" ? linear : null;
            if (Uses.Producer(name) is not { } node || (Uses.OnlyConsumer(name) is null && name != value))
                return null;
            if (node.OpType is "Reshape" or "Transpose" or "Identity" or "Squeeze" or "Unsqueeze")
                name = node.Inputs[0];
            else if (node.OpType is "Mul" or "Div" && Uses.Scalar(node) is var (_, scaled))
                name = scaled;
            else
                return null;
        }
    }

    /// <summary>The same, if nothing else reads the value or what the projection writes: its weights may then change as the value
    /// is to.</summary>
    public Linear? OwnProjectionBehind(string value) =>
        Uses.OnlyConsumer(value) is not null && ProjectionBehind(value) is { } linear && Uses.OnlyConsumer(linear.Output) is not null
            ? linear
            : null;

    /// <summary>The norm that writes a value; null if none does.</summary>
    public LayerNorm? NormOf(string value) => normsByOutput.GetValueOrDefault(value);

    /// <summary>Whether a value depends on constants and on shapes alone.</summary>
    public bool IsStatic(string value) => !varying.Contains(value);

    private static HashSet<string> Varying(Graph graph)
    {
        var varying = graph.Inputs.Select(input => input.Name).ToHashSet();
        foreach (var node in graph.Nodes.Where(node => node.OpType is not ("Shape" or "Size") && node.Inputs.Any(varying.Contains)))
            varying.UnionWith(node.Outputs);
        return varying;
    }
}
