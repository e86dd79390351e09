using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;

namespace ModelPipeline.Rewrites;

/// <summary>Changes to one graph, collected and then applied at once.</summary>
/// <param name="model">As it is.</param>
/// <param name="role">Part of the names of changed weights: of which rewrite they are.</param>
internal sealed class Editing(OnnxModel model, string role)
{
    private readonly Dictionary<Node, IReadOnlyList<Node>> replaced = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<string, Tensor> constants = [];

    public string Constant(string wanted, Tensor value)
    {
        var name = model.Graph.Unused(wanted);
        while (constants.ContainsKey(name))
            name += "_";
        constants[name] = value;
        return name;
    }

    /// <summary>The node as it stands after earlier changes; the node itself if there were none.</summary>
    public Node Now(Node node) => replaced.TryGetValue(node, out var nodes) ? nodes.First(other => other.Output == node.Output) : node;

    public void Replace(Node node, params IReadOnlyList<Node> with) =>
        replaced[node] = replaced.TryGetValue(node, out var before)
            ? [.. before.SelectMany(other => other.Output == node.Output ? with : [other])]
            : with;

    /// <summary>Gives a projection another weight, [inputs, outputs] as <see cref="Matrix"/> reads it, and bias.</summary>
    public void Change(Linear linear, float[] matrix, float[]? bias)
    {
        var product = Now(linear.Product);
        product = product with { Inputs = product.Inputs.SetItem(1, Constant($"{linear.Output}_{role}_weight", Shaped(linear, matrix))) };
        if (bias is not null && linear.Sum is null)
            product = product with
            {
                Inputs = [product.Inputs[0], product.Inputs[1], Constant($"{linear.Output}_{role}_bias", Tensor.Vector(bias))],
            };
        Replace(linear.Product, product);
        if (bias is not null && linear.Sum is not null)
            Replace(linear.Sum, Now(linear.Sum).Rewired(BiasNow(linear), Constant($"{linear.Output}_{role}_bias", Tensor.Vector(bias))));
    }

    private string BiasNow(Linear linear) => Now(linear.Sum!).Inputs.First(input => input != linear.Product.Output);

    /// <summary>A projection's weight as it stands after earlier changes, row-major [inputs, outputs].</summary>
    public float[] Matrix(Linear linear)
    {
        var tensor = Value(Now(linear.Product).Inputs[1]);
        var values = tensor.Span<float>();
        if (!linear.Transposed)
            return values.ToArray();
        var matrix = new float[values.Length];
        for (var i = 0; i < matrix.Length; i++)
            matrix[((i % linear.Inputs) * linear.Outputs) + (i / linear.Inputs)] = values[i];
        return matrix;
    }

    /// <summary>A projection's bias as it stands; null if it has none.</summary>
    public float[]? Bias(Linear linear)
    {
        if (linear.BiasName is null)
            return null;
        var bias = Value(linear.Sum is null ? Now(linear.Product).Inputs[2] : BiasNow(linear)).Span<float>();
        return bias.Length == linear.Outputs ? bias.ToArray() : [.. Enumerable.Repeat(bias[0], linear.Outputs)];
    }

    private Tensor Value(string name) => constants.TryGetValue(name, out var made) ? made : new UseDef(model.Graph).Constant(name)!;

    private static Tensor Shaped(Linear linear, float[] matrix)
    {
        if (!linear.Transposed)
            return Tensor.Of([linear.Inputs, linear.Outputs], matrix);
        var values = new float[matrix.Length];
        for (var i = 0; i < matrix.Length; i++)
            values[((i % linear.Outputs) * linear.Inputs) + (i / linear.Outputs)] = matrix[i];
        return Tensor.Of([linear.Outputs, linear.Inputs], values);
    }

    public OnnxModel Apply() =>
        DeadNodes
            .Apply(
                model.With(
                    model.Graph with
                    {
                        Nodes = [.. model.Graph.Nodes.SelectMany(node => replaced.TryGetValue(node, out var with) ? with : [node])],
                        Initializers = model.Graph.InitializersWith(constants),
                    }
                )
            )
            .Model;
}
