using System.Collections.Concurrent;
using ModelPipeline.Onnx;

namespace ModelPipeline.Quantization;

/// <summary>One graph on its way to int8.</summary>
internal sealed class CpuRewriting(OnnxModel model, CpuQuantizationSettings settings)
{
    private readonly Graph graph = model.Graph;
    private readonly UseDef uses = new(model.Graph);
    private readonly ConcurrentDictionary<(string Weight, CpuWeightForm Form), CpuWeight> weights = [];
    private readonly OrderedDictionary<string, Tensor> initializers = new(model.Graph.Initializers);
    private readonly List<Node> nodes = [];
    private readonly HashSet<string> written = [];

    public IReadOnlyList<CpuWeightReport> Report =>
    [
        .. from node in graph.Nodes
           let weight = WeightOf(node)
           where weight is not null
           select new CpuWeightReport(node.Name, weight, graph.Initializers[weight].Shape, Form(node)),
    ];

    /// <summary>The int8 form of every weight, in parallel.</summary>
    public void QuantizeWeights(CancellationToken cancellation)
    {
        var wanted = graph.Nodes.Select(node => (Weight: WeightOf(node)!, Form: Form(node))).Where(use => use.Form != CpuWeightForm.Float).Distinct();
        Parallel.ForEach(wanted, new ParallelOptions { CancellationToken = cancellation }, use =>
            weights[use] = use.Form == CpuWeightForm.Integer ? CpuWeights.Columns(graph.Initializers[use.Weight]) : CpuWeights.Rows(graph.Initializers[use.Weight]));
    }

    public OnnxModel Rewritten()
    {
        foreach (var node in graph.Nodes)
        {
            switch (Form(node))
            {
                case CpuWeightForm.Integer: Multiply(node); break;
                case CpuWeightForm.Stored when node.OpType == "Gather": GatherRows(node); break;
                case CpuWeightForm.Stored: Restore(node); break;
                default: nodes.Add(node); break;
            }
        }
        return model.With(graph with { Nodes = [.. nodes], Initializers = initializers });
    }

    private CpuWeightForm Form(Node node) =>
        WeightOf(node) is not { } weight || settings.KeepFloat.Contains(node.Name) || graph.Initializers[weight].Count < settings.MinElements ? CpuWeightForm.Float
        : node.OpType == "MatMul" ? CpuWeightForm.Integer
        : CpuWeightForm.Stored;

    /// <summary>The constant fp32 matrix that a node multiplies with or gathers rows of.</summary>
    private string? WeightOf(Node node)
    {
        var name = node switch
        {
            { OpType: "MatMul" or "Gemm", Domain: "" } => node.Inputs[1],
            { OpType: "Gather", Domain: "" } when node.Int("axis", 0) == 0 => node.Inputs[0],
            _ => null,
        };
        return name is not null && graph.Initializers.TryGetValue(name, out var tensor) && tensor is { Type: ElementType.Float, Rank: 2 } ? name : null;
    }

    /// <summary>
    /// x W as (q(x) q(W)) * scale(x) * scale(W). Rows of a LayerNorm are alike in range; other rows may differ tenfold, so they are first
    /// divided by their largest magnitude and the products multiplied by it: one scale a token instead of one a tensor.
    /// </summary>
    private void Multiply(Node product)
    {
        var weight = product.Inputs[1];
        var quantized = weights[(weight, CpuWeightForm.Integer)];
        initializers[$"{weight}_quantized"] = quantized.Values;
        initializers[$"{weight}_scale"] = quantized.Scales;
        var normed = IsNormed(product.Inputs[0]);
        var x = normed ? product.Inputs[0] : Leveled(product.Inputs[0]);
        var y = product.Output;
        if (written.Add($"{x}_quantized"))
            nodes.Add(new Node("DynamicQuantizeLinear", $"{x}_DynamicQuantizeLinear", [x], [$"{x}_quantized", $"{x}_scale", $"{x}_zero_point"]));
        nodes.Add(product with { OpType = "MatMulInteger", Inputs = [$"{x}_quantized", $"{weight}_quantized", $"{x}_zero_point"], Outputs = [$"{y}_sum"] });
        nodes.Add(Cast($"{y}_sum", $"{y}_float"));
        nodes.Add(Binary("Mul", $"{x}_scale", $"{weight}_scale", $"{y}_scale"));
        nodes.Add(Binary("Mul", $"{y}_float", $"{y}_scale", normed ? y : $"{y}_leveled"));
        if (!normed)
            nodes.Add(Binary("Mul", $"{y}_leveled", $"{product.Inputs[0]}_level", y));
    }

    private string Leveled(string x)
    {
        if (written.Add($"{x}_leveled"))
        {
            nodes.Add(new Node("Abs", $"{x}_Abs", [x], [$"{x}_magnitude"]));
            nodes.Add(new Node("ReduceMax", $"{x}_ReduceMax", [$"{x}_magnitude"], [$"{x}_level"]) { Attributes = [Attributes.Of("axes", [-1L])] });
            nodes.Add(Binary("Div", x, $"{x}_level", $"{x}_leveled"));
        }
        return $"{x}_leveled";
    }

    private bool IsNormed(string value) => uses.Producer(value) switch
    {
        { OpType: "LayerNormalization" } => true,
        { OpType: "Add" } add => add.Inputs.Any(input => uses.Producer(input) is { OpType: "Mul" } mul && mul.Inputs.Any(factor => uses.Producer(factor) is { OpType: "Div" })),
        _ => false,
    };

    /// <summary>Rows of an int8 table times their scales.</summary>
    private void GatherRows(Node gather)
    {
        var (table, y) = (Store(gather.Inputs[0]), gather.Output);
        nodes.Add(gather with { Inputs = [$"{table}_quantized", gather.Inputs[1]], Outputs = [$"{y}_quantized"] });
        nodes.Add(gather with { Name = $"{gather.Name}_scale", Inputs = [$"{table}_scale", gather.Inputs[1]], Outputs = [$"{y}_scale"] });
        nodes.Add(Cast($"{y}_quantized", $"{y}_float"));
        nodes.Add(Binary("Mul", $"{y}_float", $"{y}_scale", y));
    }

    /// <summary>A weight that is small in use: ONNX Runtime computes its fp32 form once, at load.</summary>
    private void Restore(Node node)
    {
        var weight = Store(node.Inputs[1]);
        if (written.Add($"{weight}_restored"))
        {
            nodes.Add(Cast($"{weight}_quantized", $"{weight}_float"));
            nodes.Add(Binary("Mul", $"{weight}_float", $"{weight}_scale", $"{weight}_restored"));
        }
        nodes.Add(node with { Inputs = node.Inputs.SetItem(1, $"{weight}_restored") });
    }

    private string Store(string weight)
    {
        var quantized = weights[(weight, CpuWeightForm.Stored)];
        initializers[$"{weight}_quantized"] = quantized.Values;
        initializers[$"{weight}_scale"] = quantized.Scales;
        return weight;
    }

    private static Node Cast(string from, string to) => new("Cast", $"{to}_Cast", [from], [to]) { Attributes = [Attributes.Of("to", (long)ElementType.Float)] };

    private static Node Binary(string op, string left, string right, string output) => new(op, $"{output}_{op}", [left, right], [output]);
}
