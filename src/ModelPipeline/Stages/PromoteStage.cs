using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Publishing;

namespace ModelPipeline.Stages;

/// <summary>A published candidate to the release that it is a candidate for.</summary>
public static class PromoteStage
{
    /// <summary>Restores the candidate of the model's version, runs its files on the validation's board, and packs them as the release of
    /// that version, with what the board gave.</summary>
    /// <param name="run">Of the model.</param>
    /// <param name="place">Where the candidate is published.</param>
    /// <param name="context">Of the run.</param>
    /// <returns>The release, to be published; null if that is done already.</returns>
    /// <exception cref="PipelineException">There is no board or no candidate, or the candidate does not pass; then everything that is
    /// published stays as it was.</exception>
    public static async Task<Release?> RunAsync(ModelRun run, ReleasePlace place, StageContext context)
    {
        var (build, model) = (run.Build, run.Build.Model);
        if (!build.Manifest.Devices[model.Validation.Device].IsBoard)
            throw new PipelineException(
                $"{model.Name}: a board promotes, and {model.Validation.Device} is none. Name one of kind local or ssh by --device.",
                PipelineException.ConfigurationError
            );
        var tag = Release.TagOf(model.Name, model.Version);
        if (await place.HasAsync(tag, context).ConfigureAwait(false))
        {
            context.Info($"{tag} is published on {place}: there is nothing to promote");
            return null;
        }
        var candidate = await RestoreStage.RunAsync(build, place, [ReleaseVersion.Candidate(model.Version)], context).ConfigureAwait(false);
        await run.ValidateAllAsync(null, context).ConfigureAwait(false);
        run.Decide();
        if (run.Objections() is { Count: > 0 } objections)
            throw new PipelineException(
                $"{Release.TagOf(model.Name, candidate.Manifest.Version)} stays a candidate, as it was:\n  "
                    + string.Join("\n  ", objections.Select(objection => objection.Sentence))
            );
        await run.PackageAsync(context).ConfigureAwait(false);
        return run.Release(context);
    }
}
