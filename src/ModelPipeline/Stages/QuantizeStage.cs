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
    public static async Task<string> RunAsync(ModelBuild build, VariantSpec variant, InputShape shape, StageContext context)
    {
        var artifact = build.Artifact(variant, shape);
        var folder = build.VariantFolder(variant, shape);
        var record = Path.Combine(folder, "quantize" + StageRecord.Extension);
        var prepared = await PrepareStage.RunAsync(build, variant, shape, context).ConfigureAwait(false);
        var calibration = await CalibrateStage.RunAsync(build, shape, context).ConfigureAwait(false);
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
        var inputs = new Dictionary<string, string>
        {
            ["prepared"] = FileDigest.Of(prepared, context.Cancellation).Sha256,
            ["calibration"] = FileDigest.Of(calibration + StageRecord.Extension, context.Cancellation).Sha256,
        };
        var key = StageRecord.KeyOf("quantize", ModelBuild.Version, settings, inputs);
        if (build.IsUpToDate(record, key, context, variant.Force))
            return artifact;

        Directory.CreateDirectory(folder);
        var source = prepared;
        var report = Path.Combine(folder, "quantization.json");
        var graph = artifact + AtomicFile.TemporarySuffix;
        try
        {
            if (variant.Backend == Backend.Simulator)
            {
                var (model, quantization) = Emulate(OnnxModel.Load(prepared), variant, CalibrationSet.Read(calibration), context);
                model.Save(source = graph);
                ReportJson.Write(report, quantization);
            }
            var origin = await build.FetchAsync(context).ConfigureAwait(false);
            await ConversionJob.RunAsync(new ConversionRequest
            {
                Backend = variant.Backend,
                Source = source,
                Artifact = artifact,
                Target = variant.Target,
                CustomString = $"modelpipeline {PipelineVersion.Current} source={origin.Model.Sha256} settings={key}",
            }, context.Progress, context.Cancellation).ConfigureAwait(false);
        }
        finally
        {
            File.Delete(graph);
        }
        build.Finish(record, key, File.Exists(report) ? [artifact, report] : [artifact], context);
        return artifact;
    }

    /// <summary>The graph by which the simulator predicts what the toolkit would build.</summary>
    internal static (OnnxModel Model, QuantizationReport Report) Emulate(OnnxModel prepared, VariantSpec variant, CalibrationSet calibration, StageContext context)
    {
        var imported = NpuEmulation.Import(prepared);
        var fused = FusedOperators.Of(imported.Graph);
        if (variant.Precision == Precision.Fp16)
            return (HalfPrecision.Build(imported, fused), QuantizationReport.Of(fused, new Dictionary<string, ActivationRange>()));
        var ranges = ActivationRanges.Collect(imported, fused.Points, calibration.Samples, context.Progress, context.Cancellation);
        var activations = ranges.ToDictionary(range => range.Key, range => AffineParameters.Covering(range.Value.Min, range.Value.Max));
        return (NpuEmulation.Build(imported, fused, activations), QuantizationReport.Of(fused, ranges));
    }
}
