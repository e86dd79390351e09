using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Packaging;
using ModelPipeline.Tests.EndToEnd;

namespace ModelPipeline.Tests.Publishing;

/// <summary>The Publish target as its users run it.</summary>
[Collection(QuickRuns.Name)]
public sealed class PublishCommandTests(QuickRun finished) : IAsyncLifetime
{
    private readonly Workspace workspace = finished.Copy();
    private FakeGitHub github = null!;

    public async ValueTask InitializeAsync() => github = await FakeGitHub.StartAsync();

    public async ValueTask DisposeAsync()
    {
        await github.DisposeAsync();
        workspace.Dispose();
    }

    [Fact]
    public async Task It_publishes_on_GitHub_once_and_never_prints_the_token()
    {
        var dry = (await PublishAsync("--dry-run")).Succeeded();
        Assert.Contains("tiny-reranker/v0.1.0: would create a draft", dry.Output);
        Assert.Empty(github.Releases);

        var run = (await PublishAsync()).Succeeded();
        Assert.Contains("https://github.example.org/owner/models/releases/tag/tiny-reranker/v0.1.0", run.Output);
        var published = github.Publications.Single();
        Assert.Equal(
            Directory
                .EnumerateFiles(workspace.Release)
                .ToDictionary(path => Path.GetFileName(path), path => "sha256:" + FileDigest.Of(path).Sha256),
            published.Assets
        );
        Assert.DoesNotContain(published.Assets.Keys, name => name.Contains(".sim."));
        Assert.Equal("0123456789abcdef0123456789abcdef01234567", github.Releases.Single().Commit);

        var again = (await PublishAsync()).Succeeded();
        Assert.Contains("was published before, with the same bytes", again.Output);

        foreach (var result in new[] { dry, run, again })
        {
            Assert.DoesNotContain(FakeGitHub.Token, result.Output);
            Assert.DoesNotContain(FakeGitHub.Token, result.Error);
        }
    }

    [Fact]
    public async Task Its_errors_do_not_print_the_token_either()
    {
        var run = await PublishAsync(token: "ghs_AnotherSecretThatIsWrong");
        Assert.Equal(1, run.ExitCode);
        Assert.Contains("GITHUB_TOKEN or GH_TOKEN is not valid there", run.Error + run.Output);
        Assert.DoesNotContain("ghs_", run.Output + run.Error);
        Assert.Empty(github.Releases);
    }

    [Fact]
    public async Task With_to_it_publishes_to_a_folder_and_a_part_of_the_variants_nowhere()
    {
        var part = await workspace.RunAsync("--target=Publish", "--to=out", "--variant=cpu-int8");
        Assert.Equal(2, part.ExitCode);
        Assert.Contains("fp16, int8 was not built", part.Error + part.Output);
        Assert.False(Directory.Exists(Path.Combine(workspace.Folder, "out")));

        (await workspace.RunAsync("--target=Publish", "--to=out")).Succeeded();
        var manifest = PackageCheck.Verify<PackageManifest>(
            Path.Combine(workspace.Folder, "out", "tiny-reranker", "v0.1.0"),
            TestContext.Current.CancellationToken
        );
        Assert.Equal(["cpu-int8"], manifest.Variants.Select(variant => variant.Subject.Variant));
        // What was packaged before can be published without building again.
        Assert.Contains(
            "published before",
            (await workspace.RunAsync("--target=Publish:tiny-reranker", "--exclusive", "--to=out")).Succeeded().Output
        );

        var changed = await workspace.RunAsync("--target=Publish", "--to=out", "--calibration-samples=99");
        Assert.Equal(1, changed.ExitCode);
        Assert.Contains("holds other bytes than this build's tiny-reranker/v0.1.0", changed.Error + changed.Output);
    }

    [Theory]
    [InlineData("Publish")]
    [InlineData("Promote")]
    public async Task What_Release_writes_is_no_place_to_publish_to(string target)
    {
        var before = Directory.GetLastWriteTimeUtc(workspace.Release);
        var run = await workspace.RunAsync($"--target={target}:tiny-reranker", "--exclusive", "--to=artifacts/../artifacts/release/");
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("Release writes that folder anew", run.Error + run.Output);
        Assert.Equal(before, Directory.GetLastWriteTimeUtc(workspace.Release));
    }

    [Fact]
    public async Task Without_a_repository_it_says_where_to_name_one()
    {
        var run = await workspace.RunAsync("--target=Publish:tiny-reranker", "--exclusive");
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("no repository is named", run.Error + run.Output);
    }

    private Task<HostRun> PublishAsync(string option = "--verbosity=diagnostic", string token = FakeGitHub.Token) =>
        HostProcess.RunAsync(
            workspace.Folder,
            // What is packaged already need not be looked at again.
            ["--target=Publish:tiny-reranker", "--exclusive", "--verbosity=diagnostic", option],
            new Dictionary<string, string>
            {
                ["GITHUB_REPOSITORY"] = "owner/models",
                ["GITHUB_API_URL"] = github.Repository().Api.ToString(),
                ["GITHUB_SHA"] = "0123456789abcdef0123456789abcdef01234567",
                ["GITHUB_TOKEN"] = token,
            }
        );
}
