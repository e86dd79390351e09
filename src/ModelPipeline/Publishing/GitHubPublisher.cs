using System.Net;
using ModelPipeline.Core;
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
/// Publishes releases on GitHub: looks at what is there, does the first step that is left (<see cref="PublishPlan"/>), looks again.
/// Whatever
/// fails, the next look tells where things stand, in this run or in a later one.
/// </summary>
public sealed class GitHubPublisher
{
    private const int Attempts = 6;
    private const long AssetLimit = 2L << 30;

    private readonly GitHubRepository _repository;
    private readonly GitHubReleases _releases;
    private readonly TimeSpan _pause;

    /// <param name="repository">Where to publish.</param>
    public GitHubPublisher(GitHubRepository repository)
        : this(repository, TimeSpan.FromSeconds(1), null) { }

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
    /// <exception cref="PipelineException">GitHub refuses, other bytes are published under this version, or another publisher took
    /// over.</exception>
    public async Task<PublishOutcome> PublishAsync(Release release, string folder, PublishExtent extent, StageContext context)
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
        var retrying = GitHubPatience.Retrying(_pause, Attempts, context.Info);
        var run = new PublishRun(_releases, _repository, release, folder, context);
        try
        {
            while (true)
            {
                var (plan, url) = await retrying
                    .ExecuteAsync(async token => await run.StepAsync(extent, token).ConfigureAwait(false), context.Cancellation)
                    .ConfigureAwait(false);
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
            throw new PipelineException(
                $"{release.Tag} on {_repository}: {GitHubPatience.Explain(e)} Publish again to go on from there.",
                inner: e
            );
        }
    }

    private static string Advice(ApiException e) =>
        e.StatusCode switch
        {
            HttpStatusCode.Unauthorized => "GITHUB_TOKEN or GH_TOKEN is not valid there.",
            HttpStatusCode.Forbidden or HttpStatusCode.NotFound =>
                "Check the repository's name, and that the token may write its contents.",
            _ => "Publish again to go on from there.",
        };
}
