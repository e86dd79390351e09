using System.Net.Http.Headers;
using ModelPipeline.Publishing;

namespace ModelPipeline.Tests.Publishing;

/// <summary>What GitHub really answers, as recorded, read by the real client.</summary>
public sealed class RecordedGitHubTests(FixturesServer server) : IClassFixture<FixturesServer>
{
    private static readonly ReleaseFile Greeting = ReleaseFile.Of("test-upload.txt", "Hello, world!\n");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_asset_is_uploaded_and_listed()
    {
        var releases = await PlayAsync("release-assets");
        var release = await releases.FindAsync("v1.0.0", Cancellation);
        Assert.NotNull(release);
        Assert.Equal((1000, false, "Initial release"), (release.Id, release.IsDraft, release.Body));
        await UploadAsync(releases, release);
        var asset = Assert.Single(await releases.AssetsAsync(release.Id, Cancellation));
        Assert.Equal((1000, "test-upload.txt", "uploaded", 14), (asset.Id, asset.Name, asset.State, asset.Size));
        // GitHub recorded this before it told digests: such an asset is fetched, not trusted.
        Assert.Null(asset.Digest);
        Assert.False(asset.Holds(Greeting));
        Assert.True((asset with { Digest = "sha256:" + Greeting.Digest.Sha256 }).Holds(Greeting));
    }

    [Fact]
    public async Task A_name_that_is_taken_calls_for_another_look_and_then_gives_way()
    {
        var releases = await PlayAsync("release-assets-conflict");
        var release = (await releases.FindAsync("v1.0.0", Cancellation))!;
        var taken = await Assert.ThrowsAnyAsync<Octokit.ApiException>(() => UploadAsync(releases, release));
        Assert.Equal(422, (int)taken.StatusCode);
        Assert.True(GitHubPatience.Passes(taken, Cancellation));
        Assert.Contains("already_exists", GitHubPatience.Explain(taken));
        var asset = Assert.Single(await releases.AssetsAsync(release.Id, Cancellation));
        await releases.DeleteAssetAsync(asset.Id, Cancellation);
        await UploadAsync(releases, release);
    }

    private static Task UploadAsync(GitHubReleases releases, RemoteRelease release) =>
        releases.UploadAsync(release, Greeting, new MemoryStream("Hello, world!\n"u8.ToArray()), Cancellation);

    private async Task<GitHubReleases> PlayAsync(string scenario)
    {
        Assert.SkipWhen(server.Missing is not null, $"needs @octokit/fixtures-server: {server.Missing}");
        return new GitHubReleases(
            new GitHubRepository(
                await server.PlayAsync(scenario),
                "octokit-fixture-org",
                scenario,
                "0000000000000000000000000000000000000001"
            ),
            () => new AsRecorded()
        );
    }

    /// <summary>The recording was made by another client, and only its very requests are answered: it wrote "token" in lower case, asked
    /// for the default page, and gave its asset a label.</summary>
    private sealed class AsRecorded() : DelegatingHandler(new SocketsHttpHandler())
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            request.Headers.Authorization = new AuthenticationHeaderValue("token", request.Headers.Authorization!.Parameter);
            request.Headers.Accept.Clear();
            request.Headers.Accept.ParseAdd("application/vnd.github.v3+json");
            var address = new UriBuilder(request.RequestUri!);
            address.Query = request.Method == HttpMethod.Post ? address.Query + "&label=test" : "";
            request.RequestUri = address.Uri;
            return base.SendAsync(request, cancellationToken);
        }
    }
}
