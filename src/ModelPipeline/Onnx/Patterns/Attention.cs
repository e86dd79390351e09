namespace ModelPipeline.Onnx.Patterns;

/// <summary>Something added to attention scores: a mask, or a bias by position.</summary>
/// <param name="Node">The Add.</param>
/// <param name="Value">What is added to the scores.</param>
internal sealed record Addend(Node Node, string Value);

/// <summary>Scores replaced by a constant where a condition says so.</summary>
/// <param name="Node">The Where.</param>
/// <param name="FillIndex">Input that is taken in the place of the scores: 1 or 2.</param>
internal sealed record Fill(Node Node, int FillIndex)
{
    public string Condition => Node.Inputs[0];

    public string Value => Node.Inputs[FillIndex];
}

/// <summary>softmax(q k^T scale + bias + mask) v, wherever its scale sits and however its mask is written.</summary>
/// <param name="Product">The MatMul of q and k.</param>
/// <param name="Scores">Nodes between it and the Softmax, in graph order.</param>
/// <param name="Softmax">Over the keys.</param>
/// <param name="Probabilities">Nodes between it and the last MatMul: guards against NaN, layout.</param>
/// <param name="Context">The MatMul of probabilities and v.</param>
internal sealed record Attention(Node Product, IReadOnlyList<Node> Scores, Node Softmax, IReadOnlyList<Node> Probabilities, Node Context)
{
    /// <summary>[.., queries, width]</summary>
    public string Query => Product.Inputs[0];

    /// <summary>[.., width, keys]</summary>
    public string Key => Product.Inputs[1];

    /// <summary>[.., keys, width]</summary>
    public string Value => Context.Inputs[1];

    /// <summary>What is added to the scores, in the order of the additions.</summary>
    public required IReadOnlyList<Addend> Addends { get; init; }

    /// <summary>Masks by selection.</summary>
    public required IReadOnlyList<Fill> Fills { get; init; }

    /// <summary>Multiplications and divisions of the scores by one number; q and k may have been scaled before.</summary>
    public required IReadOnlyList<Node> Scales { get; init; }

    /// <summary>The attention around a Softmax; null for any other node.</summary>
    public static Attention? Of(Node softmax, PatternMatches matches)
    {
        if (softmax is not { OpType: "Softmax", Domain: "" })
            return null;
        var trace = new Trace(matches);
        if (trace.Back(softmax.Inputs[0]) is not { } product || Forward(softmax, matches.Uses) is not var (behind, context))
            return null;
        return new Attention(product, trace.Path, softmax, behind, context)
        {
            Addends = trace.Addends,
            Fills = trace.Fills,
            Scales = trace.Scales,
        };
    }

    private static (IReadOnlyList<Node> Behind, Node Context)? Forward(Node softmax, UseDef uses)
    {
        List<Node> behind = [];
        var value = softmax.Output;
        while (true)
        {
            List<Node> readers = [.. uses.Consumers(value).Where(reader => reader.OpType is not ("Shape" or "Size"))];
            if (Guard(value, readers, uses) is { } guard)
            {
                behind.AddRange([readers.First(reader => reader.OpType == "IsNaN"), guard]);
                value = guard.Output;
            }
            else if (readers is [{ OpType: "MatMul" } context] && context.Inputs[0] == value && uses.Constant(context.Inputs[1]) is null)
                return (behind, context);
            else if (
                readers is [{ OpType: "Reshape" or "Identity" or "Cast" or "Squeeze" or "Unsqueeze" or "Mul" } layout]
                && layout.Inputs[0] == value
                && (layout.OpType != "Mul" || uses.Constant(layout.Inputs[1]) is not null)
            )
            {
                behind.Add(layout);
                value = layout.Output;
            }
            else
                return null;
        }
    }

    /// <summary>Where(IsNaN(p), 0, p)</summary>
    private static Node? Guard(string value, IReadOnlyList<Node> readers, UseDef uses) =>
        readers.Count == 2
        && readers.FirstOrDefault(reader => reader.OpType == "IsNaN") is { } isNaN
        && readers.FirstOrDefault(reader => reader.OpType == "Where") is { } guard
        && guard.Inputs[0] == isNaN.Output
        && guard.Inputs[2] == value
        && uses.Constant(guard.Inputs[1])?.SingleFloat() is 0
            ? guard
            : null;

    /// <summary>The way from a Softmax back to the product of q and k.</summary>
    private sealed class Trace(PatternMatches matches)
    {
        /// <summary>More nodes than any export puts between the product and its Softmax.</summary>
        private const int Longest = 24;
        private readonly HashSet<string> elsewhere = [];
        private int depth;

        public List<Node> Path { get; } = [];
        public List<Addend> Addends { get; } = [];
        public List<Fill> Fills { get; } = [];
        public List<Node> Scales { get; } = [];

        public Node? Back(string value)
        {
            if (depth == Longest || elsewhere.Contains(value) || matches.Uses.Producer(value) is not { Domain: "" } node)
                return null;
            depth++;
            var product = Through(node);
            depth--;
            if (product is null)
                elsewhere.Add(value);
            return product;
        }

        private Node? Through(Node node)
        {
            var product = node.OpType switch
            {
                "MatMul" => node.Inputs.All(input => matches.Uses.Constant(input) is null && !matches.IsStatic(input)) ? node : null,
                "Add" => Either(node, 0, 1, other => Addends.Add(new Addend(node, node.Inputs[other]))),
                "Where" => Either(node, 1, 2, other => Fills.Add(new Fill(node, other))),
                "Mul" or "Div" => Scaled(node),
                "Reshape" or "Identity" or "Cast" or "Squeeze" or "Unsqueeze" => Back(node.Inputs[0]),
                _ => null,
            };
            if (product is not null && product != node)
                Path.Add(node);
            return product;
        }

        private Node? Either(Node node, int left, int right, Action<int> found)
        {
            var product = Back(node.Inputs[left]);
            var other = product is null ? left : right;
            product ??= Back(node.Inputs[right]);
            if (product is not null)
                found(other);
            return product;
        }

        private Node? Scaled(Node node)
        {
            var scaled = matches.IsStatic(node.Inputs[1]) ? 0 : 1;
            if (!matches.IsStatic(node.Inputs[1 - scaled]) || (scaled == 1 && node.OpType == "Div"))
                return null;
            var product = Back(node.Inputs[scaled]);
            if (product is not null)
                Scales.Add(node);
            return product;
        }
    }
}
