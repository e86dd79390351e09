using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Decision;
using ModelPipeline.Manifest;
using ModelPipeline.Packaging;
using ModelPipeline.Publishing;
using ModelPipeline.Reports;

namespace ModelPipeline.Tests.Publishing;

/// <summary>A releases API, releases to publish there, and what must hold whatever happens.</summary>
public abstract class GitHubTest : IAsyncLifetime
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(1);

    private readonly Packages packages = new();

    private protected FakeGitHub GitHub { get; private set; } = null!;

    /// <summary>All lines that users would see.</summary>
    private protected List<string> Told { get; } = [];

    public async ValueTask InitializeAsync() => GitHub = await FakeGitHub.StartAsync();

    public async ValueTask DisposeAsync()
    {
        await GitHub.DisposeAsync();
        packages.Dispose();
        Assert.Empty(GitHub.Violations);
        Assert.DoesNotContain(Told, line => line.Contains(FakeGitHub.Token));
        GC.SuppressFinalize(this);
    }

    private protected void RequireRight(Release release, FakeGitHub? fake = null)
    {
        fake ??= GitHub;
        Assert.Empty(fake.Violations);
        var expected = release.Files.ToDictionary(file => file.Name, file => "sha256:" + file.Digest.Sha256);
        Assert.Equivalent(expected, fake.Publications.Single(publication => publication.Tag == release.Tag).Assets, strict: true);
        Assert.Equal(
            expected.Keys.Order(),
            fake.Releases.Single(each => !each.Draft && each.Tag == release.Tag).Assets.Select(asset => asset.Name).Order()
        );
    }

    private protected async Task<(Release Release, string Folder)> ReleaseAsync(
        int seed = 0,
        string version = "0.1.0",
        string scores = "int8_normal",
        Backend backend = Backend.Onnx
    )
    {
        var (package, model) = await packages.WriteAsync([packages.Report("cpu-int8", backend, scores: scores, seed: seed)], version);
        var release = Release.Of(
            ReleaseText.Of(model),
            PackageCheck.Verify<PackageManifest>(package, Packages.Cancellation),
            ReportJson.Read<ProductionDecision>(Path.Combine(package, "decision.json"))
        );
        var root = Path.Combine(packages.Folder, $"release-{seed}");
        ReleaseFolder.Write(release, package, root, cancellation: Packages.Cancellation);
        return (release, ReleaseFolder.PathOf(root, release.Tag));
    }

    private protected Task<PublishOutcome> PublishAsync(
        Release release,
        string folder,
        FakeGitHub? fake = null,
        PublishExtent extent = PublishExtent.Release,
        string? token = FakeGitHub.Token,
        Func<HttpMessageHandler>? handler = null
    ) =>
        new GitHubPlace((fake ?? GitHub).Repository(token), Pause, handler).PublishAsync(
            release,
            folder,
            extent,
            Context(Packages.Cancellation)
        );

    private protected StageContext Context(CancellationToken cancellation) => new(new Progress<StageProgress>(), Tell, Tell, cancellation);

    private void Tell(string line)
    {
        lock (Told)
            Told.Add(line);
    }
}
