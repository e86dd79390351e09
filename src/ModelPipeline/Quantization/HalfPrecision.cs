using System.Numerics.Tensors;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Quantization;

/// <summary>
/// The fp16 build of a prepared graph, as ONNX that any runtime computes: weights stored as float16, activations rounded to float16 at the
/// tensors that the NPU holds (<see cref="FusedOperators"/>), arithmetic between them in float32 as the NPU accumulates.
/// </summary>
internal static class HalfPrecision
{
    private const float Largest = 65504;
    private const int FirstLayerNormalization = 17;

    public static OnnxModel Build(OnnxModel model, FusedOperators fused)
    {
        var graph = WithNormOperators(model).Graph;
        var names = new FreshNames(graph);
        var initializers = new OrderedDictionary<string, Tensor>();
        var nodes = new List<Node>();
        var renamed = new Dictionary<string, string>();
        foreach (var (name, tensor) in graph.Initializers)
        {
            if (tensor.Type != ElementType.Float)
            {
                initializers[name] = tensor;
                continue;
            }
            initializers[names.Of(name, "fp16")] = ToHalf(tensor);
            nodes.Add(Cast(names.Of(name, "fp16"), renamed[name] = names.Of(name, "fp32"), ElementType.Float));
        }
        var points = fused.Points.Except(graph.Outputs.Select(output => output.Name)).ToHashSet();
        foreach (var node in graph.Nodes)
        {
            nodes.Add(node with { Inputs = [.. node.Inputs.Select(input => renamed.GetValueOrDefault(input, input))] });
            foreach (var output in node.Outputs.Where(points.Contains))
            {
                nodes.Add(Cast(output, names.Of(output, "fp16"), ElementType.Float16));
                nodes.Add(Cast(names.Of(output, "fp16"), renamed[output] = names.Of(output, "fp32"), ElementType.Float));
            }
        }
        return model.With(graph with { Nodes = [.. nodes], Initializers = initializers });
    }

    /// <summary>ONNX Runtime fuses a norm that is written out, and the Cast before it, into an operator that it then refuses for its types
    /// where the operator set has it: so it stands as that operator.</summary>
    private static OnnxModel WithNormOperators(OnnxModel model)
    {
        var written = PatternMatches.Of(model.Graph).LayerNorms.Where(norm => norm is { Centered: true, Nodes.Count: > 1 }).ToList();
        if (model.Opset < FirstLayerNormalization || written.Count == 0)
            return model;
        var editing = new Editing(model, "norm");
        foreach (var norm in written)
            editing.Replace(
                norm.Nodes[^1],
                new Node(
                    "LayerNormalization",
                    norm.Nodes[^1].Name,
                    [norm.Input, norm.Scale, .. norm.Bias is { } bias ? [bias] : Array.Empty<string>()],
                    [norm.Output]
                )
                {
                    Attributes = [Attributes.Of("axis", -1L), Attributes.Of("epsilon", norm.Epsilon)],
                }
            );
        return editing.Apply();
    }

    private static Node Cast(string from, string to, ElementType type) =>
        new("Cast", $"{to}_Cast", [from], [to]) { Attributes = [Attributes.Of("to", (long)type)] };

    /// <summary>Rounded to nearest even; what float16 cannot hold becomes its largest number, as a masked score may.</summary>
    private static Tensor ToHalf(Tensor tensor)
    {
        var values = tensor.Span<float>().ToArray();
        foreach (ref var value in values.AsSpan())
            value = Math.Clamp(value, -Largest, Largest);
        var half = new Half[values.Length];
        TensorPrimitives.ConvertToHalf(values, half);
        return Tensor.Of(tensor.Shape.AsSpan(), half);
    }
}
