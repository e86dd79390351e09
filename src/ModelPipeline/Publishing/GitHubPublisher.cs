using System.Net;
using ModelPipeline.Packaging;
using ModelPipeline.Stages;
using Octokit;

namespace ModelPipeline.Publishing;

/// <summary>How far to publish.</summary>
public enum PublishExtent
{
    /// <summary>For all to see.</summary>
    Release,
    /// <summary>Complete and checked, but seen by those who may write only.</summary>
    Draft,
    /// <summary>Look and tell what would be done.</summary>
    DryRun,
}

/// <summary>What came of publishing.</summary>
/// <param name="Url">Of the release or draft; null after a dry run that found neither.</param>
/// <param name="Steps">What this run did or, in a dry run, would do.</param>
public sealed record PublishOutcome(Uri? Url, IReadOnlyList<PublishStep> Steps);

/// <summary>
/// Publishes releases on GitHub: looks at what is there, does the first step that is left (<see cref="PublishPlan"/>), looks again. Whatever
/// fails, the next look tells where things stand, in this run or in a later one.
/// </summary>
public sealed class GitHubPublisher
{
    private const int Attempts = 6;
    private const long AssetLimit = 2L << 30;
    /// <summary>More than any manifest needs.</summary>
    private const int ManifestLimit = 16 << 20;

    private readonly GitHubRepository _repository;
    private readonly GitHubReleases _releases;
    private readonly TimeSpan _pause;
    private readonly string _publisher = Guid.NewGuid().ToString();

    /// <param name="repository">Where to publish.</param>
    public GitHubPublisher(GitHubRepository repository) : this(repository, TimeSpan.FromSeconds(1), null)
    {
    }

    internal GitHubPublisher(GitHubRepository repository, TimeSpan pause, Func<HttpMessageHandler>? handler)
    {
        _repository = repository;
        _releases = new(repository, handler);
        _pause = pause;
    }

    /// <summary>Publishes a release, or goes on where an earlier run broke off.</summary>
    /// <param name="release">One without <see cref="Release.Refusal"/>.</param>
    /// <param name="folder">Its files: what <see cref="ReleaseFolder.Write"/> made.</param>
    /// <param name="extent">How far to go.</param>
    /// <param name="context">Is told of every step.</param>
    /// <exception cref="PipelineException">GitHub refuses, other bytes are published under this version, or another publisher took over.</exception>
    public async Task<PublishOutcome> PublishAsync(Release release, string folder, PublishExtent extent, StageContext context)
    {
        if (release.Refusal is { } refusal)
            throw new PipelineException(refusal);
        if (extent != PublishExtent.DryRun && _repository.Token is null)
            throw new PipelineException("Publish: no token. Set GITHUB_TOKEN or GH_TOKEN to one that may write contents of " + _repository, PipelineException.ConfigurationError);
        if (release.Files.FirstOrDefault(file => file.Digest.Size >= AssetLimit) is { } large)
            throw new PipelineException($"{release.Tag}: {large.Name} has {large.Digest.Size} bytes, and GitHub takes files below 2 GiB only. Publish to a folder with --to=PATH.");
        var retrying = GitHubPatience.Retrying(_pause, Attempts, context.Info);
        var run = new Run(this, release, folder, context);
        try
        {
            while (true)
            {
                var (plan, url) = await retrying.ExecuteAsync(async token => await run.StepAsync(extent, token).ConfigureAwait(false), context.Cancellation).ConfigureAwait(false);
                if (extent == PublishExtent.DryRun)
                    return new(url, plan);
                if (plan.Count == 0)
                    return new(url, run.Done);
            }
        }
        catch (ApiException e)
        {
            throw new PipelineException($"{release.Tag} on {_repository}: {GitHubPatience.Explain(e)} {Advice(e)}", inner: e);
        }
        catch (Exception e) when (GitHubPatience.Passes(e, context.Cancellation))
        {
            throw new PipelineException($"{release.Tag} on {_repository}: {GitHubPatience.Explain(e)} Publish again to go on from there.", inner: e);
        }
    }

    private static string Advice(ApiException e) => e.StatusCode switch
    {
        HttpStatusCode.Unauthorized => "GITHUB_TOKEN or GH_TOKEN is not valid there.",
        HttpStatusCode.Forbidden or HttpStatusCode.NotFound => "Check the repository's name, and that the token may write its contents.",
        >= HttpStatusCode.InternalServerError => "Publish again to go on from there.",
        _ => "Nothing was shown to readers.",
    };

    /// <summary>One run: what it knows of GitHub between two looks.</summary>
    private sealed class Run(GitHubPublisher publisher, Release release, string folder, StageContext context)
    {
        private readonly GitHubReleases _releases = publisher._releases;
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
            var plan = PublishPlan.Of(release, state, publisher._publisher);
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

        /// <summary>The assets before the release: once they are whole and the draft is still ours after that, whoever takes it over finds them whole and deletes none.</summary>
        private async Task<RemoteState> LookAsync(CancellationToken cancellation)
        {
            if (_draft is null)
                await SurveyAsync(cancellation).ConfigureAwait(false);
            var draft = _draft is { } id ? await ReadAsync(id, cancellation).ConfigureAwait(false) : null;
            if (draft is null)
                _draft = null;
            var published = await _releases.FindAsync(release.Tag, cancellation).ConfigureAwait(false);
            return new(published is null || published.Id == draft?.Id ? null : await WithAssetsAsync(published, cancellation).ConfigureAwait(false), draft);
        }

