using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Checking;
using ModelPipeline.Onnx.Patterns;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Planning;

/// <summary>Operators of a graph as rknn-toolkit2 fuses them, with their sizes.</summary>
internal static class GraphWork
{
    /// <summary>From a model with open axes or any pinned shape that folding leaves open.</summary>
    /// <exception cref="PipelineException">The graph has no matrix products of known size.</exception>
    public static ModelWork Of(OnnxModel model)
    {
        var (narrow, wide) = (At(model, ModelWork.NarrowTokens), At(model, ModelWork.WideTokens));
        if (narrow.Count != wide.Count || !narrow.Any(work => work.Class == OperatorClass.Linear))
            throw new PipelineException(
                "The graph's operators cannot be counted: shapes of its matrix products do not follow from the input's. Run Prepare with "
                    + "'fold-shapes'."
            );
        // Grouped by their sizes at both lengths: at one, operators of unlike kinds can happen to be alike.
        var same = narrow.Zip(wide).GroupBy(each => each).Select(each => (each.Key, Count: each.Count())).ToArray();
        narrow = [.. same.Select(each => each.Key.First with { Count = each.Count })];
        wide = [.. same.Select(each => each.Key.Second with { Count = each.Count })];
        return new(Sizes(model.Graph, narrow), narrow, wide);
    }

    private static ModelSizes Sizes(Graph graph, IReadOnlyList<OperatorWork> operators)
    {
        var tables = graph
            .Nodes.Where(node => node.OpType == "Gather")
            .Select(node => node.Inputs[0])
            .Distinct()
            .Sum(name => graph.Initializers.TryGetValue(name, out var table) ? table.Count : 0);
        var products = operators.Where(work => work.Class == OperatorClass.Linear).ToArray();
        return new(
            tables,
            products.Sum(work => work.Weights),
            products.Where(work => work.Inner > ModelSizes.CutLength).Sum(work => work.Weights),
            (int)operators.Where(work => work.Class == OperatorClass.Attention).Sum(work => work.Count * work.Rows),
            products.Max(work => Math.Max(work.Inner, work.Columns))
        );
    }

    /// <summary>Of one run at so many tokens; of a pinned model at its own.</summary>
    internal static IReadOnlyList<OperatorWork> At(OnnxModel model, int tokens)
    {
        var folded = FoldShapes.Apply(PinShapes.Apply(model, new InputShape(1, tokens))).Model;
        var graph = folded.Graph;
        var shapes = OnnxChecker.Check(folded).Values;
        var uses = new UseDef(graph);
        var fused = FusedOperators.Of(graph);
        Attention[] attentions =
        [
            .. PatternMatches.Of(graph).Attentions.Where(attention => attention.Probabilities.All(node => node.OpType != "Mul")),
        ];
        var inside = Inside(attentions);
        var work = new List<OperatorWork>();
        var owners = graph.Nodes.Where(node => fused.OwnerOf(node) is not null).ToLookup(node => fused.OwnerOf(node)!);
        foreach (var attention in attentions)
        {
            if (
                Shape(attention.Softmax.Output) is [.., var heads, _, var keys] scores
                && Shape(attention.Context.Output) is [.., var width]
            )
                work.Add(new(OperatorClass.Attention, heads * Product(scores[..^3]), keys, width));
        }
        foreach (var point in fused.Points.Where(point => !inside.Contains(point)))
        {
            if (Shape(point) is not [.., var columns] shape || Of(owners[point], point, Product(shape[..^1]), columns) is not { } one)
                continue;
            work.Add(one);
        }
        work.Add(new(OperatorClass.Host, 1, 1, 1));
        return work;

        OperatorWork? Of(IEnumerable<Node> nodes, string point, long rows, long columns)
        {
            var group = nodes.ToArray();
            if (group.FirstOrDefault(node => node.OpType is "MatMul" or "Gemm") is { } product)
            {
                var constant = uses.Constant(product.Inputs[1]);
                var inner = Shape(product.Inputs[0]) is [.., var length] ? length : 0;
                var outputs = constant?.Count is { } count && inner > 0 ? count / inner : columns;
                var gelu =
                    group.Any(node => node.OpType is "Erf" or "Gelu") || uses.Consumers(point).Any(node => node.OpType is "Erf" or "Gelu");
                return inner == 0
                    ? null
                    : new(OperatorClass.Linear, Math.Max(1, rows * columns / outputs), inner, outputs)
                    {
                        Gelu = gelu,
                        Dynamic = constant is null,
                    };
            }
            if (group.Any(node => node.OpType is "Sqrt" or "LayerNormalization"))
                return new(OperatorClass.Norm, rows, 1, columns);
            if (group.FirstOrDefault(node => node.OpType == "Gather") is { } gather)
                return graph.Initializers.ContainsKey(gather.Inputs[0]) ? new(OperatorClass.Gather, rows, 1, columns) : null;
            // Masks and counts are too small to count, at both lengths alike.
            return rows * columns > Math.Max(tokens, ModelWork.WideTokens) ? new(OperatorClass.Elementwise, rows, 1, columns) : null;
        }

        long[]? Shape(string value) =>
            shapes.TryGetValue(value, out var inferred) && inferred.Shape is { } known && known.All(dimension => dimension.Value is > 0)
                ? [.. known.Select(dimension => dimension.Value!.Value)]
                : null;

        static long Product(ReadOnlySpan<long> sizes)
        {
            var product = 1L;
            foreach (var size in sizes)
                product *= size;
            return product;
        }
    }

    /// <summary>Tensors within fused attention: from the product of queries and keys to that of probabilities and values.</summary>
    private static HashSet<string> Inside(IEnumerable<Attention> attentions) =>
        [
            .. attentions
                .SelectMany(attention =>
                    attention
                        .Scores.Concat(attention.Probabilities)
                        .Append(attention.Product)
                        .Append(attention.Softmax)
                        .Append(attention.Context)
                )
                .Select(node => node.Output),
        ];
}
