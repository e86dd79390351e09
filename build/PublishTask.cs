using Cake.Common;
using Cake.Core.Diagnostics;
using ModelPipeline.Manifest;
using ModelPipeline.Publishing;
using ModelPipeline.Stages;

namespace Build;

/// <summary>The end of <c>Publish:model</c>: from the release folder to GitHub or to where --to says.</summary>
internal static class PublishTask
{
    public static async Task RunAsync(BuildContext context, ModelRun run)
    {
        var build = run.Build;
        if (await context.StageAsync(stage => Task.FromResult(run.Release(stage))) is not { } release)
        {
            context.Log.Warning("{0}: nothing is published: no variant keeps to its gates", build.Model.Name);
            return;
        }
        ReleaseStage.RequirePublishable(release, context.Manifest.Models.Single(model => model.Name == build.Model.Name));
        var source = ReleaseFolder.PathOf(build.Releases, release.Tag);
        if (context.Argument<string?>("to", null) is { } root)
            await ToFolderAsync(context, release, source, root);
        else
            await ToGitHubAsync(context, release, source, build.Model.Release);
    }

    private static async Task ToGitHubAsync(BuildContext context, Release release, string source, ReleaseSpec declared)
    {
        var extent = (context.HasArgument("dry-run"), context.HasArgument("draft")) switch
        {
            (true, _) => PublishExtent.DryRun,
            (false, true) => PublishExtent.Draft,
            (false, false) => PublishExtent.Release,
        };
        var publisher = new GitHubPublisher(GitHubRepository.Resolve(declared, Environment.GetEnvironmentVariable));
        var outcome = await context.StageAsync(stage => publisher.PublishAsync(release, source, extent, stage));
        if (extent == PublishExtent.DryRun)
        {
            foreach (var step in outcome.Steps)
                context.Log.Information("{0}: would {1}", release.Tag, step.Sentence);
        }
        if (outcome.Steps.Count == 0)
            context.Log.Information("{0} was published before, with the same bytes", release.Tag);
        if (outcome.Url is not null)
            context.Log.Information("{0}", outcome.Url);
    }

    private static async Task ToFolderAsync(BuildContext context, Release release, string source, string root)
    {
        var folder = ReleaseFolder.PathOf(root, release.Tag);
        if (context.HasArgument("dry-run"))
        {
            context.Log.Information("{0}: would write {1} files to {2}", release.Tag, release.Files.Count, folder);
            return;
        }
        var written = await context.StageAsync(stage =>
            Task.FromResult(ReleaseFolder.Write(release, source, root, progress: stage.Progress, cancellation: stage.Cancellation))
        );
        context.Log.Information("{0}", written ? $"{folder} is published" : $"{folder} was published before, with the same bytes");
        context.Outputs.Add(folder);
    }
}
