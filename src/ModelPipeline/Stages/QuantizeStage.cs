using ModelPipeline.Calibration;
using ModelPipeline.Core;
using ModelPipeline.Inspection;
using ModelPipeline.Manifest;
using ModelPipeline.Npu;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Checking;
using ModelPipeline.Quantization;
using ModelPipeline.Rewrites;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Stages;

/// <summary>What an NPU variant is made from.</summary>
/// <param name="Prepared">Path of the prepared graph.</param>
/// <param name="Calibration">Folder of the calibration set.</param>
/// <param name="Provenance">Stored in the artifact.</param>
internal sealed record NpuInputs(string Prepared, string Calibration, BuildProvenance Provenance);

/// <summary>Prepared graph and calibration set to the artifact of one variant.</summary>
public static class QuantizeStage
{
    /// <summary>Samples on which weights are chosen to stay in fp32, and as many others that judge the choice.</summary>
    private const int SearchSamples = 40;

    /// <returns>Path of the artifact: of a release that was restored its own.</returns>
    public static Task<string> RunAsync(ModelBuild build, VariantSpec variant, InputShape shape, StageContext context)
    {
        if (build.Restored is not null)
            return Task.FromResult(build.Artifact(variant, shape));
        return variant.Backend == Backend.Onnx ? ForCpuAsync(build, variant, shape, context) : ForNpuAsync(build, variant, shape, context);
    }

    /// <summary>A CPU variant: one file for every shape, made from the source as the inspection left it, or from that after steps to a
    /// better int8.</summary>
    private static async Task<string> ForCpuAsync(ModelBuild build, VariantSpec variant, InputShape shape, StageContext context)
    {
        var source = await build.SourceAsync(context).ConfigureAwait(false);
        var graph = await CpuGraphAsync(build, variant, context).ConfigureAwait(false);
        var inputs = new Dictionary<string, string> { ["model"] = source.Sha256 };
        if (graph != source.Path)
            inputs["prepared"] = FileDigest.Of(graph, context.Cancellation).Sha256;
        var calibration = "";
        if (variant.FloatBudgetMb > 0)
        {
            calibration = await CalibrateStage.RunAsync(build, build.Model.Shapes[0], context).ConfigureAwait(false);
            inputs["calibration"] = FileDigest.Of(calibration + StageRecord.Extension, context.Cancellation).Sha256;
        }
        var key = StageRecord.KeyOf("quantize", StageVersions.Quantize, new { Variant = SettingsOf(variant), source.Answer }, inputs);
        return await KeptAsync(
                build,
                new Recipe(variant, shape, key),
                context,
                artifact =>
                {
                    if (variant.Precision == Precision.Fp32)
                    {
                        using var file = File.OpenRead(source.Path);
                        AtomicFile.Write(artifact, stream => FileDigest.Copy(file, stream, context.Cancellation));
                        return Task.FromResult<IReadOnlyList<string>>([]);
                    }
                    context.Progress.Report(new StageProgress($"quantize {variant.Name}", 0, 0));
                    var model = OnnxModel.Load(graph);
                    var quantization =
                        variant.FloatBudgetMb > 0
                            ? QuantizeWithin(model, variant, CalibrationSet.Read(calibration), source.Answer, context)
                            : CpuQuantizer.Quantize(model, CpuQuantizationSettings.Of(model), context.Cancellation);
                    OnnxChecker.Check(quantization.Model).Beyond(OnnxChecker.Check(model)).ThrowIfUnsound(artifact);
                    Say(variant, quantization.Share, context);
                    quantization.Model.Save(artifact);
                    return Task.FromResult(Report(artifact, new CpuQuantizationReport(quantization.Share, quantization.Weights)));
                }
            )
            .ConfigureAwait(false);
    }

    /// <summary>Path of what a CPU variant is quantized from.</summary>
    internal static async Task<string> CpuGraphAsync(ModelBuild build, VariantSpec variant, StageContext context) =>
        PrepareStage.IsFor(variant)
            ? await PrepareStage.RunAsync(build, variant, build.LargestShape, context).ConfigureAwait(false)
            : (await build.SourceAsync(context).ConfigureAwait(false)).Path;

