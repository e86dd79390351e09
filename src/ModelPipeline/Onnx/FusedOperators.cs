using ModelPipeline.Onnx.Checking;

namespace ModelPipeline.Onnx;

/// <summary>
/// Where rknn-toolkit2 puts tensors. Its compiler fuses LayerNorm (exNorm), attention (exSDPAttention) and a MatMul with its bias and the GELU,
/// activation or residual addition behind it (Conv, ConvExGelu, ConvTanh, ConvAdd), so the values inside those never become int8; every other
/// float value does. Layout operations keep their input's tensor, and a value of which only a slice is read takes the slice's range.
/// </summary>
internal sealed class FusedOperators
{
    private static readonly HashSet<string> Layout = ["Reshape", "Transpose", "Unsqueeze", "Squeeze", "Identity", "Flatten", "Expand"];
    private static readonly HashSet<string> Selection = ["Slice", "Gather"];

    private readonly HashSet<string> interior = [];
    private readonly HashSet<string> normWeights = [];

    private readonly Dictionary<string, string> owners = [];

    private FusedOperators() { }

    /// <summary>Float activations that the NPU holds as tensors, in graph order: the points to calibrate and quantize.</summary>
    public required IReadOnlyList<string> Points { get; init; }

    /// <summary>Scale and bias initializers of the LayerNorms.</summary>
    public IReadOnlyCollection<string> NormWeights => normWeights;

    /// <summary>The tensor that the fused operator of a node writes; layout operations belong to what reads them. Null for nodes without float results.</summary>
    public string? OwnerOf(Node node) => owners.GetValueOrDefault(node.Output);

    /// <summary>Output of the last LayerNorm; null if there is none.</summary>
    public string? LastNorm { get; private set; }

    public int LayerNorms { get; private set; }
    public int Gelus { get; private set; }
    public int Attentions { get; private set; }

    public static FusedOperators Of(Graph graph)
    {
        var uses = new UseDef(graph);
        var points = new List<string>();
        var fused = new FusedOperators { Points = points };
        foreach (var node in graph.Nodes)
        {
            switch (node.OpType)
            {
                case "Sqrt": fused.LayerNorm(node, uses); break;
                case "LayerNormalization": fused.Norm(node.Output, node.Inputs[1], node.Inputs.ElementAtOrDefault(2)); break;
                case "Erf": fused.Gelu(node, uses); break;
                case "Gelu": fused.Gelus++; break;
                case "Softmax": fused.Attention(node, uses); break;
                case "MatMul" or "Gemm" when uses.Constant(node.Inputs[1]) is not null: fused.Linear(node, uses); break;
            }
        }
        var types = ValueTypes.Of(graph);
        points.AddRange(graph.Nodes.Where(node => types.GetValueOrDefault(node.Output) == ElementType.Float && !fused.interior.Contains(node.Output)
            && !Layout.Contains(node.OpType) && !ReadOnlyThroughSelection(node.Output, graph, uses)).Select(node => node.Output));
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

    /// <summary>x W + b, and what is fused behind it.</summary>
    private void Linear(Node product, UseDef uses)
    {
        var last = product;
        if (uses.OnlyConsumer(product.Output) is { OpType: "Add" } bias && bias.Inputs.Any(input => uses.Constant(input) is { Rank: <= 1 }))
        {
            interior.Add(product.Output);
            last = bias;
        }
        if (uses.OnlyConsumer(last.Output) is { OpType: "Add" or "Tanh" or "Relu" or "Gelu" })
            interior.Add(last.Output);
        else if (uses.Consumers(last.Output).Any(reader => uses.OnlyConsumer(reader.Output) is { OpType: "Erf" }))
            interior.Add(last.Output);
    }

    /// <summary>sub = x - mean(x); y = sub / sqrt(mean(sub^2) + eps) * scale + bias, found from its square root.</summary>
    private void LayerNorm(Node sqrt, UseDef uses)
    {
        if (uses.OnlyConsumer(sqrt.Output) is not { OpType: "Div" } div || div.Inputs[1] != sqrt.Output
            || uses.Producer(sqrt.Inputs[0]) is not { OpType: "Add" } eps || eps.Inputs.FirstOrDefault(input => uses.Constant(input) is null) is not { } variance
            || uses.Producer(variance) is not { OpType: "ReduceMean" } mean2 || uses.Producer(mean2.Inputs[0]) is not { OpType: "Pow" or "Mul" } square
            || uses.Producer(square.Inputs[0]) is not { OpType: "Sub" } sub || div.Inputs[0] != sub.Output
            || uses.Producer(sub.Inputs[1]) is not { OpType: "ReduceMean" } mean
            || uses.OnlyConsumer(div.Output) is not { OpType: "Mul" } scale || uses.OnlyConsumer(scale.Output) is not { OpType: "Add" } bias)
            return;
        interior.UnionWith([mean.Output, sub.Output, square.Output, mean2.Output, eps.Output, sqrt.Output, div.Output, scale.Output]);
        Norm(bias.Output, scale.Inputs.First(input => input != div.Output), bias.Inputs.First(input => input != scale.Output));
    }

    private void Norm(string output, string scale, string? bias)
    {
        LastNorm = output;
        LayerNorms++;
        normWeights.Add(scale);
        if (!string.IsNullOrEmpty(bias))
            normWeights.Add(bias);
    }

    /// <summary>y = x * (1 + erf(x / sqrt 2)) / 2 in any order of its factors, found from its error function.</summary>
    private void Gelu(Node erf, UseDef uses)
    {
        if (uses.Producer(erf.Inputs[0]) is not { OpType: "Div" or "Mul" } argument || uses.OnlyConsumer(erf.Output) is not { OpType: "Add" } plusOne
            || uses.OnlyConsumer(plusOne.Output) is not { OpType: "Mul" } product)
            return;
        interior.UnionWith([argument.Output, erf.Output, plusOne.Output]);
        Gelus++;
        if (uses.OnlyConsumer(product.Output) is { OpType: "Mul" } half && half.Inputs.Any(input => uses.Constant(input)?.SingleFloat() is 0.5f))
            interior.Add(product.Output);
        else if (product.Inputs.FirstOrDefault(input => input != plusOne.Output) is { } halved && uses.Producer(halved) is { OpType: "Mul" } scaled && scaled.Inputs.Any(input => uses.Constant(input)?.SingleFloat() is 0.5f))
            interior.Add(halved);
    }

    /// <summary>softmax(q k / scale + mask) v: the scaled product is inside, the raw product, the masked scores and the probabilities are tensors.</summary>
    private void Attention(Node softmax, UseDef uses)
    {
        if (uses.Producer(softmax.Inputs[0]) is not { OpType: "Add" } masked)
            return;
        foreach (var input in masked.Inputs)
        {
            if (uses.Producer(input) is { OpType: "Div" or "Mul" } scaled && scaled.Inputs.Any(factor => uses.Constant(factor)?.SingleFloat() is not null)
                && scaled.Inputs.Any(product => uses.Producer(product)?.OpType == "MatMul"))
            {
                interior.Add(input);
                Attentions++;
            }
        }
    }

    private static bool ReadOnlyThroughSelection(string value, Graph graph, UseDef uses) =>
        uses.Consumers(value) is { Count: > 0 } readers
        && readers.All(reader => Selection.Contains(reader.OpType) && reader.Inputs[0] == value)
        && !graph.Outputs.Any(output => output.Name == value);
}
