using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.AspNetCore.Http;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;

namespace ModelPipeline.Tests.Artifacts.Downloads;

/// <summary>What is asked of a server again, and what is not.</summary>
public sealed class DownloadTests : IDisposable
{
    private static readonly ServedFile File = new(1, 3_000_000);

    private readonly TemporaryFolder _cache = new();
    private readonly ConcurrentQueue<(string? Range, string? IfRange)> _asked = new();

    public void Dispose() => _cache.Dispose();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_dropped_body_is_gone_on_with_where_it_stopped(bool tagged)
    {
        await using var server = await StartAsync(
            async (context, request) =>
            {
                if (request == 1)
                    Cut(context, 2_000_000);
                await (tagged ? File.SendAsync(context) : ServedFile.SendAsync(context, File.Content, null));
            }
        );
        await FetchAsync(server);
        Assert.Equal(2, _asked.Count);
        Assert.Equal((null, null), _asked.First());
        Assert.Equal(("bytes=2000000-", tagged ? $"\"{File.Sha256}\"" : null), _asked.Last());
    }

    [Fact]
    public async Task A_later_process_goes_on_where_an_earlier_one_was_cancelled()
    {
        using var cancellation = new CancellationTokenSource();
        await using var server = await StartAsync(
            async (context, request) =>
            {
                if (request == 1)
                    context.Response.Body = new BodyStream(
                        context.Response.Body,
                        async (sent, bytes, body, token) =>
                        {
                            if (sent >= 1_500_000)
                            {
                                await body.FlushAsync(token);
                                await Task.Delay(Timeout.Infinite, context.RequestAborted);
                            }
                            await body.WriteAsync(bytes, token);
                        }
                    );
                await File.SendAsync(context);
            }
        );
        var progress = new ProgressOf(bytes =>
        {
            if (bytes >= 1_000_000)
                cancellation.Cancel();
        });
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            FetchAsync(server, progress: progress, cancellation: cancellation.Token)
        );
        Assert.False(Directory.Exists(_cache.File("sha256")));

