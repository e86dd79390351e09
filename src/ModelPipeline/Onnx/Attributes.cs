using ModelPipeline.Onnx.Proto;
using static ModelPipeline.Onnx.Proto.AttributeProto.Types;

namespace ModelPipeline.Onnx;

/// <summary>Makes node attributes.</summary>
internal static class Attributes
{
    public static AttributeProto Of(string name, long value) =>
        new()
        {
            Name = name,
            I = value,
            Type = AttributeType.Int,
        };

    public static AttributeProto Of(string name, float value) =>
        new()
        {
            Name = name,
            F = value,
            Type = AttributeType.Float,
        };

    public static AttributeProto Of(string name, Tensor value) =>
        new()
        {
            Name = name,
            T = OnnxWriter.ToProto(value),
            Type = AttributeType.Tensor,
        };

    public static AttributeProto Of(string name, params long[] values)
    {
        var attribute = new AttributeProto { Name = name, Type = AttributeType.Ints };
        attribute.Ints.AddRange(values);
        return attribute;
    }
}
