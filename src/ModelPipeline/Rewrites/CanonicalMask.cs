using ModelPipeline.Onnx;

namespace ModelPipeline.Rewrites;

/// <summary>Writes masks as <c>(1 - attention_mask) * value</c>, made once for all layers, plus a constant where a mask has a window or a
/// bias.</summary>
internal sealed class CanonicalMask
{
    private readonly OnnxModel model;
    private readonly float value;
    private readonly Dictionary<string, Tensor> constants = [];
    private readonly List<Node> made = [];

    private CanonicalMask(OnnxModel model, float value) => (this.model, this.value) = (model, value);

    public static Rewritten Write(OnnxModel model, IReadOnlyList<(MaskSite Site, MaskMeaning Meaning)> sites, float value)
    {
        if (sites.Count == 0)
            return Rewritten.Nothing(model);
        var canonical = new CanonicalMask(model, value);
        var replaced = new Dictionary<Node, Node>(ReferenceEqualityComparer.Instance);
        List<string> matches = [];
        foreach (var (site, meaning) in sites)
        {
            var mask = canonical.Mask(site, meaning);
            replaced[site.Node] = site.Node with { OpType = "Add", Inputs = [site.Node.Inputs[site.ScoresIndex], mask], Attributes = [] };
            matches.Add(
                $"{site.Node.Output}: {site.Node.OpType} by the mask -> "
                    + $"{FormattableString.Invariant($"{value}")}{(meaning.HasWindow ? ", beside a constant" : "")}"
            );
        }
        var graph = model.Graph;
        return new Rewritten(
            model.With(
                graph with
                {
                    Nodes = [.. canonical.made, .. graph.Nodes.Select(node => replaced.GetValueOrDefault(node, node))],
                    Initializers = graph.InitializersWith(canonical.constants),
                }
            ),
            matches
        );
    }

    private string Mask(MaskSite site, MaskMeaning meaning)
    {
        var number = value / site.Factor;
        var padding = Padding(meaning.Shape.Length, number);
        if (!meaning.HasWindow)
            return padding;
        float[] window = [.. meaning.Window.Select(each => each * site.Factor < MaskMeaning.Threshold ? number : each)];
        var name = Constant("mask_window", Tensor.Of<float>(meaning.Shape.AsSpan(), window));
        return Made(new Node("Add", "", [padding, name], [$"{padding}_and_{name}"]));
    }

    /// <summary>[batch, 1, .., tokens] of the wanted rank.</summary>
    private string Padding(int rank, float number)
    {
        var mask = Probe.MaskOf(model.Graph)!;
        var type = model.Graph.Inputs.First(input => input.Name == mask).Type;
        var wide = mask;
        if (rank > 2)
        {
            long[] axes = [.. Enumerable.Range(1, rank - 2).Select(axis => (long)axis)];
            wide =
                model.Opset >= 13
                    ? Made(new Node("Unsqueeze", "", [mask, Constant("mask_axes", Tensor.Vector(axes))], [$"{mask}_{rank}d"]))
                    : Made(new Node("Unsqueeze", "", [mask], [$"{mask}_{rank}d"]) { Attributes = [Attributes.Of("axes", axes)] });
        }
        if (type != ElementType.Float)
            wide = Made(
                new Node("Cast", "", [wide], [$"{mask}_{rank}d_float"]) { Attributes = [Attributes.Of("to", (long)ElementType.Float)] }
            );
        var inverted = Made(new Node("Sub", "", [Constant("mask_one", Tensor.Scalar(1f)), wide], [$"{mask}_{rank}d_padding"]));
        var factor = Constant("mask_value", Tensor.Scalar(number));
        return Made(new Node("Mul", "", [inverted, factor], [$"{inverted}_{factor}"]));
    }

    /// <summary>The output of a node that is made once, under a name that the graph does not have.</summary>
    private string Made(Node node)
    {
        var output = model.Graph.Unused(node.Output);
        if (!made.Any(other => other.Output == output))
            made.Add(node with { Name = output, Outputs = [output] });
        return output;
    }

    private string Constant(string name, Tensor tensor)
    {
        if (constants.FirstOrDefault(entry => entry.Value.Equals(tensor)).Key is { } same)
            return same;
        name = model.Graph.Unused(name);
        while (constants.ContainsKey(name))
            name += "_";
        constants[name] = tensor;
        return name;
    }
}
