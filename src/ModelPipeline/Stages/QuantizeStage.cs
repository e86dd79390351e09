using ModelPipeline.Calibration;
using ModelPipeline.Manifest;
using ModelPipeline.Npu;
using ModelPipeline.Onnx;
using ModelPipeline.Quantization;
using ModelPipeline.Toolkit;

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
        var origin = await build.FetchAsync(context).ConfigureAwait(false);
        var provenance = $"modelpipeline {PipelineVersion.Current} source={origin.Model.Sha256} settings={key}";
        var report = variant.Backend == Backend.Rknn
            ? await CompileAsync(build, variant, prepared, calibration, artifact, provenance, context).ConfigureAwait(false)
            : await SimulateAsync(variant, prepared, calibration, artifact, provenance, context).ConfigureAwait(false);
        build.Finish(record, key, report is null ? [artifact] : [artifact, report], context);
        return artifact;
    }

    /// <summary>Converts with rknn-toolkit2.</summary>
    /// <returns>Path of the compile report.</returns>
    private static async Task<string> CompileAsync(
        ModelBuild build, VariantSpec variant, string prepared, string calibration, string artifact, string provenance, StageContext context)
    {
        var made = await ToolkitConversion.RunAsync(new ToolkitRequest
        {
            Environment = ToolkitEnvironment.Find(variant.Toolkit, build.Cache, Environment.GetEnvironmentVariable),
            Source = prepared,
            Artifact = artifact,
            Variant = variant,
            Dataset = Path.Combine(calibration, CalibrationSet.DatasetFile),
            CustomString = provenance,
        }, context.Progress, context.Cancellation).ConfigureAwait(false);
        foreach (var output in made.File.Outputs.Where(output => output.IsInt8))
            context.Warning($"{Path.GetFileName(artifact)}: {output.Shape.Name} is int8 and has at most 256 values, so passages may tie; 'fp16: [head]' keeps it finer");
        var report = Path.Combine(Path.GetDirectoryName(artifact)!, "compile.json");
        ReportJson.Write(report, made.Compile);
        return report;
    }

    /// <summary>Converts for ONNX Runtime: the emulated graph for the simulator, the prepared one otherwise.</summary>
    /// <returns>Path of the quantization report; null if there is none.</returns>
    private static async Task<string?> SimulateAsync(
        VariantSpec variant, string prepared, string calibration, string artifact, string provenance, StageContext context)
    {
        var source = prepared;
        var report = variant.Backend == Backend.Simulator ? Path.Combine(Path.GetDirectoryName(artifact)!, "quantization.json") : null;
        var graph = artifact + AtomicFile.TemporarySuffix;
        try
        {
            if (report is not null)
            {
                var (model, quantization) = Emulate(OnnxModel.Load(prepared), variant, CalibrationSet.Read(calibration), context);
                model.Save(source = graph);
                ReportJson.Write(report, quantization);
            }
            await ConversionJob.RunAsync(new ConversionRequest
            {
                Backend = variant.Backend,
                Source = source,
                Artifact = artifact,
                Target = variant.Target,
                CustomString = provenance,
            }, context.Progress, context.Cancellation).ConfigureAwait(false);
            return report;
        }
        finally
        {
            File.Delete(graph);
        }
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
