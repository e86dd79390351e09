using ModelPipeline.Core;
using ModelPipeline.Packaging;
using Octokit;

namespace ModelPipeline.Publishing;

/// <summary>One run: what it knows of GitHub between two looks.</summary>
internal sealed class PublishRun(GitHubReleases releases, GitHubRepository repository, Release release, string folder, StageContext context)
{
    /// <summary>More than any manifest needs.</summary>
    private const int ManifestLimit = 16 << 20;

    /// <summary>Of one file, before it is plain that GitHub will not hold it as it is.</summary>
    private const int MostUploads = 6;

    /// <summary>Names this run in drafts.</summary>
    private readonly string _publisher = Guid.NewGuid().ToString();
    private readonly Dictionary<string, int> _uploads = [];
    private readonly Dictionary<long, string> _digests = [];
    private long? _draft;
    private bool _owned;
    private string? _notes;

    public List<PublishStep> Done { get; } = [];

    /// <summary>Looks, and does the first step that is left.</summary>
    /// <returns>What was left before it.</returns>
    public async Task<(IReadOnlyList<PublishStep> Plan, Uri? Url)> StepAsync(PublishExtent extent, CancellationToken cancellation)
    {
        var state = await LookAsync(cancellation).ConfigureAwait(false);
        var plan = PublishPlan.Of(release, state, _publisher);
        if (extent == PublishExtent.Draft)
            plan = [.. plan.Where(step => step is not PublishStep.Publish)];
        var url = (state.Published ?? state.Draft) is { } remote ? new Uri(remote.Url) : null;
        if (extent == PublishExtent.DryRun)
            return (plan, url);
        RequireOurs(state, plan);
        var total = release.Files.Sum(file => file.Digest.Size);
        var left = plan.OfType<PublishStep.Upload>().Sum(upload => upload.File.Digest.Size);
        context.Progress.Report(new("publish", total - left, total));
        if (plan is [var step, ..])
        {
            context.Info($"{release.Tag}: {step.Sentence}");
            try
            {
                await DoAsync(step, cancellation).ConfigureAwait(false);
            }
            catch (NotFoundException e) when (step is not PublishStep.CreateDraft)
            {
                throw new DraftChangedException(e);
            }
            Done.Add(step);
        }
        else if (state is not { Published: null, Draft.IsDraft: true })
        {
            await DeleteDraftsAsync(cancellation).ConfigureAwait(false);
        }
        return (plan, url);
    }

    /// <summary>The assets before the release: once they are whole and the draft is still ours after that, whoever takes it over finds them
    /// whole and deletes none.</summary>
    private async Task<RemoteState> LookAsync(CancellationToken cancellation)
    {
        if (_draft is null)
            await SurveyAsync(cancellation).ConfigureAwait(false);
        var draft = _draft is { } id ? await ReadAsync(id, cancellation).ConfigureAwait(false) : null;
        if (draft is null)
            _draft = null;
        var published = await releases.FindAsync(release.Tag, cancellation).ConfigureAwait(false);
        return new(
            published is null || published.Id == draft?.Id ? null : await WithAssetsAsync(published, cancellation).ConfigureAwait(false),
            draft
        );
    }

    private async Task<RemoteRelease?> ReadAsync(long id, CancellationToken cancellation)
    {
        IReadOnlyList<RemoteAsset> assets;
        try
        {
            assets = await releases.AssetsAsync(id, cancellation).ConfigureAwait(false);
        }
        catch (NotFoundException)
        {
            return null;
        }
        return await releases.FindAsync(id, cancellation).ConfigureAwait(false) is { } found
            ? found with
            {
                Assets = await DigestedAsync(assets, cancellation).ConfigureAwait(false),
            }
            : null;
    }

    private async Task<RemoteRelease> WithAssetsAsync(RemoteRelease found, CancellationToken cancellation) =>
        found with
        {
            Assets = await DigestedAsync(await releases.AssetsAsync(found.Id, cancellation).ConfigureAwait(false), cancellation)
                .ConfigureAwait(false),
        };

    /// <summary>Servers that know no digests let us fetch an asset and digest it ourselves, once.</summary>
    private async Task<IReadOnlyList<RemoteAsset>> DigestedAsync(IReadOnlyList<RemoteAsset> assets, CancellationToken cancellation)
    {
        foreach (var asset in assets.Where(asset => asset is { Digest: null, State: "uploaded" } && !_digests.ContainsKey(asset.Id)))
        {
            await using var bytes = await releases.OpenAssetAsync(asset.Id, cancellation).ConfigureAwait(false);
            _digests[asset.Id] = "sha256:" + FileDigest.Copy(bytes, Stream.Null, cancellation).Sha256;
        }
        return [.. assets.Select(asset => asset.Digest is null ? asset with { Digest = _digests.GetValueOrDefault(asset.Id) } : asset)];
    }

