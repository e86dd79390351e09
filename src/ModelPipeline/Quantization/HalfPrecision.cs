using System.Numerics.Tensors;
using ModelPipeline.Onnx;

namespace ModelPipeline.Quantization;

/// <summary>
/// The fp16 build of a prepared graph, as ONNX that any runtime computes: weights stored as float16, activations rounded to float16 at the
/// tensors that the NPU holds (<see cref="FusedOperators"/>), arithmetic between them in float32 as the NPU accumulates.
/// </summary>
internal static class HalfPrecision
{
    private const float Largest = 65504;

    public static OnnxModel Build(OnnxModel model, FusedOperators fused)
    {
        var graph = model.Graph;
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
