namespace ModelPipeline.Onnx;

/// <summary>Names for what passes add to a graph: none that a value, constant or node of it has already, and no two alike.</summary>
internal sealed class FreshNames
{
    private readonly HashSet<string> taken;
    private readonly Dictionary<(string Value, string Role), string> derived = [];

    public FreshNames(Graph graph) => taken = graph.Names();

    /// <summary>value_role, with underscores behind it while that is taken; for the same two, the same name each time.</summary>
    public string Of(string value, string role)
    {
        if (derived.TryGetValue((value, role), out var known))
            return known;
        var name = $"{value}_{role}";
        while (!taken.Add(name))
            name += "_";
        return derived[(value, role)] = name;
    }
}