    /// <summary>Quantizes but for the weights that gain most in fp32, within the budget, by the outputs of some calibration
    /// samples.</summary>
    private static CpuQuantization QuantizeWithin(
        OnnxModel model,
        VariantSpec variant,
        CalibrationSet calibration,
        Answer answer,
        StageContext context
    )
    {
        var samples = Math.Min(calibration.Samples.Count / 2, Math.Max(1, SearchSamples / calibration.Batch));
        if (samples == 0)
            throw new PipelineException(
                $"{variant.Name}: 'float_budget_mb' needs calibration samples to choose by and others to judge the choice; raise "
                    + $"'calibration.samples' to {2 * calibration.Batch} or, better, {2 * SearchSamples}.",
                PipelineException.ConfigurationError
            );
        var found = CpuQuantizer.Search(
            model,
            CpuQuantizationSettings.Of(model),
            (long)(variant.FloatBudgetMb * 1e6),
            Outputs(calibration.Samples.Take(samples)),
            Outputs(calibration.Samples.Skip(samples).Take(samples)),
            context.Progress,
            context.Cancellation
        );
        if (found.Gain > 0)
            context.Info(
                $"{variant.Name}: weights kept in fp32 remove {found.Gain:0%} of the error variance on text that they were not chosen on"
            );
        else
            context.Warning(
                $"{variant.Name}: no choice of weights within {variant.FloatBudgetMb} MB comes closer to fp32 on text that it was not "
                    + $"chosen on; all stay int8, and 'float_budget_mb' can go"
            );
        return found;

        Func<OnnxModel, float[]> Outputs(IEnumerable<IReadOnlyList<long[]>> inputs) =>
            candidate =>
            {
                var shape = new InputShape(calibration.Batch, calibration.Samples[0][0].Length / calibration.Batch);
                using var scorer = new ReferenceScorer(PinShapes.Apply(candidate, shape), answer);
                return [.. inputs.SelectMany(sample => scorer.Score(sample, context.Cancellation)).SelectMany(each => each)];
            };
    }

    /// <summary>An NPU variant, or what simulates it: from the prepared graph and the calibration set through the shim.</summary>
    private static async Task<string> ForNpuAsync(ModelBuild build, VariantSpec variant, InputShape shape, StageContext context)
    {
        var inputs = await InputsAsync(build, variant, shape, context).ConfigureAwait(false);
        return await KeptAsync(
                build,
                new Recipe(variant, shape, inputs.Provenance.Settings),
                context,
                artifact =>
                    variant.Backend == Backend.Rknn
                        ? new ToolkitBuild(build, variant, shape, context).ConvertAsync(inputs, artifact)
                        : SimulateAsync(variant, inputs, artifact, context)
            )
            .ConfigureAwait(false);
    }

    /// <summary>What an NPU variant is made from.</summary>
    internal static async Task<NpuInputs> InputsAsync(ModelBuild build, VariantSpec variant, InputShape shape, StageContext context)
    {
        var shared = build.SharesFile(variant);
        if (shared)
            shape = build.LargestShape;
        var prepared = await PrepareStage.RunAsync(build, variant, shape, context).ConfigureAwait(false);
        var calibration = await CalibrateStage.RunAsync(build, shape, context).ConfigureAwait(false);
        var origin = (await build.FetchAsync(context).ConfigureAwait(false)).Model;
        var settings = new { Variant = SettingsOf(variant), Shapes = shared ? build.Model.Shapes.Select(each => each.ToString()) : [] };
        var digests = new Dictionary<string, string>
        {
            ["prepared"] = FileDigest.Of(prepared, context.Cancellation).Sha256,
            ["calibration"] = FileDigest.Of(calibration + StageRecord.Extension, context.Cancellation).Sha256,
        };
        if (variant.Backend == Backend.Rknn)
            digests["driver"] = FileDigest.Of(ToolkitEnvironment.DriverPath, context.Cancellation).Sha256;
        var key = StageRecord.KeyOf("quantize", StageVersions.Quantize, settings, digests);
        return new NpuInputs(
            prepared,
            calibration,
            new BuildProvenance(PipelineVersion.Current, origin.Sha256, key)
            {
                Toolkit = variant.Backend == Backend.Rknn ? variant.Toolkit : null,
            }
        );
    }

