using ModelPipeline.Core;

namespace ModelPipeline.Publishing;

/// <summary>An asset as GitHub tells it; Octokit's own type lacks the digest.</summary>
public sealed record RemoteAsset
{
    public long Id { get; init; }
    public string Name { get; init; } = "";

    /// <summary><c>uploaded</c>, or <c>starter</c> for one whose upload broke off.</summary>
    public string State { get; init; } = "";
    public long Size { get; init; }

    /// <summary><c>sha256:</c> and 64 hex digits.</summary>
    public string? Digest { get; init; }

    public bool Holds(ReleaseFile file) =>
        Name == file.Name && State == "uploaded" && Size == file.Digest.Size && Digest == "sha256:" + file.Digest.Sha256;
}

/// <summary>A release as GitHub has it.</summary>
/// <param name="Id">Of the release.</param>
/// <param name="IsDraft">Only its publishers see it.</param>
/// <param name="Body">The notes.</param>
/// <param name="Url">For people.</param>
/// <param name="UploadUrl">For assets, as a URI template.</param>
/// <param name="Assets">In no order.</param>
public sealed record RemoteRelease(long Id, bool IsDraft, string Body, string Url, string UploadUrl, IReadOnlyList<RemoteAsset> Assets)
{
    public bool Holds(Release release) =>
        Assets.Count == release.Files.Count && release.Files.All(file => Assets.Any(asset => asset.Holds(file)));
}

/// <summary>What GitHub has under a release's tag.</summary>
/// <param name="Published">What readers see; null for nothing.</param>
/// <param name="Draft">Of just this content; null for none.</param>
public sealed record RemoteState(RemoteRelease? Published, RemoteRelease? Draft);

/// <summary>One change at a place.</summary>
/// <param name="Sentence">What it does, for people.</param>
public abstract record PublishStep(string Sentence)
{
    public sealed record CreateDraft(string Tag) : PublishStep($"create a draft of {Tag}");

    /// <summary>From whoever began it: a run that broke off, or another publisher, who then stops.</summary>
    public sealed record TakeOver(RemoteRelease Draft) : PublishStep($"go on with draft {Draft.Id}");

    public sealed record DeleteAsset(RemoteAsset Asset) : PublishStep($"delete the broken or foreign {Asset.Name} ({Asset.State})");

    public sealed record Upload(RemoteRelease Draft, ReleaseFile File) : PublishStep($"upload {File.Name} ({File.Digest.Size} bytes)");

    public sealed record Add(ReleaseFile File) : PublishStep($"add {File.Name} ({File.Digest.Size} bytes)");

    public sealed record Remove(string File) : PublishStep($"remove {File}, which the version before had");

    public sealed record Name(string Tag) : PublishStep($"tag it {Tag}");

    public sealed record WriteFolder(string Path, int Files) : PublishStep($"write {Files} files to {Path}");

    public sealed record Publish(RemoteRelease Draft) : PublishStep("publish the draft");
}

/// <summary>
/// The way from what GitHub has to a published release. Every step is planned anew from what is there, so a run that broke off, an answer
/// that was lost and a first run are one and the same case. Readers see nothing until the last step, which is planned only when every asset
/// is whole.
/// </summary>
public static class PublishPlan
{
    /// <summary>All steps that are left, in order; empty when the release is published just so.</summary>
    /// <param name="release">To be published.</param>
    /// <param name="remote">What is there now.</param>
    /// <param name="publisher">Names this run in drafts.</param>
    /// <exception cref="PipelineException">Other bytes were published under this version.</exception>
    public static IReadOnlyList<PublishStep> Of(Release release, RemoteState remote, string publisher)
    {
        if ((remote.Published ?? remote.Draft) is { IsDraft: false } published)
            return published.Holds(release) ? [] : throw Immutable(release, published);
        if (remote.Draft is not { } draft)
        {
            // What a draft that is yet to be created will be known by.
            var planned = new RemoteRelease(0, true, "", "", "", []);
            return
            [
                new PublishStep.CreateDraft(release.Tag),
                .. release.Files.Select(file => new PublishStep.Upload(planned, file)),
                new PublishStep.Publish(planned),
            ];
        }
        return
        [
            .. DraftMark.PublisherOf(draft.Body) == publisher ? Array.Empty<PublishStep>() : [new PublishStep.TakeOver(draft)],
            .. draft.Assets.Where(asset => !release.Files.Any(asset.Holds)).Select(asset => new PublishStep.DeleteAsset(asset)),
            .. release
                .Files.Where(file => !draft.Assets.Any(asset => asset.Holds(file)))
                .Select(file => new PublishStep.Upload(draft, file)),
            new PublishStep.Publish(draft),
        ];
    }

    private static PipelineException Immutable(Release release, RemoteRelease published)
    {
        var differing = release
            .Files.Where(file => !published.Assets.Any(asset => asset.Holds(file)))
            .Select(file => file.Name)
            .Concat(published.Assets.Select(asset => asset.Name).Except(release.Files.Select(file => file.Name)));
        return new(
            $"{release.Tag} is published at {published.Url} with other bytes ({string.Join(", ", differing)}), and a published version "
                + $"never changes. Raise version: of {release.Model} in models.yaml."
        );
    }
}
