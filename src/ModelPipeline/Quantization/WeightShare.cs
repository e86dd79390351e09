using System.Globalization;
using ModelPipeline.Core;
using ModelPipeline.Onnx;

namespace ModelPipeline.Quantization;

/// <summary>A weight that stayed in fp32.</summary>
/// <param name="Name">Of the constant.</param>
/// <param name="Bytes">As fp32.</param>
/// <param name="Reason">Why.</param>
[OneLine]
public sealed record FloatWeight(string Name, IReadOnlyList<long> Shape, long Bytes, string Reason);

/// <summary>How much of what an int8 build may quantize it did: matrices of fp32 from <see cref="MinElements"/> on that are multiplied with
/// or picked from, but not those kept in fp32 on purpose.</summary>
/// <param name="Bytes">Of them all, as fp32.</param>
/// <param name="Int8Bytes">Of those that became int8, as fp32.</param>
/// <param name="Float">The others, largest first.</param>
public sealed record WeightShare(long Bytes, long Int8Bytes, IReadOnlyList<FloatWeight> Float)
{
    /// <summary>With less in int8 a build is no int8 build.</summary>
    public const double Least = 0.9;

    /// <summary>Smaller weights take no room.</summary>
    internal const int MinElements = 4096;
    private const int Named = 5;

    /// <summary>What these read is no weight but a bias, a mask, a table of positions or the like.</summary>
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
        "Sum",
        "Equal",
        "Less",
        "Greater",
        "LayerNormalization",
        "Concat",
    ];

    /// <summary>What these read is a weight at any rank.</summary>
    private static readonly HashSet<string> OfAnyRank = ["Einsum", "Conv", "ConvTranspose"];

    /// <summary>Of the weights, 1 if there are none.</summary>
    public double Share => Bytes == 0 ? 1 : (double)Int8Bytes / Bytes;

    /// <param name="before">The fp32 graph.</param>
    /// <param name="after">What was made of it: an int8 weight has given its fp32 form up.</param>
    /// <param name="kept">Weights that stay in fp32 on purpose.</param>
    internal static WeightShare Of(Graph before, Graph after, IReadOnlySet<string> kept)
    {
        var uses = new UseDef(before);
        var weights = before
            .Initializers.Where(entry => !kept.Contains(entry.Key) && IsWeight(entry.Value, uses.Consumers(entry.Key)))
            .ToList();
        List<FloatWeight> left =
        [
            .. weights
                .Where(weight => after.Initializers.ContainsKey(weight.Key))
                .OrderByDescending(weight => weight.Value.Data.Length)
                .Select(weight => new FloatWeight(
                    weight.Key,
                    weight.Value.Shape,
                    weight.Value.Data.Length,
                    Reason(weight.Value, uses.Consumers(weight.Key))
                )),
        ];
        var bytes = weights.Sum(weight => (long)weight.Value.Data.Length);
        return new WeightShare(bytes, bytes - left.Sum(weight => weight.Bytes), left);
    }

    /// <exception cref="PipelineException">Too little became int8.</exception>
    public void RequireEnough(string variant)
    {
        if (Share >= Least)
            return;
        var named = string.Join(
            "; ",
            Float.Take(Named).Select(weight => $"'{weight.Name}' [{string.Join(',', weight.Shape)}] {weight.Reason}")
        );
        throw new PipelineException(
            $"{variant}: only {this} (at least {Least * 100:0} % are needed). In float stayed "
                + $"{named}{(Float.Count > Named ? $"; and {Float.Count - Named} more" : "")}. "
                + "Export the model so that each weight is a matrix that a MatMul, Gemm or Gather reads."
        );
    }

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{Share * 100:0.#} % of {Bytes / 1e6:0.###} MB of weights became int8");

    private static bool IsWeight(Tensor tensor, IReadOnlyList<Node> readers) =>
        tensor.Type == ElementType.Float
        && tensor.Count >= MinElements
        && readers.Any(reader => !Elementwise.Contains(reader.OpType))
        && (tensor.Rank >= 2 && tensor.Shape[..^2].All(size => size == 1) || readers.Any(reader => OfAnyRank.Contains(reader.OpType)));

    private static string Reason(Tensor tensor, IReadOnlyList<Node> readers)
    {
        var reader = readers.FirstOrDefault(reader => !Elementwise.Contains(reader.OpType)) ?? readers[0];
        var name = $"{reader.OpType}{(reader.Name.Length > 0 ? $" '{reader.Name}'" : "")}";
        return tensor.Rank == 2
            ? $"is read by {name} in a way that is not quantized"
            : $"has rank {tensor.Rank} (read by {name}); only matrices are quantized";
    }
}
