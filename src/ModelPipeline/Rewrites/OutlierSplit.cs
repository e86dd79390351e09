using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;

namespace ModelPipeline.Rewrites;

/// <summary>
/// Splits off the channels in which a projection back into the residual stream (the FFN's second MatMul, mostly) is many times larger than
/// in all others, so that one int8 scale fits the rest. Exact: their columns of weight and bias are zeroed; a second, k-column MatMul
/// computes them, a one-hot [k, hidden] MatMul places them, and they are added after the residual. That last addition, the LayerNorm behind
/// it and everything from the last split to the output are named as the fp16 plan of the model (<see cref="Fp16Plan"/>): no weight is among
/// them.
/// </summary>
internal static class OutlierSplit
{
    /// <summary>A channel is split off if its largest magnitude is at least this many times the median channel's.</summary>
    private const float Ratio = 6;

    /// <summary>Most channels split off one projection; the largest are taken.</summary>
    private const int MostChannels = 6;

    /// <summary>Samples on which channels are measured; outliers are the same channels on any text.</summary>
    private const int Samples = 16;

    /// <summary>x W + b added to a residual.</summary>
    private sealed record Projection(Node Product, Node Bias, string BiasName, Node Residual, int Channels);

    public static Rewritten Apply(OnnxModel model, IReadOnlyList<IReadOnlyList<long[]>> samples)
    {
        var matches = PatternMatches.Of(model.Graph);
        var projections = matches.Linears.Select(linear => Match(linear, matches)).OfType<Projection>().ToList();
        if (projections.Count == 0)
            return Rewritten.Nothing(model, "no projection with a bias is added to a residual stream");
        if (samples.Count == 0)
            return Rewritten.Nothing(model, "there are no calibration samples");
        var largest = TokenRows
            .Collect(
                model,
                [.. projections.Select(projection => (projection.Bias.Output, projection.Channels))],
                [.. samples.Take(Samples)],
                1
            )
            .Select(rows => rows.Reach);
        var splits = projections
            .Zip(largest, (projection, channels) => (projection, Outliers: Outliers(channels)))
            .Where(split => split.Outliers.Length > 0)
            .ToList();
        if (splits.Count == 0)
            return Rewritten.Nothing(model, $"no channel of a projection is {Ratio} times the median one");

        var nodes = model.Graph.Nodes.ToList();
        var constants = new Dictionary<string, Tensor>();
        foreach (var (projection, outliers) in splits)
            Split(projection, outliers, model.Graph, nodes, constants);
        var rewritten = DeadNodes
            .Apply(model.With(model.Graph with { Nodes = [.. nodes], Initializers = model.Graph.InitializersWith(constants) }))
            .Model;
        return new Rewritten(
            Fp16Plan.Add(
                rewritten,
                splits
                    .SelectMany(split => Path(split.projection))
                    .Concat(Plan([.. splits.Select(split => split.projection.Residual.Output)], rewritten.Graph))
            ),
            [
                .. splits.Select(split =>
                    $"{split.projection.Bias.Output}: channels {string.Join(", ", split.Outliers)} of "
                    + $"{constants[Name(split.projection, "weight")].Shape[1]}"
                ),
            ]
        );
    }

    /// <summary>From each cleaned sum to the LayerNorm behind the whole one; from the last of them to the output.</summary>
    private static IEnumerable<string> Plan(IReadOnlyList<string> additions, Graph graph)
    {
        var uses = new UseDef(graph);
        var fused = FusedOperators.Of(graph);
        foreach (var addition in additions)
        {
            var end =
                addition == additions[^1]
                    ? graph.Outputs[0].Name
                    : uses.Consumers(addition).Select(fused.OwnerOf).OfType<string>().FirstOrDefault() ?? addition;
            yield return $"{addition}{CleanSuffix} -> {end}";
        }
    }

