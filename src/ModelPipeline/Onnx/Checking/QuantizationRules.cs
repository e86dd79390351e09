namespace ModelPipeline.Onnx.Checking;

/// <summary>Shapes, and the shapes and values of scales and zero points, of the operators that quantizers write.</summary>
internal static class QuantizationRules
{
    private const int FirstPerAxis = 13;

    /// <summary>QuantizeLinear and DequantizeLinear: one scale a tensor or one an entry of the axis, positive and finite; a zero point of
    /// the scale's shape.</summary>
    public static IReadOnlyList<Dimension[]?> Linear(Operands o)
    {
        var shape = o.Shape(0);
        var scale = o.Shape(1);
        if (scale is [var count] && count.Value != 1)
        {
            if (o is { Node.Domain: "", Opset: < FirstPerAxis })
                throw new FormatException($"one scale an axis entry needs opset {FirstPerAxis}");
            if (shape is not null)
            {
                var axis = Dimensions.Axis(o.Node.Int("axis", 1), shape.Length);
                Dimensions.Same(shape[axis], count, $"axis {axis} of {Dimensions.Text(shape)} and the number of scales");
            }
        }
        else if (scale is { Length: > 1 })
            throw new FormatException(
                $"scales {Dimensions.Text(scale)}: blocks are not supported, only one scale a tensor or an axis entry"
            );
        if (
            scale is not null
            && o.Shape(2) is { } zeroPoint
            && (
                zeroPoint.Length != scale.Length
                || !zeroPoint.Zip(scale).All(pair => pair.First.Value is null || pair.Second.Value is null || pair.First == pair.Second)
            )
        )
            throw new FormatException(
                $"zero points {Dimensions.Text(zeroPoint)} do not have the shape of the scales {Dimensions.Text(scale)}"
            );
        CheckScale(o.Constant(1));
        return [shape];
    }

    /// <summary>MatMulInteger and its fused forms: scales and zero points of the second matrix are one, or one a column.</summary>
    public static IReadOnlyList<Dimension[]?> MatMulInteger(Operands o)
    {
        var result = ShapeRules.MatMul(o.Shape(0), o.Shape(1));
        int[] ofColumns = o.Node.OpType switch
        {
            "MatMulInteger" => [3],
            "DynamicQuantizeMatMul" => [2, 3, 4],
            _ => [3, 5, 6],
        };
        if (o.Shape(1) is [.., var columns])
        {
            foreach (var input in ofColumns)
            {
                if (o.Shape(input) is [.., { Value: not 1 } length])
                    Dimensions.Same(length, columns, $"the length of operand {input} and the number of columns");
            }
        }
        foreach (
            var input in o.Node.OpType switch
            {
                "MatMulInteger" => (int[])[],
                "DynamicQuantizeMatMul" => [2],
                _ => [2, 3],
            }
        )
            CheckScale(o.Constant(input));
        return [result];
    }

    private static void CheckScale(Tensor? scale)
    {
        if (scale is not { Type: ElementType.Float })
            return;
        foreach (var value in scale.Span<float>())
        {
            if (!(value > 0) || !float.IsFinite(value))
                throw new FormatException(
                    string.Create(System.Globalization.CultureInfo.InvariantCulture, $"a scale of {value}; scales are positive and finite")
                );
        }
    }
}
