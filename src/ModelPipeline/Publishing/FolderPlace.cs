using ModelPipeline.Core;

namespace ModelPipeline.Publishing;

/// <summary>Publishes in a folder: <see cref="ReleaseFolder"/>.</summary>
/// <param name="root">With folders of all models; made if missing.</param>
public sealed class FolderPlace(string root) : ReleasePlace
{
    public override Task<PublishOutcome> PublishAsync(Release release, string folder, PublishExtent extent, StageContext context)
    {
        if (extent == PublishExtent.Draft)
            throw new PipelineException("--draft: a folder has no drafts, which are GitHub's.", PipelineException.ConfigurationError);
        var path = ReleaseFolder.PathOf(root, release.Tag);
        var address = new Uri(Path.GetFullPath(path));
        PublishStep step = new PublishStep.WriteFolder(path, release.Files.Count);
        if (extent == PublishExtent.DryRun)
        {
            return Task.FromResult(
                ReleaseFolder.Holds(release, root, context.Cancellation)
                    ? new PublishOutcome(address, [])
                    : new PublishOutcome(null, [step])
            );
        }
        if (release.Refusal is { } refusal)
            throw new PipelineException(refusal);
        var written = ReleaseFolder.Write(release, folder, root, progress: context.Progress, cancellation: context.Cancellation);
        return Task.FromResult(new PublishOutcome(address, written ? [step] : []));
    }

    public override Task<bool> HasAsync(string tag, StageContext context) =>
        Task.FromResult(Directory.Exists(ReleaseFolder.PathOf(root, tag)));

    public override Task RestoreAsync(string tag, string folder, StageContext context)
    {
        foreach (var path in Directory.EnumerateFiles(ReleaseFolder.PathOf(root, tag)))
        {
            using var from = File.OpenRead(path);
            using var to = new FileStream(Path.Combine(folder, Path.GetFileName(path)), FileMode.CreateNew);
            FileDigest.Copy(from, to, context.Cancellation);
        }
        return Task.CompletedTask;
    }

    public override string ToString() => root;
}
