using ModelPipeline.Core;

namespace ModelPipeline.Onnx.Checking;

/// <summary>What a check found out about a model.</summary>
/// <param name="Findings">What is wrong, one line each, in graph order; empty for a sound model.</param>
/// <param name="Values">Type and shape of each value as far as they follow from the inputs: a null shape is of any rank.</param>
public sealed record CheckResult(IReadOnlyList<string> Findings, IReadOnlyDictionary<string, InferredValue> Values)
{
    /// <summary>Without what was wrong with the model that this one was made from: its exporter's doing, which runs nevertheless.</summary>
    public CheckResult Beyond(CheckResult source) => this with { Findings = [.. Findings.Except(source.Findings)] };

    /// <exception cref="PipelineException">Something is wrong with the model; the message lists the first findings.</exception>
    public void ThrowIfUnsound(string name)
    {
        if (Findings.Count > 0)
            throw new PipelineException(
                $"{name}: not a sound ONNX model: "
                    + $"{string.Join("; ", Findings.Take(5))}{(Findings.Count > 5 ? $"; and {Findings.Count - 5} more" : "")}"
            );
    }
}

/// <summary>What is known of a value.</summary>
public sealed record InferredValue(ElementType Type, IReadOnlyList<Dimension>? Shape)
{
    public override string ToString() => $"{Type.ToString().ToLowerInvariant()} {Dimensions.Text(Shape)}";
}

/// <summary>
/// Checks a model against the ONNX specification without running it: single assignment, versions, known operators and their arities,
/// element types, shapes, scales and zero points. Covers the operators of <see cref="OperatorTable"/>; others are reported as unknown.
/// </summary>
public static class OnnxChecker
{
    /// <summary>IR version that came with each operator set from 7 on, by the versioning document of ONNX.</summary>
    private static readonly int[] IrVersions = [3, 3, 4, 5, 6, 7, 7, 7, 8, 8, 8, 8, 9, 9, 10, 10, 11, 12, 12];

    public static CheckResult Check(OnnxModel model)
    {
        var graph = model.Graph;
        var uses = new UseDef(graph);
        List<string> findings = [.. SingleAssignment.Violations(graph)];
        var oldest = IrVersions[Math.Clamp(model.Opset - OnnxReader.OldestOpset, 0, IrVersions.Length - 1)];
        if (model.IrVersion < oldest)
            findings.Add($"IR version {model.IrVersion} is older than opset {model.Opset}, which came with {oldest}");
        var opsets = model
            .Header.OpsetImport.GroupBy(import => import.Domain)
            .ToDictionary(group => group.Key, group => group.Last().Version);
        opsets[""] = model.Opset;

        var values = new Dictionary<string, InferredValue>();
        foreach (var input in graph.Inputs)
            values[input.Name] = new InferredValue(input.Type, input.Shape);
        foreach (var (name, tensor) in graph.Initializers)
        {
            values[name] = new InferredValue(tensor.Type, [.. tensor.Shape.Select(size => (Dimension)size)]);
            if (tensor.Data.Length != tensor.Count * tensor.Type.Size())
                findings.Add($"initializer '{name}' {values[name]} holds {tensor.Data.Length:N0} bytes");
        }
        foreach (var node in graph.Nodes)
        {
            foreach (var finding in Infer(node, opsets, uses, values))
                findings.Add($"node '{node.Name}' ({node.OpType}): {finding}");
        }
        foreach (var output in graph.Outputs)
        {
            if (output.Type != ElementType.Undefined && values.TryGetValue(output.Name, out var value) && !Fits(output, value))
                findings.Add($"output {output} is declared so, but is {value}");
        }
        return new CheckResult(findings, values);
    }

    private static bool Fits(ValueInfo declared, InferredValue value) =>
        (value.Type == ElementType.Undefined || value.Type == declared.Type)
        && (
            value.Shape is null
            || (
                value.Shape.Count == declared.Shape.Length
                && declared
                    .Shape.Zip(value.Shape)
                    .All(pair => pair.First.Value is null || pair.Second.Value is null || pair.First.Value == pair.Second.Value)
            )
        );