    private static Projection? Match(Linear linear, PatternMatches matches) =>
        linear is { Product.OpType: "MatMul", Sum: { } bias, BiasName: { } name }
        && matches.Graph.Initializers.ContainsKey(linear.WeightName)
        && matches.Graph.Initializers.TryGetValue(name, out var values)
        && values.Count == linear.Outputs
        && linear.Residual(matches.Uses) is { } residual
        && !residual.Output.EndsWith(CleanSuffix, StringComparison.Ordinal)
            ? new Projection(linear.Product, bias, name, residual, linear.Outputs)
            : null;

    private const string CleanSuffix = "_clean";

    /// <summary>What the split-off channels go through.</summary>
    private static string[] Path(Projection projection) =>
        [$"{projection.Bias.Output}_outliers", $"{projection.Bias.Output}_outliers_placed"];

    private static int[] Outliers(float[] channels)
    {
        var limit = Ratio * channels.Order().ElementAt(channels.Length / 2);
        return
        [
            .. channels
                .Index()
                .Where(channel => channel.Item > limit)
                .OrderByDescending(channel => channel.Item)
                .Take(MostChannels)
                .Select(channel => channel.Index)
                .Order(),
        ];
    }

    private static void Split(Projection projection, int[] outliers, Graph graph, List<Node> nodes, Dictionary<string, Tensor> constants)
    {
        var weight = graph.Initializers[projection.Product.Inputs[1]];
        var bias = graph.Initializers[projection.BiasName];
        var (rows, columns) = ((int)weight.Shape[0], (int)weight.Shape[1]);
        var clean = weight.Span<float>().ToArray();
        var cleanBias = bias.Span<float>().ToArray();
        var split = new float[rows * outliers.Length];
        var splitBias = new float[outliers.Length];
        var place = new float[outliers.Length * columns];
        foreach (var (k, channel) in outliers.Index())
        {
            for (var row = 0; row < rows; row++)
                (split[(row * outliers.Length) + k], clean[(row * columns) + channel]) = (clean[(row * columns) + channel], 0);
            (splitBias[k], cleanBias[channel]) = (cleanBias[channel], 0);
            place[(k * columns) + channel] = 1;
        }
        constants[Name(projection, "weight")] = Tensor.Of([rows, columns], clean);
        constants[Name(projection, "bias")] = Tensor.Of([columns], cleanBias);
        constants[Name(projection, "outlier_weight")] = Tensor.Of([rows, outliers.Length], split);
        constants[Name(projection, "outlier_bias")] = Tensor.Of([outliers.Length], splitBias);
        constants[Name(projection, "outlier_place")] = Tensor.Of([outliers.Length, columns], place);

        var residual = projection.Residual;
        var cleaned = residual.Output + CleanSuffix;
        string Value(string name) => $"{projection.Bias.Output}_{name}";
        Replace(projection.Product, projection.Product.Rewired(projection.Product.Inputs[1], Name(projection, "weight")));
        Replace(projection.Bias, projection.Bias.Rewired(projection.BiasName, Name(projection, "bias")));
        Replace(
            residual,
            residual with
            {
                Name = residual.NameWith(CleanSuffix),
                Outputs = [cleaned],
            },
            new Node(
                "MatMul",
                Value("outlier_MatMul"),
                [projection.Product.Inputs[0], Name(projection, "outlier_weight")],
                [Value("outlier_product")]
            ),
            new Node("Add", Value("outlier_Add"), [Value("outlier_product"), Name(projection, "outlier_bias")], [Value("outliers")]),
            new Node(
                "MatMul",
                Value("outlier_place_MatMul"),
                [Value("outliers"), Name(projection, "outlier_place")],
                [Value("outliers_placed")]
            ),
            new Node("Add", residual.Name, [cleaned, Value("outliers_placed")], [residual.Output])
        );

        void Replace(Node old, params Node[] with)
        {
            var index = nodes.IndexOf(old);
            nodes.RemoveAt(index);
            nodes.InsertRange(index, with);
        }
    }

    private static string Name(Projection projection, string what) => $"{projection.Bias.Output}_{what}";
}
