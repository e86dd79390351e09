using ModelPipeline.Core;
using ModelPipeline.Publishing;

namespace ModelPipeline.Stages;

/// <summary>A release, run again: are its figures still what its manifest says?</summary>
public static class DriftStage
{
    /// <summary>Restores the release of the model's version, or its candidate, runs it on the validation's device, judges its gates, and
    /// writes drift.json.</summary>
    /// <param name="run">Of the model.</param>
    /// <param name="place">Where the release is published.</param>
    /// <param name="context">Of the run.</param>
    /// <exception cref="PipelineException">There is no release, or this device can run nothing of it.</exception>
    public static async Task<DriftReport> RunAsync(ModelRun run, ReleasePlace place, StageContext context)
    {
        var (build, model) = (run.Build, run.Build.Model);
        var restored = await RestoreStage
            .RunAsync(build, place, [model.Version, ReleaseVersion.Candidate(model.Version)], context)
            .ConfigureAwait(false);
        var release = restored.Manifest;
        var left = release
            .Variants.Select(variant => variant.Subject.Variant)
            .Except(build.Model.Variants.Select(each => each.Name))
            .ToList();
        if (build.Model.Variants.Count == 0)
            throw new PipelineException(
                $"{model.Name}: {model.Validation.Device} runs none of {string.Join(", ", left)}: name a board by --device.",
                PipelineException.ConfigurationError
            );
        if (left.Count > 0)
            context.Warning($"{model.Name}: {string.Join(", ", left)} is not looked at: {model.Validation.Device} is no board");
        await run.ValidateAllAsync(release, context).ConfigureAwait(false);
        var report = DriftReport.Of(release, run.Reports, await LastRelease.OtherTextsAsync(build, release, context).ConfigureAwait(false));
        ReportJson.Write(Path.Combine(build.Folder, DriftReport.FileName), report);
        return report;
    }
}
