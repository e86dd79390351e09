using System.Text.RegularExpressions;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Publishing;

/// <summary>Where on GitHub, or a GitHub Enterprise server, releases go, and who publishes them.</summary>
/// <param name="Api">Base of the REST API, with a trailing slash: https://api.github.com/, https://github.example.org/api/v3/.</param>
/// <param name="Owner">User or organisation.</param>
/// <param name="Name">Repository.</param>
/// <param name="Token">Needs to write contents and nothing else; null can look at public repositories.</param>
/// <param name="Commit">Of the repository, to be tagged; null for the head of its default branch.</param>
public sealed partial record GitHubRepository(Uri Api, string Owner, string Name, string? Token, string? Commit = null)
{
    /// <summary>
    /// From <c>release:</c> of models.yaml or, as a GitHub workflow sets them, from GITHUB_REPOSITORY and GITHUB_API_URL; the token always
    /// from GITHUB_TOKEN or GH_TOKEN. A workflow of the repository itself tags its commit, GITHUB_SHA.
    /// </summary>
    /// <exception cref="PipelineException">No repository is named, or something cannot be used as what it is.</exception>
    public static GitHubRepository Resolve(ReleaseSpec release, Func<string, string?> environment)
    {
        var repository =
            release.Repository
            ?? Set("GITHUB_REPOSITORY")
            ?? throw Refused(
                "Publish: no repository is named. Set release: { repository: owner/name } of the model in models.yaml or "
                    + "GITHUB_REPOSITORY, or publish to a folder with --to=PATH."
            );
        if (!FullName().IsMatch(repository))
            throw Refused($"Publish: '{repository}' is no GitHub repository. Write owner/name.");
        var api = release.ApiUrl?.OriginalString ?? Set("GITHUB_API_URL") ?? "https://api.github.com";
        if (
            !Uri.TryCreate(api.TrimEnd('/') + "/", UriKind.Absolute, out var address)
            || !(address.Scheme == "https" || (address.Scheme == "http" && address.IsLoopback))
        )
            throw Refused($"Publish: '{api}' is no https URL of a GitHub API, such as https://github.example.org/api/v3.");
        var parts = repository.Split('/');
        return new(
            address,
            parts[0],
            parts[1],
            Set("GITHUB_TOKEN") ?? Set("GH_TOKEN"),
            repository == Set("GITHUB_REPOSITORY") ? Set("GITHUB_SHA") : null
        );

        string? Set(string name) => environment(name) is { Length: > 0 } value ? value : null;
    }

    /// <summary>Without the token.</summary>
    public override string ToString() => $"{Owner}/{Name} on {Api.Host}";

    private static PipelineException Refused(string message) => new(message, PipelineException.ConfigurationError);

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+\z")]
    private static partial Regex FullName();
}
