using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Quantization;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Stages;

/// <summary>The graphs by which the simulator predicts what the toolkit would build of a prepared one.</summary>
internal sealed class Emulation
{
    private readonly OnnxModel prepared,
        imported;
    private readonly FusedOperators fused;

    public Emulation(OnnxModel prepared)
    {
        this.prepared = prepared;
        imported = NpuEmulation.Import(prepared);
        fused = FusedOperators.Of(imported.Graph);
    }

    /// <summary>What calibration sees of every tensor.</summary>
    public Dictionary<string, ActivationRange> Ranges(
        QuantizationAlgorithm algorithm,
        IReadOnlyList<IReadOnlyList<long[]>> samples,
        StageContext context
    ) => new(ActivationRanges.Collect(imported, fused.Points, algorithm, samples, context.Progress, context.Cancellation));

    /// <summary>What is narrower than that.</summary>
    public IReadOnlyDictionary<string, ClippedRange> Clips(RangeClip clip, IReadOnlyList<IReadOnlyList<long[]>> samples) =>
        clip == RangeClip.None
            ? new Dictionary<string, ClippedRange>()
            : RangeClips.Find(prepared, samples, byProduct: clip == RangeClip.OutputError);

    public (OnnxModel Model, QuantizationReport Report) BuildFp16() =>
        (
            HalfPrecision.Build(imported, fused),
            QuantizationReport.Of(fused, new Dictionary<string, ActivationRange>(), fused.Points.ToHashSet())
        );

    /// <summary>Where int8 may cost something.</summary>
    public IReadOnlyList<TensorClass> Classes => TensorClass.Of(imported.Graph, fused);

    /// <summary>Only what is of one class is int8.</summary>
    /// <param name="only">Of <see cref="Classes"/>.</param>
    /// <param name="ranges">Of every tensor.</param>
    /// <param name="clips">In the place of some of them.</param>
    public OnnxModel Build(
        TensorClass only,
        IReadOnlyDictionary<string, ActivationRange> ranges,
        IReadOnlyDictionary<string, ClippedRange> clips
    )
    {
        var fp16 = only.IsWeights ? [] : fused.Points.Except(only.Points).ToHashSet();
        var activations = Activations(Narrowed(ranges, clips)).Where(each => only.Points.Contains(each.Key)).ToDictionary();
        return NpuEmulation.Build(imported, fused, activations, fp16, only.IsWeights ? QuantizationMethod.Channel : null);
    }

    /// <param name="variant">w8a8; gives the fp16 plan and the method.</param>
    /// <param name="ranges">Of every tensor.</param>
    /// <param name="clips">In the place of some of them.</param>
    public (OnnxModel Model, QuantizationReport Report) Build(
        VariantSpec variant,
        IReadOnlyDictionary<string, ActivationRange> ranges,
        IReadOnlyDictionary<string, ClippedRange> clips
    )
    {
        var narrowed = Narrowed(ranges, clips);
        var named = Fp16Plan.Resolve([.. Fp16Plan.OfModel(prepared), .. variant.Fp16], imported.Graph, fused);
        // One operator on the NPU: where it writes fp16, all within it is.
        var fp16 = named
            .Union(fused.FusedAttentions.Where(attention => named.Contains(attention.Context.Output)).SelectMany(FusedOperators.Inner))
            .ToHashSet();
        var emulated = NpuEmulation.Build(imported, fused, Activations(narrowed), fp16, variant.Method);
        return (
            emulated,
            QuantizationReport.Of(fused, narrowed, fp16) with
            {
                Weights = WeightShare.Of(imported.Graph, emulated.Graph, new HashSet<string>()),
            }
        );
    }

    private static Dictionary<string, ActivationRange> Narrowed(
        IReadOnlyDictionary<string, ActivationRange> ranges,
        IReadOnlyDictionary<string, ClippedRange> clips
    ) =>
        ranges.ToDictionary(
            range => range.Key,
            range => clips.TryGetValue(range.Key, out var clip) ? new ActivationRange(clip.Min, clip.Max) : range.Value
        );

    private static Dictionary<string, AffineParameters> Activations(Dictionary<string, ActivationRange> ranges) =>
        ranges.ToDictionary(range => range.Key, range => AffineParameters.Covering(range.Value.Min, range.Value.Max));
}
