using ModelPipeline.Core;
using ModelPipeline.Publishing;

namespace ModelPipeline.Tests.Publishing;

/// <summary>Publishing through crashes, faults and rivals, at every request that it makes.</summary>
public sealed class GitHubFaultTests : GitHubTest
{
    /// <summary>The process dies before or after any one of its requests; the next run has to finish the work.</summary>
    [Fact]
    public async Task After_a_crash_at_any_step_the_next_run_ends_right()
    {
        var (release, folder) = await ReleaseAsync();
        var crashes = 0;
        foreach (var after in new[] { false, true })
        {
            for (var request = 0; ; request++)
            {
                await using var fake = await FakeGitHub.StartAsync();
                try
                {
                    await PublishAsync(release, folder, fake, handler: () => new CrashingHandler(request, after));
                    break;
                }
                catch (CrashException)
                {
                    crashes++;
                }
                var published = fake.Releases.Any(each => !each.Draft);
                await PublishAsync(release, folder, fake);
                RequireRight(release, fake);
                Assert.True(fake.Releases.Count == 1, "drafts are left");
                if (published)
                    Assert.Single(fake.Publications);
            }
        }
        Assert.True(crashes > 60, $"only {crashes} crashes");
    }

    /// <summary>Each request in turn meets each fault; the same run recovers.</summary>
    [Theory]
    [InlineData(nameof(Fault.BadGateway))]
    [InlineData(nameof(Fault.LostAnswer))]
    [InlineData(nameof(Fault.BrokenUpload))]
    public async Task A_fault_at_any_request_is_mended_within_the_run(string name)
    {
        var fault = Enum.Parse<Fault>(name);
        var (release, folder) = await ReleaseAsync();
        for (var at = 0; ; at++)
        {
            await using var fake = await FakeGitHub.StartAsync();
            fake.Faults = (number, _, _) => number == at ? fault : null;
            await PublishAsync(release, folder, fake);
            RequireRight(release, fake);
            Assert.Single(fake.Releases);
            if (fake.Requests.Count <= at)
                break;
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Of_two_publishers_at_once_one_wins_and_the_other_says_so(bool sameBytes)
    {
        var (first, firstFolder) = await ReleaseAsync();
        var (second, secondFolder) = sameBytes ? (first, firstFolder) : await ReleaseAsync(seed: 1);
        var losers = 0;
        for (var round = 0; round < 20; round++)
        {
            await using var fake = await FakeGitHub.StartAsync();
            if (round % 2 == 1)
                fake.Add(first.Tag, draft: true, DraftMark.Body("notes", first.Content, "an-earlier-run"));
            var ends = await Task.WhenAll(EndAsync(first, firstFolder, fake), EndAsync(second, secondFolder, fake));
            Assert.Contains(null, ends);
            Assert.All(
                ends.OfType<string>(),
                error => Assert.True(error.Contains("another publisher took over") || error.Contains("with other bytes"), error)
            );
            var winner = fake.Publications.Single().Assets["SHA256SUMS"] == "sha256:" + first.Content ? first : second;
            RequireRight(winner, fake);
            losers += ends.OfType<string>().Count();
            if (!sameBytes)
                Assert.Contains(ends, error => error is not null);
        }
        Assert.True(losers > 0, "no two of them ever met");

        async Task<string?> EndAsync(Release release, string folder, FakeGitHub fake)
        {
            try
            {
                await PublishAsync(release, folder, fake);
                return null;
            }
            catch (PipelineException e)
            {
                return e.Message;
            }
        }
    }

    private sealed class CrashException : Exception;

    /// <summary>Kills the run before it sends its n-th request, or before it sees the answer.</summary>
    private sealed class CrashingHandler(int request, bool after) : DelegatingHandler(new SocketsHttpHandler { AllowAutoRedirect = false })
    {
        private int sent;

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage message, CancellationToken cancellationToken)
        {
            var crashes = sent++ == request;
            if (crashes && !after)
                throw new CrashException();
            var response = await base.SendAsync(message, cancellationToken);
            if (!crashes)
                return response;
            response.Dispose();
            throw new CrashException();
        }
    }
}
