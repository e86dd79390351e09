using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;

namespace ModelPipeline.Tests.Artifacts.Downloads;

/// <summary>One cache, several fetchers: as processes see each other, since every file lock belongs to the opened file.</summary>
public sealed class ContentCacheTests : IDisposable
{
    private readonly TemporaryFolder _cache = new();
    private readonly CancellationToken _cancellation = TestContext.Current.CancellationToken;

    public void Dispose() => _cache.Dispose();

    [Fact]
    public async Task Two_that_want_the_same_download_it_once()
    {
        var file = new ServedFile(1, 500_000);
        await using var server = await LoopbackServer.StartAsync(async context =>
        {
            await Task.Delay(200, context.RequestAborted);
            await file.SendAsync(context);
        });
        var fetched = await Task.WhenAll(
            Enumerable
                .Range(0, 4)
                .Select(async _ =>
                {
                    using var fetcher = Fetcher();
                    return await fetcher.FetchAsync(file.At(server.At("/f")), cancellation: _cancellation);
                })
        );
        Assert.Single(fetched.Distinct());
        Assert.Single(server.Requests);
    }

    [Fact]
    public async Task Over_the_limit_those_go_that_were_not_used_for_longest_and_those_in_use_stay()
    {
        ServedFile[] files = [.. Enumerable.Range(1, 5).Select(seed => new ServedFile(seed, 400_000))];
        await using var server = await LoopbackServer.StartAsync(context =>
            files[int.Parse(context.Request.Path.Value![1..])].SendAsync(context)
        );
        using (var first = Fetcher())
        {
            foreach (var i in new[] { 0, 1, 2 })
            {
                var path = (await first.FetchAsync(files[i].At(server.At($"/{i}")), cancellation: _cancellation)).Path;
                File.SetLastAccessTimeUtc(path, DateTime.UtcNow.AddHours(i - 10));
            }
            // Two fit. All three are in use.
            using (var second = Fetcher(1_000_000))
                await second.FetchAsync(files[3].At(server.At("/3")), cancellation: _cancellation);
            Assert.Equal([0, 1, 2, 3], Kept(files));
        }
        using (var third = Fetcher())
            await third.FetchAsync(files[0].At(server.At("/0")), cancellation: _cancellation);
        using (var fourth = Fetcher(1_000_000))
            await fourth.FetchAsync(files[4].At(server.At("/4")), cancellation: _cancellation);
        Assert.Equal([0, 4], Kept(files));
        Assert.Equal(5, server.Requests.Count);
    }

    [Fact]
    public async Task Clearing_frees_all_but_what_is_in_use()
    {
        ServedFile[] files = [.. Enumerable.Range(1, 2).Select(seed => new ServedFile(seed, 400_000))];
        await using var server = await LoopbackServer.StartAsync(context =>
            files[int.Parse(context.Request.Path.Value![1..])].SendAsync(context)
        );
        using (var before = Fetcher())
            await before.FetchAsync(files[0].At(server.At("/0")), cancellation: _cancellation);
        _cache.Write("partial/sha256-abcd", new byte[1234]);
        Directory.CreateDirectory(_cache.File("releases"));
        var release = _cache.Write("releases/abcd", new byte[1000]);
        using var fetcher = Fetcher();
        await fetcher.FetchAsync(files[1].At(server.At("/1")), cancellation: _cancellation);
        Assert.Equal(402_234, fetcher.ClearCache());
        Assert.False(File.Exists(release));
        Assert.Equal([1], Kept(files));
        Assert.Equal(0, fetcher.ClearCache());
    }

    [Fact]
    public async Task An_abandoned_download_is_dropped_after_a_week()
    {
        var file = new ServedFile(1, 1000);
        Directory.CreateDirectory(_cache.File("partial"));
        File.SetLastWriteTimeUtc(_cache.Write("partial/sha256-old", new byte[10]), DateTime.UtcNow.AddDays(-8));
        File.SetLastWriteTimeUtc(_cache.Write("partial/sha256-new", new byte[10]), DateTime.UtcNow.AddDays(-6));
        await using var server = await LoopbackServer.StartAsync(context => file.SendAsync(context));
        using var fetcher = Fetcher();
        await fetcher.FetchAsync(file.At(server.At("/f")), cancellation: _cancellation);
        Assert.False(File.Exists(_cache.File("partial/sha256-old")));
        Assert.True(File.Exists(_cache.File("partial/sha256-new")));
    }

    [Fact]
    public async Task A_full_disk_is_said_as_such_and_not_tried_again()
    {
        var file = new ServedFile(1, 500_000);
        await using var server = await LoopbackServer.StartAsync(context => file.SendAsync(context));
        Directory.CreateDirectory(_cache.File("partial"));
        // Every write to it fails as on a full disk.
        File.CreateSymbolicLink(_cache.File($"partial/sha256-{file.Sha256}.validator"), "/dev/full");
        using var fetcher = Fetcher();
        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            fetcher.FetchAsync(file.At(server.At("/f")), cancellation: _cancellation)
        );
        Assert.Contains("cannot be written: No space left on device", error.Message);
        Assert.Single(server.Requests);
    }

    [Theory]
    [InlineData("0.5", 500_000_000)]
    [InlineData("20", 20_000_000_000)]
    public void The_limit_is_read_in_gigabytes(string text, long bytes) =>
        Assert.Equal(bytes, SourceSettings.FromEnvironment(name => name == "MODELPIPELINE_CACHE_LIMIT" ? text : null).CacheLimit);

    [Theory]
    [InlineData("lots")]
    [InlineData("-1")]
    [InlineData("1e9")]
    public void A_limit_that_is_no_number_is_refused(string text) =>
        Assert.Contains(
            $"MODELPIPELINE_CACHE_LIMIT: '{text}'",
            Assert
                .Throws<PipelineException>(() => SourceSettings.FromEnvironment(name => name == "MODELPIPELINE_CACHE_LIMIT" ? text : null))
                .Message
        );

    private int[] Kept(ServedFile[] files) =>
        [.. Enumerable.Range(0, files.Length).Where(i => Directory.Exists(_cache.File($"sha256/{files[i].Sha256}")))];

    private SourceFetcher Fetcher(long limit = long.MaxValue) => new(new SourceSettings { Cache = _cache.Path, CacheLimit = limit });
}
