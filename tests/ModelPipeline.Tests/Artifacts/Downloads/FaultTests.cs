using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Http;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;

namespace ModelPipeline.Tests.Artifacts.Downloads;

/// <summary>A server that fails in every way a server can, seeded.</summary>
public sealed class FaultTests : IDisposable
{
    private const int Downloads = 100;
    private const int Faults = 200;
    private const int AtOnce = 4;

    private readonly TemporaryFolder _cache = new();
    private readonly CancellationToken _cancellation = TestContext.Current.CancellationToken;
    private readonly ConcurrentDictionary<string, ConcurrentQueue<Fault>> _faults = new();
    private readonly ServedFile[] _files;
    private readonly SemaphoreSlim _restarting = new(1);

    /// <summary>An address that nothing else on this machine uses, so that the port is free after a restart.</summary>
    private readonly IPEndPoint _address = new(
        new IPAddress([127, 77, (byte)(Environment.ProcessId >> 8), (byte)Environment.ProcessId]),
        8077
    );
    private LoopbackServer? _server;
    private int _injected;

    public FaultTests()
    {
        var random = new Random(20_261_123);
        _files = [.. Enumerable.Range(0, Downloads).Select(i => new ServedFile(i, random.Next(1_000, 700_000)))];
        for (var i = 0; i < Faults; i++)
        {
            var fault = new Fault((FaultKind)random.Next(Enum.GetValues<FaultKind>().Length), random.NextDouble(), random.Next(4));
            _faults.GetOrAdd($"/{random.Next(Downloads)}", _ => new()).Enqueue(fault);
        }
    }

    private enum FaultKind
    {
        Cut,
        Stall,
        Status,
        CorruptByte,
        ShortBody,
        Restart,
    }

    /// <param name="Kind">What goes wrong.</param>
    /// <param name="At">Where in the answer's body, 0 to 1.</param>
    /// <param name="Choice">Which of several ways.</param>
    private sealed record Fault(FaultKind Kind, double At, int Choice);

    public void Dispose()
    {
        _cache.Dispose();
        _restarting.Dispose();
    }

    [Fact]
    public async Task Of_a_hundred_downloads_under_two_hundred_faults_each_ends_right_or_with_a_clear_error()
    {
        _server = await LoopbackServer.StartAsync(AnswerAsync, at: _address);
        var errors = await FetchAllAsync(Enumerable.Range(0, Downloads));
        var right = Downloads - errors.Count;
        TestContext.Current.TestOutputHelper!.WriteLine(
            $"{right} right, {errors.Count} errors, {_injected} faults\n{string.Join('\n', errors.Values)}"
        );
        Assert.True(right >= Downloads / 2, $"only {right} came right:\n{string.Join('\n', errors.Values)}");

        // Nothing of a failure stands in the way of the next attempt.
        for (var pass = 0; errors.Count > 0; pass++)
        {
            Assert.True(pass < 5, string.Join('\n', errors.Values));
            errors = await FetchAllAsync(errors.Keys);
        }
        Assert.Equal(Faults, _injected);
        await _server.DisposeAsync();
    }

    /// <returns>Messages of what failed, by number.</returns>
    private async Task<ConcurrentDictionary<int, string>> FetchAllAsync(IEnumerable<int> numbers)
    {
        var errors = new ConcurrentDictionary<int, string>();
        await Parallel.ForEachAsync(
            numbers,
            new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = _cancellation },
            async (number, token) =>
            {
                var file = _files[number];
                using var fetcher = new SourceFetcher(
                    new SourceSettings
                    {
                        Cache = _cache.Path,
                        Streams = 1 + number % 4,
                        RangeBytes = 100_000,
                        Retries = 5,
                        RetryDelay = TimeSpan.FromMilliseconds(10),
                        Patience = TimeSpan.FromSeconds(0.5),
                    }
                );
                try
                {
                    var fetched = await fetcher.FetchAsync(file.At(new Uri($"http://{_address}/{number}")), cancellation: token);
                    Assert.Equal(file.Content, await File.ReadAllBytesAsync(fetched.Path, token));
                }
                catch (PipelineException e)
                {
                    Assert.Matches(
                        $"^http://{_address}/{number}: (sha256 is |nothing came for |the server answers |the body ended after |the range "
                            + $"from |the server begins anew |cannot connect |the transfer failed )",
                        e.Message
                    );
                    errors[number] = e.Message;
                    Assert.False(Directory.Exists(_cache.File($"sha256/{file.Sha256}")));
                }
            }
        );
        return errors;
    }

    private async Task AnswerAsync(HttpContext context)
    {
        var path = context.Request.Path.Value!;
        var file = _files[int.Parse(path[1..])];
        if (!_faults.TryGetValue(path, out var faults) || !faults.TryDequeue(out var fault))
        {
            await file.SendAsync(context);
            return;
        }
        Interlocked.Increment(ref _injected);
        switch (fault.Kind)
        {
            case FaultKind.Status:
                context.Response.StatusCode = new[] { 408, 429, 500, 503 }[fault.Choice];
                break;
            case FaultKind.ShortBody:
                context.Response.ContentLength = (long)(fault.At * file.Content.Length);
                await context.Response.Body.WriteAsync(
                    file.Content.AsMemory(0, (int)context.Response.ContentLength),
                    context.RequestAborted
                );
                break;
            default:
                context.Response.Body = new BodyStream(
                    context.Response.Body,
                    async (sent, bytes, inner, token) =>
                    {
                        var at = (long)(fault.At * (context.Response.ContentLength ?? 0));
                        if (at < sent || at >= sent + bytes.Length)
                        {
                            await inner.WriteAsync(bytes, token);
                            return;
                        }
                        if (fault.Kind == FaultKind.CorruptByte)
                        {
                            var altered = bytes.ToArray();
                            altered[at - sent] ^= (byte)(1 << fault.Choice);
                            await inner.WriteAsync(altered, token);
                            return;
                        }
                        await inner.WriteAsync(bytes[..(int)(at - sent)], token);
                        await inner.FlushAsync(token);
                        if (fault.Kind == FaultKind.Stall)
                            await Task.Delay(Timeout.Infinite, context.RequestAborted);
                        if (fault.Kind == FaultKind.Restart)
                            _ = Task.Run(RestartAsync, _cancellation);
                        context.Abort();
                        throw new OperationCanceledException();
                    }
                );
                await file.SendAsync(context);
                break;
        }
    }

    private async Task RestartAsync()
    {
        await _restarting.WaitAsync(_cancellation);
        try
        {
            var before = _server!;
            await before.StopAsync();
            _server = await LoopbackServer.StartAsync(AnswerAsync, at: _address);
            await before.DisposeAsync();
        }
        finally
        {
            _restarting.Release();
        }
    }
}