        await FetchAsync(server);
        var from = long.Parse(_asked.Last().Range!["bytes=".Length..^1]);
        Assert.InRange(from, 1_000_000, 2_000_000);
        Assert.Equal($"\"{File.Sha256}\"", _asked.Last().IfRange);
    }

    [Fact]
    public async Task A_file_that_changed_since_is_begun_anew()
    {
        var old = new ServedFile(2, 3_000_000);
        await using var server = await StartAsync(
            async (context, request) =>
            {
                if (request == 1)
                {
                    Cut(context, 2_000_000);
                    await old.SendAsync(context);
                }
                else
                    await File.SendAsync(context);
            }
        );
        await FetchAsync(server);
        Assert.Equal(2, _asked.Count);
    }

    [Theory]
    [InlineData(4, 100_000)]
    [InlineData(3, 1_000_000)]
    [InlineData(8, 7_777)]
    public async Task A_large_file_comes_in_several_ranges_at_once(int streams, int rangeBytes)
    {
        var (now, most) = (0, 0);
        var several = new TaskCompletionSource();
        await using var server = await StartAsync(
            async (context, request) =>
            {
                lock (_asked)
                    most = Math.Max(most, ++now);
                if (request > 1 && most > 1)
                    several.TrySetResult();
                // The first, which tells the length, comes alone. None of the others is answered before another is asked for too.
                if (request > 1)
                    await several.Task;
                lock (_asked)
                    now--;
                await File.SendAsync(context);
            }
        );
        await FetchAsync(server, streams, rangeBytes);
        Assert.InRange(most, 2, streams);
        Assert.True(_asked.Count >= File.Content.Length / Math.Max(rangeBytes, 1 << 20));
        Assert.All(_asked.Skip(1), asked => Assert.Equal($"\"{File.Sha256}\"", asked.IfRange));
    }

    [Fact]
    public async Task A_server_without_ranges_gives_the_whole_file()
    {
        await using var server = await StartAsync(
            (context, request) =>
            {
                if (request == 1)
                    Cut(context, 2_000_000);
                context.Response.ContentLength = File.Content.Length;
                return context.Response.Body.WriteAsync(File.Content, context.RequestAborted).AsTask();
            }
        );
        await FetchAsync(server, streams: 4);
        Assert.Equal(2, _asked.Count);
    }

    [Fact]
    public async Task A_file_that_changes_between_ranges_is_begun_anew()
    {
        var old = new ServedFile(2, 3_000_000);
        await using var server = await StartAsync((context, request) => (request <= 4 ? old : File).SendAsync(context));
        await FetchAsync(server, streams: 2, rangeBytes: 500_000);
        Assert.Contains(_asked.Skip(4), asked => asked.IfRange == $"\"{old.Sha256}\"");
    }

    [Fact]
    public async Task Ranges_of_which_one_is_corrupt_are_dropped_and_the_file_is_fetched_once_more_as_a_whole()
    {
        await using var server = await StartAsync(
            (context, request) =>
            {
                if (request == 3)
                    Corrupt(context, 1000);
                return File.SendAsync(context);
            }
        );
        await FetchAsync(server, streams: 2, rangeBytes: 500_000);
        Assert.Null(_asked.Last().Range);
    }

    [Fact]
    public async Task A_redirect_that_expires_is_asked_for_again()
    {
        var signature = 1;
        await using var store = await StartAsync(
            (context, request) =>
            {
                if (request == 3)
                    signature = 2;
                if (context.Request.Query["signature"] == $"{signature}")
                    return File.SendAsync(context);
                context.Response.StatusCode = 403;
                return Task.CompletedTask;
            }
        );
        await using var hub = await LoopbackServer.StartAsync(context =>
        {
            context.Response.Redirect(store.At($"/blob?signature={signature}").AbsoluteUri);
            return Task.CompletedTask;
        });
        await FetchAsync(hub, streams: 2, rangeBytes: 500_000);
        Assert.Equal(2, hub.Requests.Count);
    }

    [Theory]
    [InlineData(408)]
    [InlineData(429)]
    [InlineData(500)]
    [InlineData(503)]
    public async Task A_passing_error_is_waited_out(int status)
    {
        await using var server = await StartAsync(
            (context, request) =>
            {
                if (request > 3)
                    return File.SendAsync(context);
                context.Response.StatusCode = status;
                return Task.CompletedTask;
            }
        );
        await FetchAsync(server);
        Assert.Equal(4, _asked.Count);
    }

    [Theory]
    [InlineData(400)]
    [InlineData(404)]
    [InlineData(410)]
    public async Task A_lasting_error_is_not_asked_for_again(int status)
    {
        await using var server = await StartAsync(
            (context, _) =>
            {
                context.Response.StatusCode = status;
                return Task.CompletedTask;
            }
        );
        Assert.Contains($"{status}", (await Assert.ThrowsAsync<PipelineException>(() => FetchAsync(server))).Message);
        Assert.Single(_asked);
    }

    [Fact]
    public async Task Retry_after_is_honoured_but_not_if_it_is_too_long()
    {
        var pause = "1";
        await using var server = await StartAsync(
            (context, request) =>
            {
                if (request > 1 && pause == "1")
                    return File.SendAsync(context);
                context.Response.Headers.RetryAfter = pause;
                context.Response.StatusCode = 429;
                return Task.CompletedTask;
            }
        );
        var watch = Stopwatch.StartNew();
        await FetchAsync(server);
        Assert.True(watch.Elapsed > TimeSpan.FromSeconds(0.95), $"{watch.Elapsed}");

        pause = "3600";
        Directory.Delete(_cache.File("sha256"), recursive: true);
        Assert.Contains(
            "answers 429 and wants a pause of 60 minutes",
            (await Assert.ThrowsAsync<PipelineException>(() => FetchAsync(server))).Message
        );
    }

    [Fact]
    public async Task A_server_that_always_cuts_before_the_end_is_given_up_by_name()
    {
        await using var server = await StartAsync(
            (context, _) =>
            {
                Cut(context, 1000);
                return File.SendAsync(context);
            }
        );
        Assert.Contains("of 3000000 bytes; try again", (await Assert.ThrowsAsync<PipelineException>(() => FetchAsync(server))).Message);
        Assert.Equal(4, _asked.Count);
    }

    [Fact]
    public async Task An_empty_file_and_one_of_exactly_a_range_come_whole()
    {
        foreach (var bytes in new[] { 0, 1, 65_535, 65_536, 65_537, 131_072 })
        {
            var file = new ServedFile(3, bytes);
            await using var server = await StartAsync((context, _) => file.SendAsync(context));
            using var fetcher = new SourceFetcher(Settings(4, 65_536));
            Assert.Equal(
                bytes,
                (await fetcher.FetchAsync(file.At(server.At("/f")), cancellation: TestContext.Current.CancellationToken)).Bytes
            );
        }
    }

    [Fact]
    public async Task A_whole_partial_file_that_was_never_named_needs_no_more_bytes()
    {
        Directory.CreateDirectory(_cache.File("partial"));
        _cache.Write($"partial/sha256-{File.Sha256}", File.Content);
        var sent = 0L;
        await using var server = await StartAsync(
            (context, _) =>
            {
                context.Response.Body = new BodyStream(
                    context.Response.Body,
                    (_, bytes, body, token) =>
                    {
                        sent += bytes.Length;
                        return body.WriteAsync(bytes, token).AsTask();
                    }
                );
                return File.SendAsync(context);
            }
        );
        await FetchAsync(server);
        Assert.Equal(0, sent);
    }

    [Fact]
    public async Task Progress_counts_every_byte_once()
    {
        await using var server = await StartAsync(
            (context, request) =>
            {
                if (request % 3 == 2)
                    Cut(context, 40_000);
                return File.SendAsync(context);
            }
        );
        var told = new List<long>();
        await FetchAsync(server, streams: 3, rangeBytes: 100_000, progress: new ProgressOf(told.Add));
        Assert.Equal(told.Order(), told);
        Assert.Equal(File.Content.Length, told[^1]);
    }

    private Task<LoopbackServer> StartAsync(Func<HttpContext, int, Task> answer)
    {
        var requests = 0;
        return LoopbackServer.StartAsync(context =>
        {
            _asked.Enqueue(((string?)context.Request.Headers.Range, (string?)context.Request.Headers.IfRange));
            return answer(context, Interlocked.Increment(ref requests));
        });
    }

    /// <summary>Ends the body, and with it the connection, before its announced length. A reset would take back what the client has not
    /// read yet.</summary>
    private static void Cut(HttpContext context, long after) =>
        context.Response.Body = new BodyStream(
            context.Response.Body,
            (sent, bytes, body, token) => body.WriteAsync(bytes[..(int)Math.Clamp(after - sent, 0, bytes.Length)], token).AsTask()
        );

    private static void Corrupt(HttpContext context, long at) =>
        context.Response.Body = new BodyStream(
            context.Response.Body,
            (sent, bytes, body, token) =>
            {
                var altered = bytes.ToArray();
                if (at >= sent && at < sent + altered.Length)
                    altered[at - sent] ^= 1;
                return body.WriteAsync(altered, token).AsTask();
            }
        );

    private SourceSettings Settings(int streams, int rangeBytes) =>
        new()
        {
            Cache = _cache.Path,
            Streams = streams,
            RangeBytes = rangeBytes,
            Retries = 3,
            RetryDelay = TimeSpan.FromMilliseconds(1),
        };

    private async Task FetchAsync(
        LoopbackServer server,
        int streams = 1,
        int rangeBytes = 4 << 20,
        IProgress<StageProgress>? progress = null,
        CancellationToken? cancellation = null
    )
    {
        using var fetcher = new SourceFetcher(Settings(streams, rangeBytes));
        var fetched = await fetcher.FetchAsync(
            File.At(server.At("/model.onnx")),
            progress,
            cancellation ?? TestContext.Current.CancellationToken
        );
        Assert.Equal(File.Content, System.IO.File.ReadAllBytes(fetched.Path));
        Assert.All(Directory.EnumerateFiles(_cache.File("partial")), path => Assert.EndsWith(".lock", path));
    }

    private sealed class ProgressOf(Action<long> told) : IProgress<StageProgress>
    {
        public void Report(StageProgress value) => told(value.Done);
    }
}
