using Cake.Common;
using Cake.Core.Diagnostics;
using ModelPipeline;
using ModelPipeline.Publishing;
using ModelPipeline.Stages;

namespace Build;

/// <summary>The end of <c>Publish:model</c>: from the release folder to where --to says.</summary>
internal static class PublishTask
{
    public static async Task RunAsync(BuildContext context, ModelBuild build)
    {
        var release = await context.StageAsync(stage => Task.FromResult(ReleaseStage.Run(build, stage)));
        ReleaseStage.RequirePublishable(release, context.Manifest.Models.Single(model => model.Name == build.Model.Name));
        var source = ReleaseFolder.PathOf(build.Releases, release.Tag);
        var root = context.Argument<string?>("to", null)
            ?? throw new PipelineException("Publish: say where with --to=folder.", PipelineException.ConfigurationError);
        var written = await context.StageAsync(stage => Task.FromResult(ReleaseFolder.Write(release, source, root, progress: stage.Progress, cancellation: stage.Cancellation)));
        var folder = ReleaseFolder.PathOf(root, release.Tag);
        context.Log.Information("{0}", written ? $"{folder} is published" : $"{folder} was published before, with the same bytes");
        context.Outputs.Add(folder);
    }
}
