using System.Diagnostics;
using System.Net;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Publishing;

namespace ModelPipeline.Tests.Publishing;

/// <summary>The publisher, Octokit and all, against the releases API.</summary>
public sealed class GitHubPlaceTests : GitHubTest
{
    [Fact]
    public async Task A_release_is_uploaded_checked_and_then_published()
    {
        var (release, folder) = await ReleaseAsync();
        var outcome = await PublishAsync(release, folder);
        RequireRight(release);
        var published = GitHub.Releases.Single();
        Assert.Equal("https://github.example.org/owner/models/releases/tag/tiny-reranker/v0.1.0", outcome.Url!.ToString());
        Assert.Equal("tiny-reranker 0.1.0", published.Name);
        Assert.Equal("false", published.MakeLatest);
        Assert.False(published.Prerelease);
        Assert.Contains("This is the first release.", published.Body);
        Assert.Equal("application/json", published.Assets.Single(asset => asset.Name == "manifest.json").ContentType);
        Assert.IsType<PublishStep.CreateDraft>(outcome.Steps[0]);
        Assert.IsType<PublishStep.Publish>(outcome.Steps[^1]);
        // The last look at the assets comes before the request that shows them.
        var requests = GitHub.Requests.ToList();
        var shown = requests.FindIndex(request => request.StartsWith("PATCH", StringComparison.Ordinal));
        Assert.Contains(
            requests[(shown - 4)..shown],
            request => request.EndsWith("/assets", StringComparison.Ordinal) && request.StartsWith("GET", StringComparison.Ordinal)
        );
        Assert.Equal(
            requests.FindLastIndex(request => request.StartsWith("POST", StringComparison.Ordinal)),
            requests.FindLastIndex(shown, request => request.StartsWith("POST", StringComparison.Ordinal))
        );
    }

    [Fact]
    public async Task A_candidate_is_a_prerelease_whose_notes_say_what_is_open()
    {
        var (release, folder) = await ReleaseAsync(backend: Backend.Rknn);
        await PublishAsync(release, folder);
        var published = GitHub.Releases.Single();
        Assert.Equal(("tiny-reranker/v0.1.0-rc", true), (published.Tag, published.Prerelease));
        Assert.Contains("no device has run it", published.Body);
        RequireRight(release);
    }

    [Fact]
    public async Task Publishing_again_changes_nothing()
    {
        var (release, folder) = await ReleaseAsync();
        await PublishAsync(release, folder);
        GitHub.Requests.Clear();
        var again = await PublishAsync(release, folder);
        Assert.Empty(again.Steps);
        Assert.NotNull(again.Url);
        Assert.All(GitHub.Requests, request => Assert.StartsWith("GET", request));
    }

    [Fact]
    public async Task Other_bytes_under_a_published_version_are_refused_by_name()
    {
        var (release, folder) = await ReleaseAsync();
        await PublishAsync(release, folder);
        var (other, otherFolder) = await ReleaseAsync(seed: 1);
        GitHub.Requests.Clear();
        var error = await Assert.ThrowsAsync<PipelineException>(() => PublishAsync(other, otherFolder));
        Assert.Contains("with other bytes", error.Message);
        Assert.Contains("tiny-reranker-cpu-cpu-int8.onnx", error.Message);
        Assert.DoesNotContain("vocab.txt", error.Message);
        Assert.Contains("Raise version: of tiny-reranker", error.Message);
        Assert.All(GitHub.Requests, request => Assert.StartsWith("GET", request));
        RequireRight(release);
    }

