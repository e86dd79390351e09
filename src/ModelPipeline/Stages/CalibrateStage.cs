using ModelPipeline.Calibration;
using ModelPipeline.Core;
using ModelPipeline.Onnx;

namespace ModelPipeline.Stages;

/// <summary>Corpus to calibration set on disk.</summary>
public static class CalibrateStage
{
    /// <returns>Folder of the set.</returns>
    public static async Task<string> RunAsync(ModelBuild build, InputShape shape, StageContext context)
    {
        var folder = build.CalibrationFolder(shape);
        var record = folder + StageRecord.Extension;
        var spec = build.Model.Calibration;
        var source = await build.SourceAsync(context).ConfigureAwait(false);
        var inputs = await build.TextInputsAsync(spec.Corpus, context).ConfigureAwait(false);
        inputs["model"] = source.Sha256;
        var key = StageRecord.KeyOf(
            "calibrate",
            StageVersions.Calibrate,
            new
            {
                Shape = shape.ToString(),
                build.CalibrationSettings,
                build.TextSettings,
            },
            inputs
        );
        if (build.IsUpToDate(record, key, context, spec.Regenerate))
            return folder;

        string[] names = [.. OnnxModel.Load(source.Path).Graph.Inputs.Select(input => input.Name)];
        var set = CalibrationSet.Create(
            build.Model,
            build.Corpus(spec.Corpus),
            await build.TokenizerAsync(context).ConfigureAwait(false),
            shape,
            names,
            context.Cancellation
        );
        set.Write(folder, context.Progress, context.Cancellation);
        build.Finish(record, key, Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories), context);
        return folder;
    }
}