    /// <summary>Adds the node's outputs to the values and returns what is wrong with it.</summary>
    private static List<string> Infer(Node node, Dictionary<string, long> opsets, UseDef uses, Dictionary<string, InferredValue> values)
    {
        var findings = new List<string>();
        foreach (var output in node.Outputs.Where(output => output.Length > 0))
            values.TryAdd(output, new InferredValue(ElementType.Undefined, null));
        if (!opsets.TryGetValue(node.Domain, out var opset))
            return [$"the model imports no operator set '{node.Domain}'"];
        if (OperatorTable.Find(node.Domain, node.OpType, opset) is not { } signature)
            return
            [
                $"no such operator is known in version {opset} of the {(node.Domain.Length == 0 ? "standard" : node.Domain)} operator set",
            ];
        Arity("inputs", node.Inputs, signature.Inputs);
        Arity("outputs", node.Outputs, signature.Outputs);
        if (findings.Count > 0)
            return findings;

        var types = new Dictionary<string, ElementType>();
        for (var i = 0; i < node.Inputs.Length; i++)
        {
            var formal = signature.Inputs[Math.Min(i, signature.Inputs.Count - 1)];
            if (
                node.Inputs[i].Length == 0
                || values.GetValueOrDefault(node.Inputs[i])?.Type is not { } type
                || type == ElementType.Undefined
            )
                continue;
            if (!formal.Types.Contains(type))
                findings.Add($"input '{node.Inputs[i]}' is {Text(type)}; expected {string.Join(" or ", formal.Types.Select(Text))}");
            else if (types.TryGetValue(formal.Variable, out var bound) && bound != type)
                findings.Add($"input '{node.Inputs[i]}' is {Text(type)} where another is {Text(bound)}; they must be the same");
            else
                types[formal.Variable] = type;
        }
        IReadOnlyList<Dimension[]?> shapes = [];
        try
        {
            shapes = signature.Shape(new Operands(node, opset, name => values.GetValueOrDefault(name)?.Shape?.ToArray(), uses.Constant));
        }
        catch (Exception e) when (e is FormatException or OverflowException)
        {
            findings.Add(e.Message);
        }
        for (var i = 0; i < node.Outputs.Length; i++)
        {
            var formal = signature.Outputs[Math.Min(i, signature.Outputs.Count - 1)];
            var type = types.GetValueOrDefault(
                formal.Variable,
                formal.Types is { Count: 1 } ? formal.Types.First() : TypeByAttribute(node, uses)
            );
            if (type != ElementType.Undefined && !formal.Types.Contains(type))
            {
                findings.Add($"makes element type {(int)type}, which the operator does not allow");
                type = ElementType.Undefined;
            }
            if (node.Outputs[i].Length > 0)
                values[node.Outputs[i]] = new InferredValue(type, i < shapes.Count ? shapes[i] : null);
        }
        return findings;

        void Arity(string what, IReadOnlyList<string> names, IReadOnlyList<Formal> formals)
        {
            var required = formals.Count(formal => !formal.Optional);
            if (names.Count > formals.Count && !(formals is [.., { Variadic: true }]))
                findings.Add($"{names.Count} {what}; at most {formals.Count} are allowed");
            else if (
                names.Count < required
                || names.Take(formals.Count).Zip(formals).Any(pair => pair.First.Length == 0 && !pair.Second.Optional)
            )
                findings.Add($"{names.Count(name => name.Length > 0)} {what}; at least {required} are needed");
        }
    }

    /// <summary>The output type that no input decides.</summary>
    internal static ElementType TypeByAttribute(Node node, UseDef uses) =>
        node.OpType switch
        {
            "Cast" => (ElementType)node.Int("to", -1),
            "Constant" => uses.Constant(node.Output)?.Type ?? ElementType.Undefined,
            "ConstantOfShape" => node.Attribute("value") is { T: { } value } ? (ElementType)value.DataType : ElementType.Float,
            "QuantizeLinear" => node.Int("output_dtype", (long)ElementType.UInt8) is > 0 and var type
                ? (ElementType)type
                : ElementType.UInt8,
            "LayerNormalization" or "SkipLayerNormalization" => ElementType.Float,
            _ => ElementType.Undefined,
        };

    private static string Text(ElementType type) => type.ToString().ToLowerInvariant();
}