    [Theory]
    [InlineData(nameof(Fault.SecondaryLimit))]
    [InlineData(nameof(Fault.PrimaryLimit))]
    public async Task A_rate_limit_is_waited_out_as_long_as_it_says(string fault)
    {
        var (release, folder) = await ReleaseAsync();
        var uploads = 0;
        DateTime? limited = null;
        TimeSpan? waited = null;
        GitHub.Faults = (_, method, _) =>
        {
            waited ??= DateTime.UtcNow - limited;
            if (method != "POST" || uploads++ != 3)
                return null;
            limited = DateTime.UtcNow;
            return Enum.Parse<Fault>(fault);
        };
        await PublishAsync(release, folder);
        RequireRight(release);
        Assert.InRange(waited!.Value.TotalSeconds, 0.9, 60);
        Assert.Contains(Told, line => line.StartsWith("GitHub's rate limit is used up. Going on in 1 s.", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_rate_limit_that_stays_is_not_taken_for_a_wrong_name_or_token()
    {
        var (release, folder) = await ReleaseAsync();
        var error = await Assert.ThrowsAsync<PipelineException>(() => PublishAsync(release, folder, handler: () => new LimitingHandler()));
        Assert.EndsWith("GitHub's rate limit is used up. Publish again to go on from there.", error.Message);
    }

    [Fact]
    public async Task A_server_that_never_recovers_ends_in_one_clear_error()
    {
        var (release, folder) = await ReleaseAsync();
        GitHub.Faults = (_, method, _) => method == "POST" ? Fault.BadGateway : null;
        var error = await Assert.ThrowsAsync<PipelineException>(() => PublishAsync(release, folder));
        Assert.Contains("tiny-reranker/v0.1.0 on owner/models on 127.0.0.1: GitHub answers 502", error.Message);
        Assert.Contains("Publish again to go on from there.", error.Message);
        Assert.Empty(GitHub.Publications);
    }

    [Fact]
    public async Task Whole_assets_of_a_broken_run_are_kept_and_broken_or_foreign_ones_replaced()
    {
        var (release, folder) = await ReleaseAsync();
        var draft = GitHub.Add(release.Tag, draft: true, DraftMark.Body("notes", release.Content, "an-earlier-run"));
        var kept = GitHub.Attach(draft, "vocab.txt", File.ReadAllBytes(Path.Combine(folder, "vocab.txt")));
        GitHub.Attach(draft, "report.html", [1, 2, 3], "starter");
        GitHub.Attach(draft, "manifest.json", File.ReadAllBytes(Path.Combine(folder, "decision.json")));
        GitHub.Attach(draft, "unknown.bin", [1]);
        var outcome = await PublishAsync(release, folder);
        RequireRight(release);
        var published = GitHub.Releases.Single();
        Assert.Equal(draft.Id, published.Id);
        Assert.Contains(published.Assets, asset => asset.Id == kept.Id);
        Assert.IsType<PublishStep.TakeOver>(outcome.Steps[0]);
        Assert.Equal(
            ["report.html", "manifest.json", "unknown.bin"],
            outcome.Steps.OfType<PublishStep.DeleteAsset>().Select(step => step.Asset.Name)
        );
        Assert.DoesNotContain("vocab.txt", outcome.Steps.OfType<PublishStep.Upload>().Select(step => step.File.Name));
    }

    [Fact]
    public async Task Drafts_of_other_bytes_are_left_alone_until_the_version_is_taken_and_those_of_people_always()
    {
        var (release, folder) = await ReleaseAsync();
        GitHub.Add(release.Tag, draft: true, DraftMark.Body("notes", new string('c', 64), "an-earlier-run"));
        var written = GitHub.Add(release.Tag, draft: true, "by hand");
        await PublishAsync(release, folder);
        RequireRight(release);
        Assert.Equal([written.Id], GitHub.Releases.Where(each => each.Draft).Select(each => each.Id));
    }

    [Fact]
    public async Task A_draft_is_complete_but_not_shown_and_published_later()
    {
        var (release, folder) = await ReleaseAsync();
        var outcome = await PublishAsync(release, folder, extent: PublishExtent.Draft);
        var draft = GitHub.Releases.Single();
        Assert.True(draft.Draft);
        Assert.Equal(release.Files.Count, draft.Assets.Count);
        Assert.NotNull(outcome.Url);
        var published = await PublishAsync(release, folder);
        Assert.Equal(["TakeOver", "Publish"], published.Steps.Select(step => step.GetType().Name));
        RequireRight(release);
    }

    [Fact]
    public async Task A_dry_run_tells_every_step_and_does_none_even_without_a_token()
    {
        var (release, folder) = await ReleaseAsync();
        var outcome = await PublishAsync(release, folder, extent: PublishExtent.DryRun, token: null);
        Assert.Equal(["CreateDraft", .. release.Files.Select(_ => "Upload"), "Publish"], outcome.Steps.Select(step => step.GetType().Name));
        Assert.Contains("upload tiny-reranker-cpu-cpu-int8.onnx (40001 bytes)", outcome.Steps.Select(step => step.Sentence));
        Assert.Null(outcome.Url);
        Assert.All(GitHub.Requests, request => Assert.StartsWith("GET", request));
    }

    [Fact]
    public async Task A_server_without_digests_has_its_assets_fetched_and_digested()
    {
        GitHub.KnowsDigests = false;
        var (release, folder) = await ReleaseAsync();
        await PublishAsync(release, folder);
        RequireRight(release);
        Assert.Equal(
            release.Files.Count,
            GitHub.Requests.Count(request =>
                request.StartsWith("GET /api/v3/repos/owner/models/releases/assets/", StringComparison.Ordinal)
            )
        );
        var (other, otherFolder) = await ReleaseAsync(seed: 1);
        await Assert.ThrowsAsync<PipelineException>(() => PublishAsync(other, otherFolder));
    }

    [Fact]
    public async Task Notes_compare_with_the_last_published_version()
    {
        var (first, firstFolder) = await ReleaseAsync();
        await PublishAsync(first, firstFolder);
        GitHub.Add("tiny-reranker/v0.1.5", draft: true);
        GitHub.Add("other-model/v0.1.9", draft: false);
        var (second, secondFolder) = await ReleaseAsync(version: "0.2.0-rc.1", scores: "fp16");
        await PublishAsync(second, secondFolder);
        var published = GitHub.Releases.Single(each => each.Tag == second.Tag);
        Assert.Contains("Against 0.1.0:", published.Body);
        Assert.Contains("| cpu-int8 1x128 | Kendall tau |", published.Body);
        Assert.DoesNotContain("<!-- modelpipeline", published.Body);
        Assert.True(published.Prerelease);
    }

    [Fact]
    public async Task A_last_version_that_cannot_be_read_costs_the_comparison_only()
    {
        GitHub.Attach(GitHub.Add("tiny-reranker/v0.0.1", draft: false), "manifest.json", "{}"u8.ToArray());
        var (release, folder) = await ReleaseAsync();
        await PublishAsync(release, folder);
        RequireRight(release);
        Assert.Contains(Told, line => line.Contains("The notes do not compare with tiny-reranker/v0.0.1."));
    }

    [Fact]
    public async Task A_file_that_changed_since_it_was_built_is_not_uploaded()
    {
        var (release, folder) = await ReleaseAsync();
        File.AppendAllText(Path.Combine(folder, "vocab.txt"), "x");
        var error = await Assert.ThrowsAsync<PipelineException>(() => PublishAsync(release, folder));
        Assert.Contains("vocab.txt is not what was built", error.Message);
        Assert.Empty(GitHub.Publications);
        Assert.DoesNotContain(GitHub.Releases.Single().Assets, asset => asset.Name == "vocab.txt");
    }

    [Fact]
    public async Task A_name_that_GitHub_changes_ends_in_an_error()
    {
        GitHub.Renames = name => name.Replace("SHA256SUMS", "SHA256SUMS.txt");
        var (release, folder) = await ReleaseAsync();
        var error = await Assert.ThrowsAsync<PipelineException>(() => PublishAsync(release, folder));
        Assert.Contains("SHA256SUMS was uploaded 6 times", error.Message);
        Assert.Empty(GitHub.Publications);
    }

    [Theory]
    [InlineData(null, "Set GITHUB_TOKEN or GH_TOKEN", 2)]
    [InlineData("ghs_wrong", "401", 1)]
    public async Task A_missing_or_wrong_token_is_said(string? token, string message, int exitCode)
    {
        var (release, folder) = await ReleaseAsync();
        var error = await Assert.ThrowsAsync<PipelineException>(() => PublishAsync(release, folder, token: token));
        Assert.Contains(message, error.Message);
        Assert.Equal(exitCode, error.ExitCode);
        Assert.DoesNotContain("ghs_", error.ToString());
    }

    [Fact]
    public async Task Cancelling_ends_at_once()
    {
        var (release, folder) = await ReleaseAsync();
        using var stop = new CancellationTokenSource();
        var since = new Stopwatch();
        // 502 for ever, with the pauses of real life.
        GitHub.Faults = (number, _, _) =>
        {
            if (number == 3)
            {
                since.Start();
                stop.Cancel();
            }
            return number > 1 ? Fault.BadGateway : null;
        };
        var publisher = new GitHubPlace(GitHub.Repository(), TimeSpan.FromSeconds(1), null);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            publisher.PublishAsync(release, folder, PublishExtent.Release, Context(stop.Token))
        );
        Assert.InRange(since.Elapsed.TotalSeconds, 0, 10);
        Assert.Empty(GitHub.Publications);
    }

    /// <summary>A limit that may be asked again about at once.</summary>
    private sealed class LimitingHandler : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
            Task.FromResult(
                new HttpResponseMessage(HttpStatusCode.Forbidden)
                {
                    RequestMessage = request,
                    Content = new StringContent("{}"),
                    Headers = { RetryAfter = new(TimeSpan.Zero) },
                }
            );
    }
}
