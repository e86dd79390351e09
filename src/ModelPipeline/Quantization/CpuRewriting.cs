using System.Collections.Concurrent;
using System.Collections.Immutable;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;
using ModelPipeline.Onnx.Proto;

namespace ModelPipeline.Quantization;

/// <summary>One graph on its way to int8.</summary>
internal sealed class CpuRewriting
{
    private readonly OnnxModel model;
    private readonly Graph graph;
    private readonly UseDef uses;
    private readonly FreshNames names;
    private readonly CpuQuantizationSettings settings;

    /// <summary>A GELU is at least minus this.</summary>
    private const float LeastOfGelu = 0.17f;

    private readonly Dictionary<string, float> gelus = [];
    private readonly Dictionary<string, float[]> divisors = [];
    private readonly ConcurrentDictionary<(string Weight, CpuWeightForm Form), CpuWeight> weights;
    private readonly OrderedDictionary<string, Tensor> initializers;
    private readonly List<Node> nodes = [];
    private readonly HashSet<string> written = [];

    /// <param name="like">A rewriting of the same model, whose int8 weights are taken over: its settings keep or quantize together what
    /// reads one value.</param>
    public CpuRewriting(OnnxModel model, CpuQuantizationSettings settings, CpuRewriting? like = null)
    {
        (this.model, graph, this.settings, weights) = (model, model.Graph, settings, like?.weights ?? []);
        (uses, names, initializers) = (new UseDef(graph), new FreshNames(graph), new OrderedDictionary<string, Tensor>(graph.Initializers));
        var matches = PatternMatches.Of(graph);
        foreach (var gelu in matches.Gelus)
            gelus[gelu.Output] = LeastOfGelu;
        var peaks = new CpuPeaks(matches);
        foreach (var group in graph.Nodes.Where(node => Form(node) == CpuWeightForm.Integer).GroupBy(node => node.Inputs[0]))
        {
            // A weight that serves two values cannot make up for the divisors of both.
            if (
                group.All(node => uses.Consumers(node.Inputs[1]).Count == 1)
                && peaks.Divisors(group.Key, group.Select(node => graph.Initializers[node.Inputs[1]])) is { } divisor
            )
                divisors[group.Key] = divisor;
        }
    }

    public Graph Source => graph;

    /// <summary>Weights that stay in fp32 because the settings say so.</summary>
    public IReadOnlySet<string> Kept =>
        graph.Nodes.Where(node => settings.KeepFloat.Contains(node.Output)).Select(WeightOf).OfType<string>().ToHashSet();

    public IReadOnlyList<CpuWeightReport> Report =>
        [
            .. from node in graph.Nodes
            let weight = WeightOf(node)
            where weight is not null
            select new CpuWeightReport(node.Name, node.Output, weight, graph.Initializers[weight].Shape, Form(node)),
        ];

    /// <summary>The products that are computed in integers, in groups that read one value.</summary>
    public IReadOnlyList<IReadOnlyList<string>> IntegerGroups =>
        [
            .. from node in graph.Nodes
            where Form(node) == CpuWeightForm.Integer
            group node.Output by node.Inputs[0] into readers
            select (IReadOnlyList<string>)[.. readers],
        ];

    /// <summary>The int8 form of every weight, in parallel.</summary>
    public void QuantizeWeights(CancellationToken cancellation)
    {
        var wanted = graph
            .Nodes.Where(node => Form(node) != CpuWeightForm.Float)
            .Select(node => (Weight: WeightOf(node)!, Form: Form(node), Factors: divisors.GetValueOrDefault(node.Inputs[0])))
            .DistinctBy(use => (use.Weight, use.Form))
            .Where(use => !weights.ContainsKey((use.Weight, use.Form)));
        Parallel.ForEach(
            wanted,
            new ParallelOptions { CancellationToken = cancellation },
            use =>
            {
                var matrix = graph.Initializers[use.Weight];
                weights[(use.Weight, use.Form)] =
                    use.Form == CpuWeightForm.Integer ? CpuWeights.Columns(matrix, use.Factors) : CpuWeights.Rows(matrix);
            }
        );
    }

    public OnnxModel Rewritten()
    {
        foreach (var node in graph.Nodes)
        {
            switch (Form(node))
            {
                case CpuWeightForm.Integer:
                    Multiply(node);
                    break;
                case CpuWeightForm.Stored when node.OpType == "Gather":
                    GatherRows(node);
                    break;
                case CpuWeightForm.Stored:
                    Restore(node);
                    break;
                default:
                    nodes.Add(node);
                    break;
            }
        }
        return model.With(graph with { Nodes = [.. nodes], Initializers = initializers });
    }

    private CpuWeightForm Form(Node node)
    {
        if (
            WeightOf(node) is not { } weight
            || settings.KeepFloat.Contains(node.Output)
            || graph.Initializers[weight].Count < settings.MinElements
        )
            return CpuWeightForm.Float;
        return node.OpType == "MatMul" ? CpuWeightForm.Integer : CpuWeightForm.Stored;
    }

    /// <summary>The constant fp32 matrix that a node multiplies with or gathers rows of.</summary>
    private string? WeightOf(Node node)
    {
        var name = node switch
        {
            { OpType: "MatMul" or "Gemm", Domain: "" } => node.Inputs[1],
            { OpType: "Gather", Domain: "" } when node.Int("axis", 0) == 0 => node.Inputs[0],
            _ => null,
        };
        return name is not null && graph.Initializers.TryGetValue(name, out var tensor) && tensor is { Type: ElementType.Float, Rank: 2 }
            ? name
            : null;
    }

