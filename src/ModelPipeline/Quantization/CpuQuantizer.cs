using MathNet.Numerics.Statistics;
using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Quantization;

/// <summary>What the CPU quantizer may leave in fp32.</summary>
public sealed record CpuQuantizationSettings
{
    /// <summary>What the MatMul, Gemm or Gather nodes write that keep their fp32 weights: nodes need no names, nor different
    /// ones.</summary>
    public IReadOnlyCollection<string> KeepFloat { get; init; } = [];

    /// <summary>Weights with fewer elements stay in fp32: they take no room and little time.</summary>
    public int MinElements { get; init; } = WeightShare.MinElements;

    /// <summary>Those of a graph as rewrites left it: the paths that they split off for a finer type keep theirs.</summary>
    public static CpuQuantizationSettings Of(OnnxModel model)
    {
        var split = Fp16Plan.OfModel(model).ToHashSet();
        return new()
        {
            KeepFloat =
            [
                .. model.Graph.Nodes.Where(node => node.OpType == "MatMul" && split.Contains(node.Output)).Select(node => node.Output),
            ],
        };
    }
}

/// <summary>How a weight is stored and used.</summary>
public enum CpuWeightForm
{
    /// <summary>fp32, as in the source.</summary>
    Float,

    /// <summary>int8 with one scale a column, multiplied in integers with activations quantized as they come.</summary>
    Integer,

    /// <summary>int8 with one scale a row, turned back into fp32 before use.</summary>
    Stored,
}

/// <summary>What became of one weight.</summary>
/// <param name="Node">Name of the node that reads it, if it has one.</param>
/// <param name="Value">What that node writes.</param>
/// <param name="Shape">[rows, columns].</param>
public sealed record CpuWeightReport(string Node, string Value, string Weight, IReadOnlyList<long> Shape, CpuWeightForm Form);

/// <summary>A quantized model and what became of each weight, in graph order.</summary>
/// <param name="Share">What became int8 of what may.</param>
public sealed record CpuQuantization(OnnxModel Model, IReadOnlyList<CpuWeightReport> Weights, WeightShare Share)
{
    /// <summary>Share of the error on samples that chose nothing which the weights kept by a search remove, (0, 1]; 0 if it kept none, or
    /// there was none.</summary>
    public double Gain { get; init; }
}

/// <summary>
/// int8 weights and dynamically quantized activations with standard operators only (DynamicQuantizeLinear and MatMulInteger, opset 11), so
/// that any ONNX Runtime runs the file at any [batch, sequence] and fuses it into its integer kernels.
/// </summary>
public static class CpuQuantizer
{
    private const int LowestOpset = 11;

    /// <exception cref="PipelineException">The model is quantized already, is older than opset 11, or lacks a node that is to stay in
    /// fp32.</exception>
    public static CpuQuantization Quantize(OnnxModel model, CpuQuantizationSettings settings, CancellationToken cancellation = default)
    {
        Require(model, settings);
        var rewriting = new CpuRewriting(CpuSlimming.Apply(model), settings);
        rewriting.QuantizeWeights(cancellation);
        return Finish(rewriting);
    }

    /// <summary>
    /// Quantizes, and keeps in fp32 the products that gain most for their size. Products that read one value are kept or quantized
    /// together; what each group is worth is measured with it alone in fp32, and groups are taken by gain a byte while they fit. Other
    /// samples judge the choice.
    /// </summary>
    /// <param name="extraBytes">What the file may grow by, to the byte.</param>
    /// <param name="outputs">Outputs of a model on the samples that choose, in one row.</param>
    /// <param name="heldOut">The same on the samples that judge.</param>
    /// <returns>The plain quantization if the chosen groups together do not come closer to fp32 than it does on the samples that
    /// judge.</returns>
    /// <exception cref="PipelineException">As <see cref="Quantize"/>.</exception>
    public static CpuQuantization Search(
        OnnxModel model,
        CpuQuantizationSettings settings,
        long extraBytes,
        Func<OnnxModel, float[]> outputs,
        Func<OnnxModel, float[]> heldOut,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellation = default
    )
    {
        Require(model, settings);
        var slim = CpuSlimming.Apply(model);
        var plain = new CpuRewriting(slim, settings);
        plain.QuantizeWeights(cancellation);
        var quantized = Finish(plain);
        var choosing = ErrorOn(outputs);
        var error = choosing(quantized);
        var limit = Bytes(quantized) + extraBytes;
        var groups = new List<(IReadOnlyList<string> Values, double GainPerByte)>();
        foreach (var (index, values) in plain.IntegerGroups.Index())
        {
            progress?.Report(new StageProgress("searching weights to keep in fp32", index, plain.IntegerGroups.Count));
            cancellation.ThrowIfCancellationRequested();
            var alone = Keeping(values);
            if (Bytes(alone) <= limit)
                groups.Add((values, (error - choosing(alone)) / Math.Max(1, Bytes(alone) - Bytes(quantized))));
        }
        progress?.Report(new StageProgress("searching weights to keep in fp32", plain.IntegerGroups.Count, plain.IntegerGroups.Count));
        IReadOnlyList<string> kept = [];
        foreach (var (values, _) in groups.Where(group => group.GainPerByte > 0).OrderByDescending(group => group.GainPerByte))
        {
            // What a group adds depends on the others: products share weights, and their int8 form goes with the last of them.
            if (Bytes(Keeping([.. kept, .. values])) <= limit)
                kept = [.. kept, .. values];
        }
        if (kept.Count == 0)
            return quantized;
        var (better, judging) = (Keeping(kept), ErrorOn(heldOut));
        better = better with { Gain = 1 - (judging(better) / judging(quantized)) };
        return better.Gain > 0 ? better : quantized;

        CpuQuantization Keeping(IEnumerable<string> values) =>
            Finish(new CpuRewriting(slim, settings with { KeepFloat = [.. settings.KeepFloat, .. values] }, plain));

        // Variances of independent errors add up; what shifts or stretches all outputs alike changes no order, and is none.
        Func<CpuQuantization, double> ErrorOn(Func<OnnxModel, float[]> samples)
        {
            var reference = Doubles(samples(model));
            return candidate => 1 - Math.Pow(Correlation.Pearson(reference, Doubles(samples(candidate.Model))), 2);
        }

        static double[] Doubles(float[] values) => Array.ConvertAll(values, value => (double)value);

        static long Bytes(CpuQuantization quantization) => OnnxWriter.ToProto(quantization.Model).CalculateSize();
    }

    private static void Require(OnnxModel model, CpuQuantizationSettings settings)
    {
        Prequantized.Refuse(model, model.Graph.Name);
        if (model.Opset < LowestOpset)
            throw new PipelineException(
                $"{model.Graph.Name}: opset {model.Opset} has no DynamicQuantizeLinear; export the model at opset {LowestOpset} or later "
                    + $"(14 is usual)"
            );
        if (settings.KeepFloat.FirstOrDefault(value => !model.Graph.Nodes.Any(node => node.Output == value)) is { } unknown)
            throw new PipelineException($"{model.Graph.Name}: no node writes '{unknown}', which is to stay in fp32");
    }

    private static CpuQuantization Finish(CpuRewriting rewriting)
    {
        var model = DeadNodes.Apply(rewriting.Rewritten()).Model;
        return new CpuQuantization(model, rewriting.Report, WeightShare.Of(rewriting.Source, model.Graph, rewriting.Kept));
    }
}
