namespace ModelPipeline.Onnx.Checking;

/// <summary>Element types of a graph's values, of any operator set: as the operators' signatures tie outputs to inputs.</summary>
internal static class ValueTypes
{
    /// <summary>Values of operators that no signature is known of take the type of their first input.</summary>
    public static IReadOnlyDictionary<string, ElementType> Of(Graph graph)
    {
        var uses = new UseDef(graph);
        var types = graph.Inputs.ToDictionary(input => input.Name, input => input.Type);
        foreach (var (name, tensor) in graph.Initializers)
            types[name] = tensor.Type;
        foreach (var node in graph.Nodes)
        {
            var signature = OperatorTable.Find(node.Domain, node.OpType, long.MaxValue);
            var variables = signature is null ? [] : Bound(node, signature, types);
            foreach (var (index, output) in node.Outputs.Index().Where(output => output.Item.Length > 0))
            {
                types[output] = signature is null
                    ? types.GetValueOrDefault(node.Inputs.FirstOrDefault() ?? "")
                    : TypeOf(signature.Outputs[Math.Min(index, signature.Outputs.Count - 1)], variables, node, uses);
            }
        }
        return types;
    }

    private static Dictionary<string, ElementType> Bound(Node node, OperatorSignature signature, Dictionary<string, ElementType> types)
    {
        var variables = new Dictionary<string, ElementType>();
        foreach (var (index, input) in node.Inputs.Index())
        {
            if (signature.Inputs.Count > 0 && types.TryGetValue(input, out var type))
                variables.TryAdd(signature.Inputs[Math.Min(index, signature.Inputs.Count - 1)].Variable, type);
        }
        return variables;
    }

    private static ElementType TypeOf(Formal output, Dictionary<string, ElementType> variables, Node node, UseDef uses)
    {
        if (variables.TryGetValue(output.Variable, out var type))
            return type;
        return output.Types.Count == 1 ? output.Types.First() : OnnxChecker.TypeByAttribute(node, uses);
    }
}
