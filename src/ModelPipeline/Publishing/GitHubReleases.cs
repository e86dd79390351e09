using ModelPipeline.Core;
using Octokit;
using Octokit.Internal;

namespace ModelPipeline.Publishing;

/// <summary>The releases of one repository, through Octokit. Methods fail as Octokit does.</summary>
/// <param name="repository">Whose releases.</param>
/// <param name="handler">Makes what sends the requests; null for Octokit's own.</param>
internal sealed class GitHubReleases(GitHubRepository repository, Func<HttpMessageHandler>? handler = null)
{
    private const int PageSize = 100;

    /// <summary>An upload that is slower, in bytes a second, is given up and tried again.</summary>
    private const int LeastSpeed = 50_000;

    private readonly GitHubClient _client = Client(repository, handler ?? HttpMessageHandlerFactory.CreateDefault);

    private IReleasesClient Releases => _client.Repository.Release;

    private string Root => $"repos/{repository.Owner}/{repository.Name}/releases";

    /// <summary>All releases and, for those who may write, drafts. Their assets have no digests.</summary>
    public Task<IReadOnlyList<Octokit.Release>> AllAsync(CancellationToken cancellation) =>
        Releases.GetAll(repository.Owner, repository.Name, new ApiOptions { PageSize = PageSize }).WaitAsync(cancellation);

    /// <summary>The published release of a tag; null if there is none.</summary>
    public Task<RemoteRelease?> FindAsync(string tag, CancellationToken cancellation) =>
        ReadAsync(Releases.Get(repository.Owner, repository.Name, tag), cancellation);

    /// <summary>A release or draft; null if there is none.</summary>
    public Task<RemoteRelease?> FindAsync(long id, CancellationToken cancellation) =>
        ReadAsync(Releases.Get(repository.Owner, repository.Name, id), cancellation);

    public async Task<RemoteRelease> CreateDraftAsync(
        string tag,
        string title,
        string body,
        bool prerelease,
        string? commit,
        CancellationToken cancellation
    ) =>
        Of(
            await Releases
                .Create(
                    repository.Owner,
                    repository.Name,
                    new NewRelease(tag)
                    {
                        Name = title,
                        Body = body,
                        Draft = true,
                        Prerelease = prerelease,
                        TargetCommitish = commit,
                    }
                )
                .WaitAsync(cancellation)
                .ConfigureAwait(false)
        );

    public Task EditNotesAsync(long id, string body, CancellationToken cancellation) =>
        Releases.Edit(repository.Owner, repository.Name, id, new ReleaseUpdate { Body = body }).WaitAsync(cancellation);

    /// <summary>Shows a draft to readers. A model's release is never the repository's latest one: that is for the software.</summary>
    public Task PublishAsync(long id, string body, CancellationToken cancellation) =>
        Releases
            .Edit(
                repository.Owner,
                repository.Name,
                id,
                new ReleaseUpdate
                {
                    Body = body,
                    Draft = false,
                    MakeLatest = MakeLatestQualifier.False,
                }
            )
            .WaitAsync(cancellation);

    public Task DeleteAsync(long id, CancellationToken cancellation) =>
        Releases.Delete(repository.Owner, repository.Name, id).WaitAsync(cancellation);

    public async Task<IReadOnlyList<RemoteAsset>> AssetsAsync(long release, CancellationToken cancellation)
    {
        var assets = new List<RemoteAsset>();
        for (var page = 1; ; page++)
        {
            var answer = await _client
                .Connection.Get<List<RemoteAsset>>(
                    At($"{release}/assets"),
                    new Dictionary<string, string> { ["per_page"] = $"{PageSize}", ["page"] = $"{page}" },
                    null,
                    cancellation
                )
                .ConfigureAwait(false);
            assets.AddRange(answer.Body);
            if (answer.Body.Count < PageSize)
                return assets;
        }
    }

    /// <summary>Uploads a file to where the release says.</summary>
    public Task UploadAsync(RemoteRelease release, ReleaseFile file, Stream content, CancellationToken cancellation) =>
        Releases.UploadAsset(
            new Octokit.Release(release.UploadUrl),
            new ReleaseAssetUpload(
                file.Name,
                file.MediaType,
                content,
                TimeSpan.FromMinutes(2) + TimeSpan.FromSeconds(file.Digest.Size / LeastSpeed)
            ),
            cancellation
        );

    public Task DeleteAssetAsync(long asset, CancellationToken cancellation) =>
        _client.Connection.Delete(At($"assets/{asset}")).WaitAsync(cancellation);

    /// <summary>The bytes of an asset.</summary>
    public async Task<Stream> OpenAssetAsync(long asset, CancellationToken cancellation)
    {
        var answer = await _client
            .Connection.Get<object>(At($"assets/{asset}"), new Dictionary<string, string>(), "application/octet-stream", cancellation)
            .ConfigureAwait(false);
        return (Stream)answer.HttpResponse.Body;
    }

    private Uri At(string path) => new($"{Root}/{path}", UriKind.Relative);

    private static GitHubClient Client(GitHubRepository repository, Func<HttpMessageHandler> handler)
    {
        var client = new GitHubClient(
            new Connection(
                new ProductHeaderValue("ModelPipeline", PipelineVersion.Current),
                repository.Api,
                new InMemoryCredentialStore(repository.Token is null ? Credentials.Anonymous : new Credentials(repository.Token)),
                new HttpClientAdapter(handler),
                new SimpleJsonSerializer()
            )
        );
        // HttpClient's own 100 s would end uploads, too; each request of Octokit has a limit, 100 s unless it says otherwise.
        client.SetRequestTimeout(Timeout.InfiniteTimeSpan);
        return client;
    }

    private static RemoteRelease Of(Octokit.Release release) =>
        new(release.Id, release.Draft, release.Body ?? "", release.HtmlUrl, release.UploadUrl, []);

    private async Task<RemoteRelease?> ReadAsync(Task<Octokit.Release> request, CancellationToken cancellation)
    {
        try
        {
            return Of(await request.WaitAsync(cancellation).ConfigureAwait(false));
        }
        catch (NotFoundException)
        {
            return null;
        }
    }
}
