using ModelPipeline.Calibration;
using ModelPipeline.Manifest;
using ModelPipeline.Npu;
using ModelPipeline.Onnx;
using ModelPipeline.Quantization;

namespace ModelPipeline.Stages;

/// <summary>Prepared graph and calibration set to the artifact of one variant.</summary>
public static class QuantizeStage
{
    /// <returns>Path of the artifact.</returns>
    public static Task<string> RunAsync(ModelBuild build, VariantSpec variant, InputShape shape, StageContext context) =>
        variant.Backend == Backend.Onnx ? ForCpuAsync(build, variant, shape, context) : ForNpuAsync(build, variant, shape, context);

    /// <summary>A CPU variant: one file for every shape, made from the source as it is.</summary>
    private static async Task<string> ForCpuAsync(ModelBuild build, VariantSpec variant, InputShape shape, StageContext context)
    {
        var source = (await build.FetchAsync(context).ConfigureAwait(false)).Model;
        var key = StageRecord.KeyOf("quantize", ModelBuild.Version, new { variant.Backend, variant.Precision }, new Dictionary<string, string> { ["model"] = source.Sha256 });
        return Kept(build, variant, shape, key, context, (artifact, report) =>
        {
            if (variant.Precision == Precision.Fp32)
            {
                AtomicFile.Write(artifact, stream => FileDigest.Copy(File.OpenRead(source.Path), stream, context.Cancellation));
                return;
            }
            context.Progress.Report(new StageProgress($"quantize {variant.Name}", 0, 0));
            var quantization = CpuQuantizer.Quantize(OnnxModel.Load(source.Path), new CpuQuantizationSettings(), context.Cancellation);
            quantization.Model.Save(artifact);
            ReportJson.Write(report, quantization.Weights);
        });
    }

    /// <summary>An NPU variant, or what simulates it: from the prepared graph and the calibration set through the shim.</summary>
    private static async Task<string> ForNpuAsync(ModelBuild build, VariantSpec variant, InputShape shape, StageContext context)
    {
        var prepared = await PrepareStage.RunAsync(build, variant, shape, context).ConfigureAwait(false);
        var calibration = await CalibrateStage.RunAsync(build, shape, context).ConfigureAwait(false);
        var origin = (await build.FetchAsync(context).ConfigureAwait(false)).Model;
        var settings = new
        {
            variant.Backend,
            variant.Precision,
            variant.Algorithm,
            variant.Method,
            variant.Target,
            variant.OptimizationLevel,
            variant.Toolkit,
            variant.Fp16,
        };
        var key = StageRecord.KeyOf("quantize", ModelBuild.Version, settings, new Dictionary<string, string>
        {
            ["prepared"] = FileDigest.Of(prepared, context.Cancellation).Sha256,
            ["calibration"] = FileDigest.Of(calibration + StageRecord.Extension, context.Cancellation).Sha256,
        });
        return Kept(build, variant, shape, key, context, (artifact, report) =>
        {
            var source = prepared;
            var graph = artifact + AtomicFile.TemporarySuffix;
            try
            {
                if (variant.Backend == Backend.Simulator)
                {
                    var (model, quantization) = Emulate(OnnxModel.Load(prepared), variant, CalibrationSet.Read(calibration), context);
                    model.Save(source = graph);
                    ReportJson.Write(report, quantization);
                }
                ConversionJob.RunAsync(new ConversionRequest
                {
                    Backend = variant.Backend,
                    Source = source,
                    Artifact = artifact,
                    Target = variant.Target,
                    CustomString = $"modelpipeline {PipelineVersion.Current} source={origin.Sha256} settings={key}",
                }, context.Progress, context.Cancellation).GetAwaiter().GetResult();
            }
            finally
            {
                File.Delete(graph);
            }
        });
    }

    /// <summary>The artifact as it is if it was made from this key, else made by <paramref name="make"/>, which is given the paths of artifact and report.</summary>
    private static string Kept(ModelBuild build, VariantSpec variant, InputShape shape, string key, StageContext context, Action<string, string> make)
    {
        var artifact = build.Artifact(variant, shape);
        var folder = Path.GetDirectoryName(artifact)!;
        var record = Path.Combine(folder, "quantize" + StageRecord.Extension);
        if (build.IsUpToDate(record, key, context, variant.Force))
            return artifact;
        Directory.CreateDirectory(folder);
        var report = Path.Combine(folder, "quantization.json");
        make(artifact, report);
        build.Finish(record, key, File.Exists(report) ? [artifact, report] : [artifact], context);
        return artifact;
    }

    /// <summary>The graph by which the simulator predicts what the toolkit would build.</summary>
    internal static (OnnxModel Model, QuantizationReport Report) Emulate(OnnxModel prepared, VariantSpec variant, CalibrationSet calibration, StageContext context)
    {
        var imported = NpuEmulation.Import(prepared);
        var fused = FusedOperators.Of(imported.Graph);
        if (variant.Precision == Precision.Fp16)
            return (HalfPrecision.Build(imported, fused), QuantizationReport.Of(fused, new Dictionary<string, ActivationRange>(), fused.Points.ToHashSet()));
        var ranges = ActivationRanges.Collect(imported, fused.Points, variant.Algorithm, calibration.Samples, context.Progress, context.Cancellation);
        var activations = ranges.ToDictionary(range => range.Key, range => AffineParameters.Covering(range.Value.Min, range.Value.Max));
        var fp16 = HybridPlan.Resolve(prepared, fused.Points, variant.Fp16);
        return (NpuEmulation.Build(imported, fused, activations, fp16), QuantizationReport.Of(fused, ranges, fp16));
    }
}