        private async Task<RemoteRelease?> ReadAsync(long id, CancellationToken cancellation)
        {
            IReadOnlyList<RemoteAsset> assets;
            try
            {
                assets = await _releases.AssetsAsync(id, cancellation).ConfigureAwait(false);
            }
            catch (NotFoundException)
            {
                return null;
            }
            return await _releases.FindAsync(id, cancellation).ConfigureAwait(false) is { } found ? found with { Assets = await DigestedAsync(assets, cancellation).ConfigureAwait(false) } : null;
        }

        private async Task<RemoteRelease> WithAssetsAsync(RemoteRelease found, CancellationToken cancellation) =>
            found with { Assets = await DigestedAsync(await _releases.AssetsAsync(found.Id, cancellation).ConfigureAwait(false), cancellation).ConfigureAwait(false) };

        /// <summary>Servers that know no digests let us fetch an asset and digest it ourselves, once.</summary>
        private async Task<IReadOnlyList<RemoteAsset>> DigestedAsync(IReadOnlyList<RemoteAsset> assets, CancellationToken cancellation)
        {
            foreach (var asset in assets.Where(asset => asset is { Digest: null, State: "uploaded" } && !_digests.ContainsKey(asset.Id)))
            {
                await using var bytes = await _releases.OpenAssetAsync(asset.Id, cancellation).ConfigureAwait(false);
                _digests[asset.Id] = "sha256:" + FileDigest.Copy(bytes, Stream.Null, cancellation).Sha256;
            }
            return [.. assets.Select(asset => asset.Digest is null ? asset with { Digest = _digests.GetValueOrDefault(asset.Id) } : asset)];
        }

        /// <summary>Finds a draft of this content, and the last version for the notes.</summary>
        private async Task SurveyAsync(CancellationToken cancellation)
        {
            var all = await _releases.AllAsync(cancellation).ConfigureAwait(false);
            _draft = all.Where(each => each.Draft && each.TagName == release.Tag && DraftMark.Marks(each.Body, release.Content)).MinBy(each => each.Id)?.Id;
            if (_notes is not null)
                return;
            var prefix = Release.TagOf(release.Model, "");
            var last = ReleaseVersion.LastBefore(release.Version, all.Where(each => !each.Draft && each.TagName.StartsWith(prefix, StringComparison.Ordinal)).Select(each => each.TagName[prefix.Length..]));
            _notes = ReleaseNotes.Render(release.Manifest, last is null ? null : await ManifestAsync(all.First(each => each.TagName == prefix + last), cancellation).ConfigureAwait(false));
        }

        /// <summary>What another version says of itself; null, with a warning, if that cannot be read: notes are not worth a failed release.</summary>
        private async Task<PackageManifest?> ManifestAsync(Octokit.Release other, CancellationToken cancellation)
        {
            if (other.Assets.FirstOrDefault(asset => asset.Name == PackageManifest.FileName && asset.Size <= ManifestLimit) is not { } manifest)
                return null;
            try
            {
                await using var bytes = await _releases.OpenAssetAsync(manifest.Id, cancellation).ConfigureAwait(false);
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
            if (_draft is not null && DraftMark.PublisherOf(state.Draft?.Body) == publisher._publisher)
                _owned = true;
            if (_owned && plan is [PublishStep.TakeOver, ..])
                throw new PipelineException($"{release.Tag} on {publisher._repository}: another publisher took over draft {state.Draft!.Id} and goes on with it. Publish again when it is done, to see that it is.");
            if (_owned && plan is [PublishStep.CreateDraft, ..])
                throw new PipelineException($"{release.Tag} on {publisher._repository}: the draft of this run was deleted by someone else. Publish again to begin anew.");
        }

        private async Task DoAsync(PublishStep step, CancellationToken cancellation)
        {
            switch (step)
            {
                case PublishStep.CreateDraft create:
                    var made = await _releases.CreateDraftAsync(create.Tag, $"{release.Model} {release.Version}", Marked(), ReleaseVersion.IsPrerelease(release.Version), publisher._repository.Commit, cancellation).ConfigureAwait(false);
                    _draft = made.Id;
                    break;
                case PublishStep.TakeOver take:
                    await _releases.EditNotesAsync(take.Draft.Id, Marked(), cancellation).ConfigureAwait(false);
                    break;
                case PublishStep.DeleteAsset delete:
                    await _releases.DeleteAssetAsync(delete.Asset.Id, cancellation).ConfigureAwait(false);
                    break;
                case PublishStep.Upload upload:
                    await using (var content = File.OpenRead(Path.Combine(folder, upload.File.Name)))
                        await _releases.UploadAsync(upload.Draft, upload.File, content, cancellation).ConfigureAwait(false);
                    break;
                case PublishStep.Publish publish:
                    await _releases.PublishAsync(publish.Draft.Id, _notes!, cancellation).ConfigureAwait(false);
                    break;
            }
        }

        /// <summary>Drafts of this version that other runs left: nobody can publish them any more.</summary>
        private async Task DeleteDraftsAsync(CancellationToken cancellation)
        {
            var all = await _releases.AllAsync(cancellation).ConfigureAwait(false);
            foreach (var left in all.Where(each => each.Draft && each.TagName == release.Tag && DraftMark.Marks(each.Body)))
            {
                context.Info($"{release.Tag}: delete draft {left.Id}, which another run left");
                try
                {
                    await _releases.DeleteAsync(left.Id, cancellation).ConfigureAwait(false);
                }
                catch (NotFoundException)
                {
                    // Its own run, or another, was faster.
                }
            }
        }

        private string Marked() => DraftMark.Body(_notes!, release.Content, publisher._publisher);
    }
}