    /// <summary>Finds a draft of this content, and the last version for the notes.</summary>
    private async Task SurveyAsync(CancellationToken cancellation)
    {
        var all = await releases.AllAsync(cancellation).ConfigureAwait(false);
        _draft = all.Where(each => each.Draft && each.TagName == release.Tag && DraftMark.Marks(each.Body, release.Content))
            .MinBy(each => each.Id)
            ?.Id;
        if (_notes is not null)
            return;
        var prefix = Release.TagOf(release.Model, "");
        var last = ReleaseVersion.LastBefore(
            release.Version,
            all.Where(each => !each.Draft && each.TagName.StartsWith(prefix, StringComparison.Ordinal))
                .Select(each => each.TagName[prefix.Length..])
        );
        _notes = release.Notes(
            last is null ? null : await ManifestAsync(all.First(each => each.TagName == prefix + last), cancellation).ConfigureAwait(false)
        );
    }

    /// <summary>What another version says of itself; null, with a warning, if that cannot be read: notes are not worth a failed
    /// release.</summary>
    private async Task<PackageManifest?> ManifestAsync(Octokit.Release other, CancellationToken cancellation)
    {
        if (other.Assets.FirstOrDefault(asset => asset.Name == PackageManifest.FileName && asset.Size <= ManifestLimit) is not { } manifest)
            return null;
        try
        {
            await using var bytes = await releases.OpenAssetAsync(manifest.Id, cancellation).ConfigureAwait(false);
            return ReportJson.Read<PackageManifest>(bytes, $"{other.TagName}/{manifest.Name}");
        }
        catch (PipelineException e)
        {
            context.Warning($"{e.Message} The notes do not compare with {other.TagName}.");
            return null;
        }
    }

    /// <summary>A run that finds another's mark on what was its own stops: both publish the same bytes, so nothing is lost.</summary>
    private void RequireOurs(RemoteState state, IReadOnlyList<PublishStep> plan)
    {
        if (_draft is not null && DraftMark.PublisherOf(state.Draft?.Body) == _publisher)
            _owned = true;
        if (_owned && plan is [PublishStep.TakeOver, ..])
            throw new PipelineException(
                $"{release.Tag} on {repository}: another publisher took over draft {state.Draft!.Id} and goes on with it. Publish again "
                    + $"when it is done, to see that it is."
            );
        if (_owned && plan is [PublishStep.CreateDraft, ..])
            throw new PipelineException(
                $"{release.Tag} on {repository}: the draft of this run was deleted by someone else. Publish again to begin anew."
            );
    }

    private async Task DoAsync(PublishStep step, CancellationToken cancellation)
    {
        switch (step)
        {
            case PublishStep.CreateDraft create:
                var made = await releases
                    .CreateDraftAsync(
                        create.Tag,
                        $"{release.Model} {release.Version}",
                        Marked(),
                        ReleaseVersion.IsPrerelease(release.Version),
                        repository.Commit,
                        cancellation
                    )
                    .ConfigureAwait(false);
                _draft = made.Id;
                break;
            case PublishStep.TakeOver take:
                await releases.EditNotesAsync(take.Draft.Id, Marked(), cancellation).ConfigureAwait(false);
                break;
            case PublishStep.DeleteAsset delete:
                await releases.DeleteAssetAsync(delete.Asset.Id, cancellation).ConfigureAwait(false);
                break;
            case PublishStep.Upload upload:
                RequireUploadable(upload, cancellation);
                await using (var content = File.OpenRead(Path.Combine(folder, upload.File.Name)))
                    await releases.UploadAsync(upload.Draft, upload.File, content, cancellation).ConfigureAwait(false);
                break;
            case PublishStep.Publish publish:
                await releases.PublishAsync(publish.Draft.Id, _notes!, cancellation).ConfigureAwait(false);
                break;
        }
    }

    /// <summary>Without this, a file that changed, or that GitHub renames, would be uploaded and deleted for ever.</summary>
    private void RequireUploadable(PublishStep.Upload upload, CancellationToken cancellation)
    {
        var path = Path.Combine(folder, upload.File.Name);
        if (FileDigest.Of(path, cancellation) != upload.File.Digest)
            throw new PipelineException(
                $"{path} is not what was built: it should have sha256 {upload.File.Digest.Sha256}. Run Release again."
            );
        _uploads[upload.File.Name] = _uploads.GetValueOrDefault(upload.File.Name) + 1;
        if (_uploads[upload.File.Name] > MostUploads)
        {
            throw new PipelineException(
                $"{release.Tag} on {repository}: {upload.File.Name} was uploaded {MostUploads} times, and still there is only "
                    + $"{string.Join(", ", upload.Draft.Assets.Select(asset => asset.Name))}. Nothing was shown to readers."
            );
        }
    }

    /// <summary>Drafts of this version that other runs left: nobody can publish them any more.</summary>
    private async Task DeleteDraftsAsync(CancellationToken cancellation)
    {
        var all = await releases.AllAsync(cancellation).ConfigureAwait(false);
        foreach (var left in all.Where(each => each.Draft && each.TagName == release.Tag && DraftMark.Marks(each.Body)))
        {
            context.Info($"{release.Tag}: delete draft {left.Id}, which another run left");
            try
            {
                await releases.DeleteAsync(left.Id, cancellation).ConfigureAwait(false);
            }
            catch (NotFoundException)
            {
                // Its own run, or another, was faster.
            }
        }
    }

    private string Marked() => DraftMark.Body(_notes!, release.Content, _publisher);
}
