namespace ModelPipeline.Onnx;

/// <summary>Every value is written once, and before it is read.</summary>
internal static class SingleAssignment
{
    /// <summary>One line for each violation.</summary>
    public static IEnumerable<string> Violations(Graph graph)
    {
        var known = new HashSet<string>(graph.Initializers.Keys);
        foreach (var input in graph.Inputs)
        {
            if (input.Name.Length == 0 || !known.Add(input.Name))
                yield return $"input '{input.Name}' has no name or stands there twice";
        }
        foreach (var node in graph.Nodes)
        {
            foreach (var input in node.Reads.Where(input => input.Length > 0 && !known.Contains(input)))
                yield return $"node '{node.Name}' ({node.OpType}) reads '{input}', which nothing before it writes";
            foreach (var output in node.Outputs.Where(output => output.Length > 0 && !known.Add(output)))
                yield return $"node '{node.Name}' ({node.OpType}) writes '{output}', which is written already";
        }
        if (graph.Outputs.IsEmpty)
            yield return "the graph has no output";
        var outputs = new HashSet<string>();
        foreach (var output in graph.Outputs)
        {
            if (!known.Contains(output.Name))
                yield return $"nothing writes the graph output '{output.Name}'";
            if (!outputs.Add(output.Name))
                yield return $"output '{output.Name}' stands there twice";
        }
    }
}