    /// <summary>All of a variant that decides about its artifact: everything but what judges the artifact, and when it is built.</summary>
    internal static VariantSpec SettingsOf(VariantSpec variant) =>
        variant with
        {
            Gates = [],
            Compile = new(),
            ToolkitSimulator = false,
            Force = false,
        };

    /// <param name="Key">Of all that decides about the artifact.</param>
    private sealed record Recipe(VariantSpec Variant, InputShape Shape, string Key);

    /// <summary>The artifact as it is if it was made from this key, else made by <paramref name="make"/>, which returns the paths of its
    /// reports.</summary>
    private static async Task<string> KeptAsync(
        ModelBuild build,
        Recipe recipe,
        StageContext context,
        Func<string, Task<IReadOnlyList<string>>> make
    )
    {
        var artifact = build.Artifact(recipe.Variant, recipe.Shape);
        var folder = Path.GetDirectoryName(artifact)!;
        var record = Path.Combine(folder, "quantize" + StageRecord.Extension);
        if (build.IsUpToDate(record, recipe.Key, context, recipe.Variant.Force))
            return artifact;
        Directory.CreateDirectory(folder);
        var reports = await make(artifact).ConfigureAwait(false);
        build.Finish(record, recipe.Key, [artifact, .. reports], context);
        return artifact;
    }

    /// <exception cref="PipelineException">Too little became int8.</exception>
    private static void Say(VariantSpec variant, WeightShare share, StageContext context)
    {
        share.RequireEnough(variant.Name);
        context.Info($"{variant.Name}: {share}");
    }

    /// <summary>Writes quantization.json beside an artifact.</summary>
    private static IReadOnlyList<string> Report<T>(string artifact, T content)
    {
        var path = Path.Combine(Path.GetDirectoryName(artifact)!, "quantization.json");
        ReportJson.Write(path, content);
        return [path];
    }

    /// <summary>Builds the emulated graph and marks it as simulated.</summary>
    /// <returns>Path of the quantization report.</returns>
    private static async Task<IReadOnlyList<string>> SimulateAsync(
        VariantSpec variant,
        NpuInputs inputs,
        string artifact,
        StageContext context
    )
    {
        var graph = AtomicFile.TemporaryName(artifact);
        try
        {
            var source = OnnxModel.Load(inputs.Prepared);
            var (model, quantization) = Emulate(source, variant, CalibrationSet.Read(inputs.Calibration), context);
            OnnxChecker.Check(model).Beyond(OnnxChecker.Check(source)).ThrowIfUnsound(artifact);
            if (quantization.Weights is { } share)
                Say(variant, share, context);
            model.Save(graph);
            await ConversionJob
                .RunAsync(
                    new ConversionRequest
                    {
                        Backend = variant.Backend,
                        Source = graph,
                        Artifact = artifact,
                        Target = variant.Target,
                        CustomString = inputs.Provenance.ToString(),
                    },
                    context.Progress,
                    context.Cancellation
                )
                .ConfigureAwait(false);
            return Report(artifact, quantization);
        }
        finally
        {
            File.Delete(graph);
        }
    }

    /// <summary>The graph by which the simulator predicts what the toolkit would build.</summary>
    internal static (OnnxModel Model, QuantizationReport Report) Emulate(
        OnnxModel prepared,
        VariantSpec variant,
        CalibrationSet calibration,
        StageContext context
    )
    {
        var emulation = new Emulation(prepared);
        return variant.Precision == Precision.Fp16
            ? emulation.BuildFp16()
            : emulation.Build(
                variant,
                emulation.Ranges(variant.Algorithm, calibration.Samples, context),
                emulation.Clips(variant.Clip, calibration.Samples)
            );
    }
}
