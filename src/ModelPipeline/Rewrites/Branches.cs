using ModelPipeline.Onnx;

namespace ModelPipeline.Rewrites;

/// <summary>Puts the nodes of a branch in the place of an If whose condition is constant. Names of its own that the graph has too get a
/// prefix.</summary>
internal static class Branches
{
    /// <returns>Null if there is no such If.</returns>
    public static Rewritten? Inline(OnnxModel model)
    {
        var graph = model.Graph;
        var uses = new UseDef(graph);
        if (graph.Nodes.FirstOrDefault(node => node.OpType == "If" && Condition(node, uses) is not null) is not { } choice)
            return null;
        var taken = Condition(choice, uses) == true ? "then_branch" : "else_branch";
        var (nodes, initializers, outputs) = OnnxReader.ReadBranch(choice.Attribute(taken)!.G);
        var own = nodes.SelectMany(node => node.Outputs).Concat(initializers.Keys).Where(name => name.Length > 0).ToHashSet();
        var result = outputs
            .Zip(choice.Outputs)
            .Where(pair => own.Contains(pair.First) && !initializers.ContainsKey(pair.First))
            .DistinctBy(pair => pair.First)
            .ToDictionary(pair => pair.First, pair => pair.Second);
        string Name(string name) => result.GetValueOrDefault(name) ?? (own.Contains(name) ? $"{choice.Output}/{name}" : name);

        List<Node> inlined =
        [
            .. nodes.Select(node =>
                node with
                {
                    Name = choice.Name.Length == 0 || node.Name.Length == 0 ? "" : $"{choice.Name}/{node.Name}",
                    Inputs = [.. node.Inputs.Select(Name)],
                    Outputs = [.. node.Outputs.Select(Name)],
                }
            ),
            .. outputs
                .Zip(choice.Outputs)
                .Where(pair => Name(pair.First) != pair.Second)
                .Select(pair => new Node("Identity", $"{choice.Name}/{pair.Second}", [Name(pair.First)], [pair.Second])),
        ];
        if (nodes.Any(node => node.Captured.Any(own.Contains)))
            return null;
        var at = graph.Nodes.IndexOf(choice);
        var rewritten = graph with
        {
            Nodes = [.. graph.Nodes[..at], .. inlined, .. graph.Nodes[(at + 1)..]],
            Initializers = graph.InitializersWith(initializers.Select(entry => KeyValuePair.Create(Name(entry.Key), entry.Value))),
        };
        return new Rewritten(DeadNodes.Apply(model.With(rewritten)).Model, [$"{choice.Name} (If) replaced by its {taken}"]);
    }

    private static bool? Condition(Node choice, UseDef uses) =>
        uses.Constant(choice.Inputs[0]) is { Type: ElementType.Bool, Count: 1 } condition ? condition.Data.Span[0] != 0 : null;
}
