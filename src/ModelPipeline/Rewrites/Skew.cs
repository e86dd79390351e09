using ModelPipeline.Onnx;

namespace ModelPipeline.Rewrites;

/// <summary>
/// DeBERTa's relative attention without GatherElements, which the toolkit cannot build: of X = L C, row a wants columns t(b - a), the same
/// for every head. The columns of C are put in the order of b - a first; then a row's wanted columns lie side by side, one further left in
/// each row, and two Reshapes and Slices cut them out (as Transformer-XL shifts, Dai et al. 2019). The first drops one row of [2 S, S]: of
/// an axis as long as all of it, the toolkit would keep a matrix of that length squared in the file. Exact; for batch 1.
/// </summary>
internal static class Skew
{
    public static Rewritten Apply(OnnxModel model)
    {
        var graph = model.Graph;
        var uses = new UseDef(graph);
        var gathers = graph.Nodes.Where(node => node is { OpType: "GatherElements", Domain: "" }).ToList();
        if (gathers.Count == 0)
            return Rewritten.Nothing(model, "no GatherElements");
        var nodes = graph.Nodes.ToList();
        var constants = new Dictionary<string, Tensor>();
        List<string> matches = [];
        foreach (var gather in gathers)
        {
            if (Relative(gather, uses) is not var (product, table, offsets))
                continue;
            var at = nodes.IndexOf(gather);
            nodes.RemoveAt(at);
            nodes.InsertRange(at, Written(gather, product, Ordered(table, offsets), graph, constants));
            matches.Add($"{gather.Output}: relative positions by shifted slices");
        }
        if (matches.Count == 0)
            return Rewritten.Nothing(model, "no GatherElements reads a product by relative positions");
        var rewritten = graph with { Nodes = [.. nodes], Initializers = graph.InitializersWith(constants) };
        return new Rewritten(DeadNodes.Apply(model.With(rewritten)).Model, matches)
        {
            Skipped =
                matches.Count < gathers.Count
                    ? $"{gathers.Count - matches.Count} of {gathers.Count} GatherElements read something else"
                    : null,
        };
    }

    /// <summary>The product, its table [.., width, K], and the column for each b - a from -(S - 1) to S - 1.</summary>
    private static (Node Product, Tensor Table, long[] Offsets)? Relative(Node gather, UseDef uses)
    {
        if (
            uses.Producer(gather.Inputs[0]) is not { OpType: "MatMul" } product
            || uses.Constant(product.Inputs[1]) is not { Type: ElementType.Float, Rank: >= 3 } table
            || uses.Constant(gather.Inputs[1]) is not { Type: ElementType.Int64 } index
            || index.Rank != table.Rank
            || (gather.Int("axis", 0) != -1 && gather.Int("axis", 0) != index.Rank - 1)
            || index.Shape[^1] != index.Shape[^2]
        )
            return null;
        var (size, columns) = ((int)index.Shape[^1], table.Shape[^1]);
        var numbers = index.Span<long>();
        var offsets = new long[(2 * size) - 1];
        for (var i = 0; i < numbers.Length; i++)
        {
            var (a, b) = (i / size % size, i % size);
            var column = numbers[i] < 0 ? numbers[i] + columns : numbers[i];
            if (i < size * size && (a == 0 || b == 0))
                offsets[b - a + size - 1] = column;
            if (column < 0 || column >= columns)
                return null;
        }
        for (var i = 0; i < numbers.Length; i++)
        {
            if (offsets[(i % size) - (i / size % size) + size - 1] != (numbers[i] < 0 ? numbers[i] + columns : numbers[i]))
                return null;
        }
        return (product, table, offsets);
    }

    /// <summary>[.., width, 2 S]: one column of zeros, and the table's in the order of b - a.</summary>
    private static Tensor Ordered(Tensor table, long[] offsets)
    {
        var (columns, width) = ((int)table.Shape[^1], offsets.Length + 1);
        var rows = (int)(table.Count / columns);
        var values = table.Span<float>();
        var ordered = new float[rows * width];
        for (var row = 0; row < rows; row++)
        {
            for (var m = 0; m < offsets.Length; m++)
                ordered[(row * width) + m + 1] = values[(row * columns) + (int)offsets[m]];
        }
        return Tensor.Of([.. table.Shape[..^1], width], ordered);
    }

    private static IReadOnlyList<Node> Written(Node gather, Node product, Tensor ordered, Graph graph, Dictionary<string, Tensor> constants)
    {
        var size = ordered.Shape[^1] / 2;
        long[] leading = [.. ordered.Shape[..^2]];
        var axis = leading.Length;
        string Value(string name) => graph.Unused($"{gather.Output}_{name}");
        var table = Value("table");
        constants[table] = ordered;
        return
        [
            new Node("MatMul", Value("product"), [product.Inputs[0], table], [Value("product")]),
            new Node("Reshape", Value("turned"), [Value("product"), Numbers([.. leading, 2 * size, size])], [Value("turned")]),
            Slice("cut", "turned", axis, 1, 2 * size),
            new Node("Reshape", Value("shifted"), [Value("cut"), Numbers([.. leading, size, (2 * size) - 1])], [Value("shifted")]),
            Slice(null, "shifted", axis + 1, 0, size),
        ];

        Node Slice(string? name, string input, long along, long from, long to) =>
            new(
                "Slice",
                name is null ? gather.Name : Value(name),
                [Value(input), Numbers([from]), Numbers([to]), Numbers([along])],
                [name is null ? gather.Output : Value(name)]
            );

        string Numbers(long[] numbers)
        {
            var name = graph.Unused($"skew_{string.Join('_', numbers)}");
            constants[name] = Tensor.Vector(numbers);
            return name;
        }
    }
}
