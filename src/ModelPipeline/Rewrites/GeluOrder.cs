using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;

namespace ModelPipeline.Rewrites;

/// <summary>
/// Writes each GELU as <c>((x * (1 + erf(x / sqrt 2))) * 0.5</c>, the order that toolkit 2.3.2 fuses. With the half taken first, as the
/// dynamo exporter does, Erf would run on the CPU.
/// </summary>
internal static class GeluOrder
{
    public static Rewritten Apply(OnnxModel model)
    {
        var matches = PatternMatches.Of(model.Graph);
        var others = matches.Gelus.Where(gelu => gelu.Form == GeluForm.Erf && !IsInOrder(gelu, matches.Uses)).ToList();
        if (others.Count == 0)
            return Rewritten.Nothing(model, "every GELU is in the order that the toolkit fuses");
        var nodes = model.Graph.Nodes.ToList();
        var constants = new Dictionary<string, Tensor>();
        foreach (var gelu in others)
        {
            var written = ErfGelu.Write(gelu.Input, gelu.Output, model.Graph, constants);
            var at = nodes.IndexOf(gelu.Nodes[^1]);
            nodes.RemoveAt(at);
            nodes.InsertRange(at, written);
        }
        var graph = model.Graph with { Nodes = [.. nodes], Initializers = model.Graph.InitializersWith(constants) };
        return new Rewritten(
            DeadNodes.Apply(model.With(graph)).Model,
            [.. others.Select(gelu => $"{gelu.Output}: factors of GELU put in order")]
        );
    }

    private static bool IsInOrder(Gelu gelu, UseDef uses) =>
        gelu.Nodes is [{ OpType: "Div" }, { OpType: "Erf" }, { OpType: "Add" } plusOne, var product, var half]
        && uses.Other(product, plusOne.Output) == gelu.Input
        && uses.Scalar(half) is (0.5f, _);
}

/// <summary>A GELU by its error function.</summary>
internal static class ErfGelu
{
    /// <param name="constants">Gets the three numbers.</param>
    public static IReadOnlyList<Node> Write(string x, string output, Graph graph, Dictionary<string, Tensor> constants)
    {
        var (root, one, half) = (Number("gelu_root", MathF.Sqrt(2)), Number("gelu_one", 1), Number("gelu_half", 0.5f));
        string Inner(string name) => graph.Unused($"{output}_{name}");
        return
        [
            new Node("Div", Inner("argument"), [x, root], [Inner("argument")]),
            new Node("Erf", Inner("erf"), [Inner("argument")], [Inner("erf")]),
            new Node("Add", Inner("plus_one"), [Inner("erf"), one], [Inner("plus_one")]),
            new Node("Mul", Inner("product"), [x, Inner("plus_one")], [Inner("product")]),
            new Node("Mul", output, [Inner("product"), half], [output]),
        ];

        string Number(string name, float value)
        {
            name = graph.Unused(name);
            constants[name] = Tensor.Scalar(value);
            return name;
        }
    }
}
