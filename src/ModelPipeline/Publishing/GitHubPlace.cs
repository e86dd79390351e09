using System.Net;
using ModelPipeline.Core;
using ModelPipeline.Packaging;
using Octokit;
using Polly;

namespace ModelPipeline.Publishing;

/// <summary>
/// Publishes releases on GitHub: looks at what is there, does the first step that is left (<see cref="PublishPlan"/>), looks again.
/// Whatever
/// fails, the next look tells where things stand, in this run or in a later one.
/// </summary>
public sealed class GitHubPlace : ReleasePlace
{
    private const int Attempts = 6;
    private const long AssetLimit = 2L << 30;

    private readonly GitHubRepository _repository;
    private readonly GitHubReleases _releases;
    private readonly TimeSpan _pause;

    /// <param name="repository">Where to publish.</param>
    public GitHubPlace(GitHubRepository repository)
        : this(repository, TimeSpan.FromSeconds(1), null) { }

    internal GitHubPlace(GitHubRepository repository, TimeSpan pause, Func<HttpMessageHandler>? handler)
    {
        _repository = repository;
        _releases = new(repository, handler);
        _pause = pause;
    }

    /// <inheritdoc/>
    public override async Task<PublishOutcome> PublishAsync(Release release, string folder, PublishExtent extent, StageContext context)
    {
        if (release.Refusal is { } refusal)
            throw new PipelineException(refusal);
        if (extent != PublishExtent.DryRun && _repository.Token is null)
            throw new PipelineException(
                "Publish: no token. Set GITHUB_TOKEN or GH_TOKEN to one that may write contents of " + _repository,
                PipelineException.ConfigurationError
            );
        if (release.Files.FirstOrDefault(file => file.Digest.Size >= AssetLimit) is { } large)
            throw new PipelineException(
                $"{release.Tag}: {large.Name} has {large.Digest.Size} bytes, and GitHub takes files below 2 GiB only. Publish to a folder "
                    + $"with --to=PATH."
            );
        var retrying = Retrying(context);
        var run = new PublishRun(_releases, _repository, release, folder, context);
        return await ToldAsync(
                release.Tag,
                "Publish again to go on from there.",
                context.Cancellation,
                async () =>
                {
                    while (true)
                    {
                        var (plan, url) = await retrying
                            .ExecuteAsync(async token => await run.StepAsync(extent, token).ConfigureAwait(false), context.Cancellation)
                            .ConfigureAwait(false);
                        if (extent == PublishExtent.DryRun)
                            return new PublishOutcome(url, plan);
                        if (plan.Count == 0)
                            return new PublishOutcome(url, run.Done);
                    }
                }
            )
            .ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public override Task<bool> HasAsync(string tag, StageContext context) =>
        ReadAsync(tag, context, async token => await _releases.FindAsync(tag, token).ConfigureAwait(false) is not null);

    /// <inheritdoc/>
    public override Task RestoreAsync(string tag, string folder, StageContext context) =>
        ReadAsync(
            tag,
            context,
            async token =>
            {
                var release =
                    await _releases.FindAsync(tag, token).ConfigureAwait(false)
                    ?? throw new PipelineException($"{tag} on {_repository}: there is no such release any more.");
                var assets = await _releases.AssetsAsync(release.Id, token).ConfigureAwait(false);
                var (done, total) = (0L, assets.Sum(asset => asset.Size));
                foreach (var asset in assets)
                {
                    if (!PackageManifest.IsPlain(asset.Name))
                        throw new PipelineException($"{tag} on {_repository}: '{asset.Name}' cannot be a file of a release.");
                    await using var from = await _releases.OpenAssetAsync(asset.Id, token).ConfigureAwait(false);
                    await using var to = File.Create(Path.Combine(folder, asset.Name));
                    await from.CopyToAsync(to, token).ConfigureAwait(false);
                    context.Progress.Report(new("restore", done += asset.Size, total));
                }
                return true;
            }
        );

    public override string ToString() => _repository.ToString();

    private ResiliencePipeline Retrying(StageContext context) => GitHubPatience.Retrying(_pause, Attempts, context.Info);

    private Task<T> ReadAsync<T>(string tag, StageContext context, Func<CancellationToken, Task<T>> read) =>
        ToldAsync(
            tag,
            "Try again.",
            context.Cancellation,
            async () =>
                await Retrying(context)
                    .ExecuteAsync(async token => await read(token).ConfigureAwait(false), context.Cancellation)
                    .ConfigureAwait(false)
        );

    /// <summary>Says in a sentence what GitHub's failures mean.</summary>
    private async Task<T> ToldAsync<T>(string tag, string advice, CancellationToken cancellation, Func<Task<T>> work)
    {
        try
        {
            return await work().ConfigureAwait(false);
        }
        catch (ApiException e)
        {
            throw new PipelineException($"{tag} on {_repository}: {GitHubPatience.Explain(e)} {Advice(e) ?? advice}", inner: e);
        }
        catch (Exception e) when (GitHubPatience.Passes(e, cancellation))
        {
            throw new PipelineException($"{tag} on {_repository}: {GitHubPatience.Explain(e)} {advice}", inner: e);
        }
    }

    private static string? Advice(ApiException e) =>
        e.StatusCode switch
        {
            HttpStatusCode.Unauthorized => "GITHUB_TOKEN or GH_TOKEN is not valid there.",
            HttpStatusCode.Forbidden or HttpStatusCode.NotFound when GitHubPatience.Limit(e, DateTimeOffset.UtcNow) is null =>
                "Check the repository's name, and that the token may write its contents.",
            _ => null,
        };
}
