using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Decision;
using ModelPipeline.Manifest;
using ModelPipeline.Packaging;
using ModelPipeline.Publishing;
using ModelPipeline.Reports;
using ModelPipeline.Tests.Artifacts.Downloads;

namespace ModelPipeline.Tests.Publishing;

/// <summary>Releases in a hub's repository, against its API.</summary>
public sealed class HubPlaceTests : IAsyncLifetime
{
    private const string Model = "tiny-reranker-cpu-cpu-int8.onnx";

    private readonly Packages packages = new();
    private readonly List<string> told = [];
    private FakeHub hub = null!;

    public async ValueTask InitializeAsync() => hub = await FakeHub.StartAsync();

    public async ValueTask DisposeAsync()
    {
        Assert.DoesNotContain(told, line => line.Contains("hf_"));
        // The store is another server.
        Assert.All(hub.StoreRequests, request => Assert.Null(request.Authorization));
        await hub.DisposeAsync();
        packages.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_release_is_one_commit_with_a_tag_and_is_restored_as_it_was(bool inParts)
    {
        hub.WantsParts = inParts;
        hub.Add("LICENSE", [1, 2, 3]);
        var (release, folder) = await ReleaseAsync();
        var outcome = await PublishAsync(release, folder);

        Assert.Equal($"{hub.Address}owner/model/tree/v0.1.0", outcome.Url!.ToString());
        Assert.Equal(hub.Branches["main"], hub.Tags["v0.1.0"]);
        var files = hub.At(hub.Tags["v0.1.0"]);
        Assert.Equal([".gitattributes", "LICENSE", .. release.Files.Select(file => file.Name)], files.Keys.Order(StringComparer.Ordinal));
        Assert.All(release.Files, file => Assert.Equal(File.ReadAllBytes(Path.Combine(folder, file.Name)), files[file.Name].Content));
        Assert.True(files[Model].IsLarge);
        Assert.False(files["README.md"].IsLarge);
        Assert.StartsWith("---\nlicense: ", System.Text.Encoding.UTF8.GetString(files["README.md"].Content));
        Assert.Single(hub.Requests, request => request.Contains("/commit/"));
        Assert.Equal(inParts ? 4 : 1, hub.StoreRequests.Count());

        var restored = Directory.CreateDirectory(Path.Combine(packages.Folder, "restored")).FullName;
        Assert.True(await Place().HasAsync(release.Tag, Context()));
        Assert.False(await Place().HasAsync("tiny-reranker/v0.2.0", Context()));
        await Place().RestoreAsync(release.Tag, restored, Context());
        Assert.Equal("0.1.0", PackageCheck.Verify<PackageManifest>(restored, Packages.Cancellation).Version);
    }

    [Fact]
    public async Task Publishing_again_changes_nothing_and_other_bytes_are_refused_by_name()
    {
        var (release, folder) = await ReleaseAsync();
        await PublishAsync(release, folder);
        var before = (hub.Branches["main"], hub.Requests.Count(request => request.StartsWith("POST", StringComparison.Ordinal)));
        Assert.Empty((await PublishAsync(release, folder)).Steps);

        var (other, otherFolder) = await ReleaseAsync(seed: 1);
        var error = await Assert.ThrowsAsync<PipelineException>(() => PublishAsync(other, otherFolder));
        Assert.Contains("with other bytes", error.Message);
        Assert.Contains(Model, error.Message);
        Assert.DoesNotContain("vocab.txt", error.Message);
        Assert.Equal(before, (hub.Branches["main"], hub.Requests.Count(request => request.StartsWith("POST", StringComparison.Ordinal))));
    }

    [Fact]
    public async Task The_next_version_takes_away_what_the_last_one_had_and_nothing_of_others()
    {
        hub.Add("LICENSE", [1, 2, 3]);
        var (first, folder) = await ReleaseAsync(variant: "old");
        await PublishAsync(first, folder);
        var (second, next) = await ReleaseAsync(version: "0.2.0");
        var outcome = await PublishAsync(second, next);
        Assert.Equal(["tiny-reranker-cpu-old.onnx"], outcome.Steps.OfType<PublishStep.Remove>().Select(step => step.File));
        Assert.DoesNotContain("vocab.txt", outcome.Steps.OfType<PublishStep.Add>().Select(step => step.File.Name));
        Assert.Contains("LICENSE", hub.At(hub.Tags["v0.2.0"]).Keys);
        Assert.Contains("tiny-reranker-cpu-old.onnx", hub.At(hub.Tags["v0.1.0"]).Keys);
    }

    [Fact]
    public async Task A_candidate_is_on_a_branch_of_its_own()
    {
        var main = hub.Branches["main"];
        var (release, folder) = await ReleaseAsync(backend: Backend.Rknn);
        await PublishAsync(release, folder);
        Assert.Equal(main, hub.Branches["main"]);
        Assert.Equal(hub.Branches["candidate"], hub.Tags["v0.1.0-rc"]);
    }

    /// <summary>Every request of a run in turn is done and its answer lost, or not done at all: the run ends as if nothing had
    /// been.</summary>
    [Fact]
    public async Task Whatever_request_fails_or_loses_its_answer_the_release_is_whole()
    {
        var (release, folder) = await ReleaseAsync();
        for (var at = 0; at < 9; at++)
        {
            foreach (var isLost in new[] { true, false })
            {
                await using var fake = await FakeHub.StartAsync();
                var seen = 0;
                bool Now(string request) => Interlocked.Increment(ref seen) == at + 1;
                if (isLost)
                    fake.LosesAnswer = Now;
                else
                    fake.Fails = Now;
                await new HubPlace(fake.Repository(), TimeSpan.FromMilliseconds(1)).PublishAsync(
                    release,
                    folder,
                    PublishExtent.Release,
                    Context()
                );
                Assert.All(
                    release.Files,
                    file =>
                        Assert.Equal(File.ReadAllBytes(Path.Combine(folder, file.Name)), fake.At(fake.Tags["v0.1.0"])[file.Name].Content)
                );
                Assert.Single(fake.Tags);
            }
        }
    }

    [Fact]
    public async Task A_run_that_broke_off_goes_on_without_uploading_again()
    {
        var (release, folder) = await ReleaseAsync();
        hub.Fails = request => request.Contains("/commit/");
        await Assert.ThrowsAsync<PipelineException>(() => PublishAsync(release, folder));
        Assert.Empty(hub.Tags);
        hub.Fails = _ => false;
        await PublishAsync(release, folder);
        Assert.Single(hub.StoreRequests);
        Assert.Single(hub.Tags);
    }

    [Fact]
    public async Task A_commit_of_somebody_else_in_between_is_kept()
    {
        var (release, folder) = await ReleaseAsync();
        var other = 0;
        hub.Fails = request =>
        {
            if (request.Contains("/commit/") && Interlocked.Increment(ref other) == 1)
                hub.Add("NOTES.md", [7]);
            return false;
        };
        await PublishAsync(release, folder);
        Assert.Contains("NOTES.md", hub.At(hub.Tags["v0.1.0"]).Keys);
        Assert.Contains(told, line => line.Contains("somebody else committed to main"));
    }

    [Fact]
    public async Task A_dry_run_tells_every_step_and_does_none_even_without_a_token()
    {
        var (release, folder) = await ReleaseAsync();
        var outcome = await Place(token: null).PublishAsync(release, folder, PublishExtent.DryRun, Context());
        Assert.Equal([.. release.Files.Select(_ => "Add"), "Name"], outcome.Steps.Select(step => step.GetType().Name));
        Assert.All(hub.Requests, request => Assert.StartsWith("GET", request));
    }

    [Fact]
    public async Task Answers_that_break_off_are_asked_for_again()
    {
        var (release, folder) = await ReleaseAsync();
        await PublishAsync(release, folder);
        HashSet<string> seen = [];
        hub.CutsAnswer = seen.Add;
        var restored = Directory.CreateDirectory(Path.Combine(packages.Folder, "restored")).FullName;
        Assert.True(await Place().HasAsync(release.Tag, Context()));
        await Place().RestoreAsync(release.Tag, restored, Context());
        Assert.Equal("0.1.0", PackageCheck.Verify<PackageManifest>(restored, Packages.Cancellation).Version);
        Assert.Equal(release.Files.Count + 1, seen.Count);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Who_only_reads_is_not_told_to_publish(bool cut)
    {
        hub.CutsAnswer = _ => cut;
        hub.Fails = _ => !cut;
        var error = await Assert.ThrowsAsync<PipelineException>(() => Place().HasAsync("tiny-reranker/v0.1.0", Context()));
        Assert.StartsWith($"owner/model on 127.0.0.1: {(cut ? "the way there failed" : "answers 503")}", error.Message);
        Assert.EndsWith(" Try again.", error.Message);
    }

    [Fact]
    public async Task An_endless_answer_is_cut_at_the_limit_and_not_asked_for_again()
    {
        await using var server = await LoopbackServer.StartAsync(async context =>
        {
            context.Response.ContentType = "application/json";
            while (!context.RequestAborted.IsCancellationRequested)
                await context.Response.Body.WriteAsync(new byte[1 << 16], context.RequestAborted);
        });
        var place = new HubPlace(new(server.Address, "owner/model", null), TimeSpan.FromMilliseconds(1));
        var error = await Assert.ThrowsAsync<PipelineException>(() => place.HasAsync("tiny-reranker/v0.1.0", Context()));
        Assert.Contains("an answer of more than 16777216 bytes is no hub's", error.Message);
        Assert.Single(server.Requests);
    }

    [Fact]
    public async Task Sums_that_are_none_are_refused_by_name()
    {
        var (release, folder) = await ReleaseAsync();
        hub.Add("SHA256SUMS", "0123  LICENSE\n"u8.ToArray());
        hub.Add("LICENSE", [1, 2, 3]);
        var error = await Assert.ThrowsAsync<PipelineException>(() => PublishAsync(release, folder));
        Assert.Contains($"owner/model on 127.0.0.1, SHA256SUMS of {hub.Branches["main"]}:1: expected 64 lower-case", error.Message);
        Assert.Empty(hub.Tags);
    }

    [Theory]
    [InlineData(null, "owner/model", "Set HF_TOKEN", 2)]
    [InlineData("hf_wrong", "owner/model", "answers 401 (Invalid credentials). HF_TOKEN is not valid there", 1)]
    [InlineData(FakeHub.Token, "owner/other", "there is no such repository", 1)]
    public async Task What_is_missing_is_said(string? token, string repository, string message, int exitCode)
    {
        var (release, folder) = await ReleaseAsync();
        var place = new HubPlace(hub.Repository(token, repository), TimeSpan.FromMilliseconds(1));
        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            place.PublishAsync(release, folder, PublishExtent.Release, Context())
        );
        Assert.Contains(message, error.Message);
        Assert.Equal(exitCode, error.ExitCode);
        Assert.DoesNotContain("hf_", error.ToString());
    }

    [Theory]
    [InlineData("hf:owner", null, "--to=hf:owner: expected hf:owner/name.")]
    [InlineData("hf:owner/name", "http://user:secret@example.org", "HF_ENDPOINT: 'http://example.org/' is no https URL")]
    public void A_name_or_an_endpoint_that_cannot_be_is_refused(string option, string? endpoint, string message)
    {
        var error = Assert.Throws<PipelineException>(() =>
            ReleasePlace.Named(option, new(), name => name == "HF_ENDPOINT" ? endpoint : null)
        );
        Assert.Contains(message, error.Message);
        Assert.Equal(2, error.ExitCode);
    }

    private HubPlace Place(string? token = FakeHub.Token) => new(hub.Repository(token), TimeSpan.FromMilliseconds(1));

    private Task<PublishOutcome> PublishAsync(Release release, string folder) =>
        Place().PublishAsync(release, folder, PublishExtent.Release, Context());

    private StageContext Context()
    {
        return new(new Progress<StageProgress>(), Tell, Tell, Packages.Cancellation);

        void Tell(string line)
        {
            lock (told)
                told.Add(line);
        }
    }

    private async Task<(Release Release, string Folder)> ReleaseAsync(
        int seed = 0,
        string version = "0.1.0",
        Backend backend = Backend.Onnx,
        string variant = "cpu-int8"
    )
    {
        var (package, model) = await packages.WriteAsync([packages.Report(variant, backend, seed: seed)], version);
        var release = Release.Of(
            ReleaseText.Of(model),
            PackageCheck.Verify<PackageManifest>(package, Packages.Cancellation),
            ReportJson.Read<ProductionDecision>(Path.Combine(package, "decision.json"))
        );
        var root = Path.Combine(packages.Folder, $"release-{seed}-{version}");
        ReleaseFolder.Write(release, package, root, cancellation: Packages.Cancellation);
        return (release, ReleaseFolder.PathOf(root, release.Tag));
    }
}
