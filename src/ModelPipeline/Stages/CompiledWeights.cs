using System.Globalization;
using ModelPipeline.Quantization;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Stages;

/// <summary>How much of a model's weights the toolkit made int8, by its compiler's table of constants.</summary>
internal static class CompiledWeights
{
    /// <summary>What these operators of the compiler read is no weight but a bias, a mask, a table of positions or the like.</summary>
    private static readonly HashSet<string> Elementwise =
    [
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Pow",
        "Where",
        "Min",
        "Max",
        "Concat",
        "Reshape",
        "exNorm",
        "exSDPAttention",
    ];

    private static readonly HashSet<string> Float = ["FLOAT", "FLOAT16", "BFLOAT16"];

    /// <summary>Null if the log has no such table, or one of no weights: then nothing is known.</summary>
    public static WeightShare? Of(CompileReport report)
    {
        var weights = report
            .Constants.Where(constant => !Elementwise.Contains(constant.Operator))
            .Where(constant => Float.Contains(constant.Type) || constant.Type is "INT8" or "UINT8" or "INT4")
            .Select(constant => (Constant: constant, Shape: ShapeOf(constant)))
            .Where(weight => Elements(weight.Shape) >= WeightShare.MinElements)
            .DistinctBy(weight => weight.Constant.Name)
            .ToList();
        if (weights.Count == 0)
            return null;
        List<FloatWeight> left =
        [
            .. weights
                .Where(weight => Float.Contains(weight.Constant.Type))
                .OrderByDescending(weight => Elements(weight.Shape))
                .Select(weight => new FloatWeight(
                    weight.Constant.Name,
                    weight.Shape,
                    Bytes(weight.Shape),
                    $"is {weight.Constant.Type.ToLowerInvariant()} for the toolkit's {weight.Constant.Operator}"
                )),
        ];
        var bytes = weights.Sum(weight => Bytes(weight.Shape));
        return new WeightShare(bytes, bytes - left.Sum(weight => weight.Bytes), left);
    }

    /// <summary>As fp32.</summary>
    private static long Bytes(IReadOnlyList<long> shape) => Elements(shape) * sizeof(float);

    private static long Elements(IReadOnlyList<long> shape) => shape.Aggregate(1L, (product, size) => product * size);

    /// <summary>Of <c>(512,128,1,1)</c>; empty, which counts as one element, if it is written otherwise.</summary>
    private static IReadOnlyList<long> ShapeOf(PlacedTensor constant)
    {
        var sizes = constant
            .Shape.Trim('(', ')')
            .Split(',')
            .Select(size => int.TryParse(size, NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? (long?)value : null)
            .ToList();
        return sizes.Contains(null) ? [] : [.. sizes.OfType<long>()];
    }
}
