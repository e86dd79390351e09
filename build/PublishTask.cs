using Cake.Common;
using Cake.Core.Diagnostics;
using ModelPipeline.Core;
using ModelPipeline.Publishing;
using ModelPipeline.Stages;

namespace Build;

/// <summary>The end of <c>Publish:model</c> and <c>Promote:model</c>: from the release folder to GitHub or to where --to says.</summary>
internal static class PublishTask
{
    public static async Task RunAsync(BuildContext context, ModelRun run)
    {
        var build = run.Build;
        RequireElsewhere(context, build);
        if (await context.StageAsync(stage => Task.FromResult(run.Release(stage))) is not { } release)
        {
            context.Log.Warning("{0}: nothing is published: no variant keeps to its gates", build.Model.Name);
            return;
        }
        await PublishAsync(context, build, release, Place(context, build));
    }

    /// <summary>Restores the candidate from where it is published, runs it on the board, and publishes the release there.</summary>
    public static async Task PromoteAsync(BuildContext context, ModelRun run)
    {
        RequireElsewhere(context, run.Build);
        var place = Place(context, run.Build);
        if (await context.StageAsync(stage => PromoteStage.RunAsync(run, place, stage)) is { } release)
            await PublishAsync(context, run.Build, release, place);
    }

    /// <summary>Where --to says, or GitHub.</summary>
    public static ReleasePlace Place(BuildContext context, ModelBuild build) =>
        ReleasePlace.Named(context.Argument<string?>("to", null), build.Model.Release, Environment.GetEnvironmentVariable);

    /// <summary>What is published never changes, and what Release made is made again.</summary>
    private static void RequireElsewhere(BuildContext context, ModelBuild build)
    {
        if (context.Argument<string?>("to", null) is { Length: > 0 } to && FullPath(to) == FullPath(build.Releases))
            throw new PipelineException(
                $"--to={to}: Release writes that folder anew with every build; name another to publish to.",
                PipelineException.ConfigurationError
            );

        static string FullPath(string path) => Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
    }

    private static async Task PublishAsync(BuildContext context, ModelBuild build, Release release, ReleasePlace place)
    {
        ReleaseStage.RequirePublishable(release, context.Manifest.Models.Single(model => model.Name == build.Model.Name));
        var extent = (context.HasArgument("dry-run"), context.HasArgument("draft")) switch
        {
            (true, _) => PublishExtent.DryRun,
            (false, true) => PublishExtent.Draft,
            (false, false) => PublishExtent.Release,
        };
        var folder = ReleaseFolder.PathOf(build.Releases, release.Tag);
        var outcome = await context.StageAsync(stage => place.PublishAsync(release, folder, extent, stage));
        if (extent == PublishExtent.DryRun)
        {
            foreach (var step in outcome.Steps)
                context.Log.Information("{0}: would {1}", release.Tag, step.Sentence);
        }
        if (outcome.Steps.Count == 0)
            context.Log.Information("{0} was published before, with the same bytes", release.Tag);
        if (outcome.Url is { IsFile: true } published)
            context.Outputs.Add(published.LocalPath);
        else if (outcome.Url is { } url)
            context.Log.Information("{0}", url);
    }
}