    /// <summary>x W as (q(x) q(W)) * scale(x) * scale(W).</summary>
    private void Multiply(Node product)
    {
        var (weight, y) = (product.Inputs[1], product.Output);
        var (values, scales) = weights[(weight, CpuWeightForm.Integer)];
        initializers[names.Of(weight, "quantized")] = values;
        initializers[names.Of(weight, "scale")] = scales;
        var x = product.Inputs[0];
        string? level = null;
        if (gelus.TryGetValue(x, out var bound))
            (x, level) = Leveled(x, bound);
        else if (divisors.TryGetValue(x, out var divisor))
            x = Smoothed(x, divisor);
        if (written.Add(names.Of(x, "quantized")))
            nodes.Add(new Node("DynamicQuantizeLinear", "", [x], [names.Of(x, "quantized"), names.Of(x, "scale"), names.Of(x, "zero")]));
        nodes.Add(
            product with
            {
                OpType = "MatMulInteger",
                Inputs = [names.Of(x, "quantized"), names.Of(weight, "quantized"), names.Of(x, "zero")],
                Outputs = [names.Of(y, "sum")],
            }
        );
        nodes.Add(Cast(names.Of(y, "sum"), names.Of(y, "float")));
        nodes.Add(Binary("Mul", names.Of(x, "scale"), names.Of(weight, "scale"), names.Of(y, "scale")));
        nodes.Add(Binary("Mul", names.Of(y, "float"), names.Of(y, "scale"), level is null ? y : names.Of(y, "leveled")));
        if (level is not null)
            nodes.Add(Binary("Mul", names.Of(y, "leveled"), level, y));
    }

    /// <summary>A value with its outlier channels divided down to the others; the weights that read it make up for it.</summary>
    private string Smoothed(string x, float[] divisor)
    {
        if (written.Add(names.Of(x, "smooth")))
        {
            initializers[names.Of(x, "smoothing")] = Tensor.Vector([.. divisor.Select(d => 1 / d)]);
            nodes.Add(Binary("Mul", x, names.Of(x, "smoothing"), names.Of(x, "smooth")));
        }
        return names.Of(x, "smooth");
    }

    /// <summary>
    /// The rows of a GELU differ tenfold in range, so each is divided by its own: one scale a token instead of one a tensor.
    /// The smallest value of a GELU being minus the bound, the largest value plus the bound is positive and covers the row.
    /// </summary>
    private (string Value, string Level) Leveled(string x, float bound)
    {
        if (written.Add(names.Of(x, "even")))
        {
            var axes = model.Opset < 18 ? [Attributes.Of("axes", [-1L])] : ImmutableArray<AttributeProto>.Empty;
            if (model.Opset >= 18)
                initializers[names.Of("last", "axis")] = Tensor.Vector(-1L);
            initializers[names.Of(x, "bound")] = Tensor.Scalar(bound);
            nodes.Add(
                new Node("ReduceMax", "", model.Opset < 18 ? [x] : [x, names.Of("last", "axis")], [names.Of(x, "max")])
                {
                    Attributes = axes,
                }
            );
            nodes.Add(Binary("Add", names.Of(x, "max"), names.Of(x, "bound"), names.Of(x, "level")));
            nodes.Add(Binary("Div", x, names.Of(x, "level"), names.Of(x, "even")));
        }
        return (names.Of(x, "even"), names.Of(x, "level"));
    }

    /// <summary>Rows of an int8 table times their scales.</summary>
    private void GatherRows(Node gather)
    {
        var (table, y) = (Store(gather.Inputs[0]), gather.Output);
        nodes.Add(gather with { Inputs = [names.Of(table, "rows"), gather.Inputs[1]], Outputs = [names.Of(y, "quantized")] });
        nodes.Add(gather with { Name = "", Inputs = [names.Of(table, "row_scales"), gather.Inputs[1]], Outputs = [names.Of(y, "scale")] });
        nodes.Add(Cast(names.Of(y, "quantized"), names.Of(y, "float")));
        nodes.Add(Binary("Mul", names.Of(y, "float"), names.Of(y, "scale"), y));
    }

    /// <summary>A weight that is small in use: ONNX Runtime computes its fp32 form once, at load.</summary>
    private void Restore(Node node)
    {
        var weight = Store(node.Inputs[1]);
        if (written.Add(names.Of(weight, "restored")))
        {
            nodes.Add(Cast(names.Of(weight, "rows"), names.Of(weight, "float")));
            nodes.Add(Binary("Mul", names.Of(weight, "float"), names.Of(weight, "row_scales"), names.Of(weight, "restored")));
        }
        nodes.Add(node with { Inputs = node.Inputs.SetItem(1, names.Of(weight, "restored")) });
    }

    private string Store(string weight)
    {
        var quantized = weights[(weight, CpuWeightForm.Stored)];
        initializers[names.Of(weight, "rows")] = quantized.Values;
        initializers[names.Of(weight, "row_scales")] = quantized.Scales;
        return weight;
    }

    private static Node Cast(string from, string to) =>
        new("Cast", "", [from], [to]) { Attributes = [Attributes.Of("to", (long)ElementType.Float)] };

    private static Node Binary(string op, string left, string right, string output) => new(op, "", [left, right], [output]);
}
