using ModelPipeline.Onnx;

namespace ModelPipeline.Raising;

/// <summary>Operators of opset 7 to 12 said at opset 13.</summary>
internal static class RaisedOperators
{
    /// <summary>Starts, ends and axes were attributes before 10.</summary>
    public static void Slice(Expansion e)
    {
        long[] starts = [.. e.Node.Ints("starts")],
            ends = [.. e.Node.Ints("ends")];
        long[] axes = e.Node.Ints("axes") is { Length: > 0 } given ? [.. given] : [.. Enumerable.Range(0, starts.Length)];
        e.Write(
            e.Node.Output,
            "Slice",
            [
                e.Node.Inputs[0],
                e.Constant("starts", Tensor.Vector(starts)),
                e.Constant("ends", Tensor.Vector(ends)),
                e.Constant("axes", Tensor.Vector(axes)),
            ]
        );
    }

    /// <summary>k was an attribute before 10.</summary>
    public static void TopK(Expansion e) => e.Same("TopK", [e.Node.Inputs[0], e.Constant("k", Tensor.Vector(e.Node.Int("k", 1)))], "k");

    /// <summary>Bounds were attributes before 11.</summary>
    public static void Clip(Expansion e) =>
        e.Write(
            e.Node.Output,
            "Clip",
            [
                e.Node.Inputs[0],
                e.Constant("min", Tensor.Scalar(e.Node.Attribute("min")?.F ?? -float.MaxValue)),
                e.Constant("max", Tensor.Scalar(e.Node.Attribute("max")?.F ?? float.MaxValue)),
            ]
        );

    /// <summary>Widths and value were attributes before 11.</summary>
    public static void Pad(Expansion e) =>
        e.Same(
            "Pad",
            [
                e.Node.Inputs[0],
                e.Constant("pads", Tensor.Vector<long>([.. e.Node.Ints("pads")])),
                e.Constant("value", Tensor.Scalar(e.Node.Attribute("value")?.F ?? 0)),
            ],
            "pads",
            "value"
        );

    /// <summary>Changes nothing outside of training.</summary>
    public static void Dropout(Expansion e)
    {
        if (e.Writes(1) && e.Graph.Uses.Consumers(e.Node.Outputs[1]).Count > 0)
            throw e.Refused("its mask is read, which only training needs; export the model for inference");
        e.Write(e.Node.Output, "Identity", [e.Node.Inputs[0]]);
    }

    /// <summary>Per channel; before 9 another way could be asked for.</summary>
    public static void BatchNormalization(Expansion e)
    {
        if (e.Node.Int("spatial", 1) != 1 || e.Node.Outputs.Skip(1).Any(output => output.Length > 0))
            throw e.Refused("normalizes each place by itself, or is in training; export the model for inference at opset 13 or later");
        e.Same("BatchNormalization", e.Node.Inputs, "spatial");
    }

    /// <summary>Before 13 all axes from one on were one: the same as the last alone if that one is the last, else with those axes
    /// joined.</summary>
    public static void Softmax(Expansion e)
    {
        var (x, axis) = (e.Node.Inputs[0], e.Node.Int("axis", 1));
        var rank = e.Graph.Shape(x)?.Count;
        if (axis == -1 || axis == rank - 1)
        {
            e.Write(e.Node.Output, e.Node.OpType, [x], Attributes.Of("axis", -1L));
            return;
        }
        var joined = e.Value("Flatten", "joined", [x], Attributes.Of("axis", axis));
        var soft = e.Value(e.Node.OpType, "soft", [joined], Attributes.Of("axis", -1L));
        e.Write(e.Node.Output, "Reshape", [soft, e.Value("Shape", "shape", [x])]);
    }
}
