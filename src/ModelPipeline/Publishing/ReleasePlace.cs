using ModelPipeline.Core;
using ModelPipeline.Manifest;

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
/// <param name="Url">Of the release or draft, or its folder; null after a dry run that found neither.</param>
/// <param name="Steps">What this run did or, in a dry run, would do.</param>
public sealed record PublishOutcome(Uri? Url, IReadOnlyList<PublishStep> Steps);

/// <summary>Where releases are published and restored from: a repository on GitHub, a folder, or a model repository of a hub.</summary>
public abstract class ReleasePlace
{
    /// <summary>The place that an option names.</summary>
    /// <param name="to">hf:owner/name, or a folder; null for GitHub.</param>
    /// <param name="declared">Names the repository on GitHub.</param>
    /// <param name="environment">Variables.</param>
    /// <exception cref="PipelineException">There is no such place.</exception>
    public static ReleasePlace Named(string? to, ReleaseSpec declared, Func<string, string?> environment) =>
        to switch
        {
            null => new GitHubPlace(GitHubRepository.Resolve(declared, environment)),
            _ when to.StartsWith(HubRepository.Prefix, StringComparison.Ordinal) => new HubPlace(HubRepository.Resolve(to, environment)),
            _ => new FolderPlace(to),
        };

    /// <summary>Publishes a release, or goes on where an earlier run broke off. A published version never changes.</summary>
    /// <param name="release">One without <see cref="Release.Refusal"/>.</param>
    /// <param name="folder">Its files: what <see cref="ReleaseFolder.Write"/> made.</param>
    /// <param name="extent">How far to go.</param>
    /// <param name="context">Is told of every step.</param>
    /// <exception cref="PipelineException">The place refuses, or other bytes are published there under this version.</exception>
    public abstract Task<PublishOutcome> PublishAsync(Release release, string folder, PublishExtent extent, StageContext context);

    /// <summary>Whether a release is published there, drafts aside.</summary>
    /// <param name="tag">Of the release.</param>
    /// <param name="context">Of the run.</param>
    public abstract Task<bool> HasAsync(string tag, StageContext context);

    /// <summary>Brings the files of a published release to an empty folder, as they are there: whoever calls checks them.</summary>
    /// <param name="tag">Of a release that is there.</param>
    /// <param name="folder">To write to.</param>
    /// <param name="context">Of the run.</param>
    public abstract Task RestoreAsync(string tag, string folder, StageContext context);
}
