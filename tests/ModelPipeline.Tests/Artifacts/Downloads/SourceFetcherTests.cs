using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Http;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;

namespace ModelPipeline.Tests.Artifacts.Downloads;

public sealed class SourceFetcherTests : IDisposable
{
    private static readonly byte[] Content = [.. Enumerable.Range(0, 3_000_000).Select(i => (byte)(i * 31 >> 3))];
    private static readonly string Sha256 = Convert.ToHexStringLower(SHA256.HashData(Content));

    private readonly TemporaryFolder _cache = new();

    public void Dispose() => _cache.Dispose();

    [Fact]
    public async Task A_local_file_is_verified_where_it_is()
    {
        var path = _cache.Write("model.onnx", Content);
        Assert.Equal(
            new FetchedFile(path, Sha256, Content.Length),
            await FetchAsync(new SourceSpec { File = path, Sha256 = Sha256.ToUpperInvariant() })
        );

        var corrupt = Content.ToArray();
        corrupt[1_234_567] ^= 1;
        _cache.Write("model.onnx", corrupt);
        var error = await FailsAsync(new SourceSpec { File = path, Sha256 = Sha256 });
        Assert.Contains(
            $"{path}: sha256 is {Convert.ToHexStringLower(SHA256.HashData(corrupt))}, but {Sha256} is declared; restore the file",
            error
        );
    }

    [Fact]
    public async Task A_local_file_that_is_missing_or_too_long_is_named()
    {
        Assert.Contains("none.onnx: cannot be read", await FailsAsync(new SourceSpec { File = _cache.File("none.onnx"), Sha256 = Sha256 }));
        var path = _cache.Write("model.onnx", Content);
        Assert.Contains(
            "model.onnx: 3000000 bytes, longer than the 1000 allowed",
            await FailsAsync(
                new SourceSpec
                {
                    File = path,
                    Sha256 = Sha256,
                    MaxBytes = 1000,
                }
            )
        );
    }

    [Fact]
    public async Task A_download_is_cached_by_its_hash_and_then_needs_no_network()
    {
        SourceSpec source;
        await using (var server = await LoopbackServer.StartAsync(context => SendAsync(context, Content)))
        {
            source = new SourceSpec { Url = server.At("/models/model.onnx?signature=1"), Sha256 = Sha256 };
            var progress = new Recorder();
            var fetched = await FetchAsync(source, progress: progress);
            Assert.Equal(Path.Combine(_cache.Path, "sha256", Sha256, "model.onnx"), fetched.Path);
            Assert.Equal(Content, File.ReadAllBytes(fetched.Path));
            Assert.Equal(new StageProgress("Fetching model.onnx", Content.Length, Content.Length), progress.Last);
            Assert.Single(server.Requests);
        }
        Assert.Equal(Content.Length, (await FetchAsync(source)).Bytes);
        Assert.Single(Files());
    }

    [Fact]
    public async Task A_damaged_cache_entry_is_downloaded_again()
    {
        await using var server = await LoopbackServer.StartAsync(context => SendAsync(context, Content));
        var source = new SourceSpec { Url = server.At("/model.onnx"), Sha256 = Sha256 };
        var path = (await FetchAsync(source)).Path;
        File.WriteAllBytes(path, Content[..^1]);
        Assert.Equal(Content, File.ReadAllBytes((await FetchAsync(source)).Path));
        Assert.Equal(2, server.Requests.Count);
    }

    [Fact]
    public async Task Content_of_another_hash_is_refused_and_not_kept()
    {
        await using var server = await LoopbackServer.StartAsync(context => SendAsync(context, Content[1..]));
        var error = await FailsAsync(new SourceSpec { Url = server.At("/model.onnx?secret=1"), Sha256 = Sha256 });
        Assert.Contains(
            $"/model.onnx: sha256 is {Convert.ToHexStringLower(SHA256.HashData(Content[1..]))}, but {Sha256} is expected",
            error
        );
        Assert.DoesNotContain("secret", error);
        Assert.Empty(Files());
    }

    [Fact]
    public async Task A_body_shorter_than_its_length_is_refused()
    {
        await using var server = await LoopbackServer.StartAsync(async context =>
        {
            context.Response.ContentLength = Content.Length;
            // Kestrel closes the connection of an answer that falls short.
            await context.Response.Body.WriteAsync(Content.AsMemory(0, 1000));
        });
        Assert.Contains(
            "the body ended after 1000 of 3000000 bytes; try again",
            await FailsAsync(new SourceSpec { Url = server.At("/m"), Sha256 = Sha256 })
        );
        Assert.Empty(Files());
    }

    [Fact]
    public async Task A_connection_reset_in_the_middle_of_a_body_is_refused()
    {
        var received = new TaskCompletionSource();
        await using var server = await LoopbackServer.StartAsync(async context =>
        {
            await context.Response.Body.WriteAsync(Content.AsMemory(0, 1000));
            await context.Response.Body.FlushAsync();
            await received.Task;
            context.Abort();
        });
        var error = await FailsAsync(
            new SourceSpec { Url = server.At("/m"), Sha256 = Sha256 },
            new Recorder(received.SetResult),
            retries: 0
        );
        Assert.Contains("the body ended after 1000 of an unknown number of bytes; try again", error);
        Assert.Empty(Files());
    }

    [Fact]
    public async Task An_endless_body_is_cut_at_the_limit()
    {
        var hungUp = new TaskCompletionSource();
        await using var server = await LoopbackServer.StartAsync(async context =>
        {
            context.RequestAborted.Register(hungUp.SetResult);
            while (!context.RequestAborted.IsCancellationRequested)
                await context.Response.Body.WriteAsync(Content.AsMemory(0, 1 << 16), context.RequestAborted);
        });
        var progress = new Recorder();
        Assert.Contains(
            "longer than the 1000000 bytes allowed",
            await FailsAsync(
                new SourceSpec
                {
                    Url = server.At("/m"),
                    Sha256 = Sha256,
                    MaxBytes = 1_000_000,
                },
                progress
            )
        );
        // What the server counts as sent races with the client; what the client took, and that it hung up, does not.
        Assert.InRange(progress.Last!.Value.Done, 1, 1_000_000);
        await hungUp.Task.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        Assert.Empty(Files());
    }

    [Fact]
    public async Task A_declared_length_over_the_limit_is_refused_before_the_body()
    {
        await using var server = await LoopbackServer.StartAsync(context => SendAsync(context, Content));
        var progress = new Recorder();
        Assert.Contains(
            "longer than the 999 bytes allowed",
            await FailsAsync(
                new SourceSpec
                {
                    Url = server.At("/m"),
                    Sha256 = Sha256,
                    MaxBytes = 999,
                },
                progress: progress
            )
        );
        Assert.Null(progress.Last);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_text_over_the_limit_is_asked_for_once(bool tellsLength)
    {
        await using var server = await LoopbackServer.StartAsync(context =>
            tellsLength ? SendAsync(context, Content) : context.Response.Body.WriteAsync(Content, context.RequestAborted).AsTask()
        );
        using var fetcher = new SourceFetcher(Settings(retries: 3));
        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            fetcher.ReadAsync(server.At("/m"), 999, TestContext.Current.CancellationToken)
        );
        Assert.Contains("longer than ", error.Message);
        Assert.Single(server.Requests);
    }

    [Fact]
    public async Task User_info_of_a_url_is_not_shown()
    {
        await using var hub = await LoopbackServer.StartAsync(_ => Task.CompletedTask);
        Uri Secret(Uri plain) => new UriBuilder(plain) { UserName = "user", Password = "secret" }.Uri;
        var hugging = new SourceSpec { HuggingFace = new("org/model", "main", "model.onnx") };
        var noHub = await FailsAsync(hugging, Settings() with { Hub = Secret(hub.Address) });
        Assert.Contains("is not a Hugging Face hub's", noHub);
        var offline = await FailsAsync(hugging, Settings() with { Hub = Secret(hub.Address), Offline = true });
        Assert.Contains("is not known offline", offline);
        var scheme = await FailsAsync(new SourceSpec { Url = Secret(new("ftp://host/model.onnx")), Sha256 = Sha256 }, Settings());
        Assert.Contains("neither http nor https", scheme);
        Assert.All([noHub, offline, scheme], message => Assert.DoesNotContain("secret", message));

        async Task<string> FailsAsync(SourceSpec source, SourceSettings settings)
        {
            using var fetcher = new SourceFetcher(settings);
            return (
                await Assert.ThrowsAsync<PipelineException>(() =>
                    fetcher.FetchAsync(source, cancellation: TestContext.Current.CancellationToken)
                )
            ).Message;
        }
    }

    [Fact]
    public async Task A_server_that_stalls_is_given_up()
    {
        await using var server = await LoopbackServer.StartAsync(async context =>
        {
            context.Response.ContentLength = Content.Length;
            await context.Response.Body.WriteAsync(Content.AsMemory(0, 1000));
            await context.Response.Body.FlushAsync();
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
        });
        Assert.Contains(
            "nothing came for 0.3 s",
            await FailsAsync(new SourceSpec { Url = server.At("/m"), Sha256 = Sha256 }, patience: TimeSpan.FromSeconds(0.3))
        );
        Assert.Empty(Files());
    }

    [Fact]
    public async Task Cancelling_ends_at_once_and_leaves_no_file()
    {
        using var cancellation = new CancellationTokenSource();
        await using var server = await LoopbackServer.StartAsync(async context =>
        {
            await context.Response.Body.WriteAsync(Content);
            await context.Response.Body.FlushAsync();
            cancellation.Cancel();
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
        });
        using var fetcher = new SourceFetcher(Settings());
        var source = new SourceSpec { Url = server.At("/m"), Sha256 = Sha256 };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            fetcher.FetchAsync(source, null, cancellation.Token).WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken)
        );
        Assert.Empty(Files());
    }

    [Theory]
    [InlineData(404, "404, there is no such file")]
    [InlineData(403, "403, access is refused; for a gated or private Hugging Face file set HF_TOKEN")]
    [InlineData(500, "the server answers 500")]
    [InlineData(304, "the server answers 304")]
    public async Task An_error_status_is_said_in_words(int status, string expected)
    {
        await using var server = await LoopbackServer.StartAsync(context =>
        {
            context.Response.StatusCode = status;
            return Task.CompletedTask;
        });
        Assert.Contains(expected, await FailsAsync(new SourceSpec { Url = server.At("/m"), Sha256 = Sha256 }));
        Assert.Empty(Files());
    }

    [Fact]
    public async Task Redirects_are_followed_up_to_ten()
    {
        await using var server = await LoopbackServer.StartAsync(context =>
        {
            var left = int.Parse(context.Request.Path.Value![1..]);
            if (left == 0)
                return SendAsync(context, Content);
            context.Response.Redirect($"/{left - 1}", permanent: left % 2 == 0, preserveMethod: left % 3 == 0);
            return Task.CompletedTask;
        });
        Assert.Equal(Sha256, (await FetchAsync(new SourceSpec { Url = server.At("/10"), Sha256 = Sha256 })).Sha256);
        Assert.Contains("more than 10 redirects", await FailsAsync(new SourceSpec { Url = server.At("/11"), Sha256 = Sha256 }));
    }

    [Fact]
    public async Task A_redirect_to_a_file_is_refused()
    {
        await using var server = await LoopbackServer.StartAsync(context =>
        {
            context.Response.Redirect("file:///etc/passwd");
            return Task.CompletedTask;
        });
        Assert.Contains("neither http nor https", await FailsAsync(new SourceSpec { Url = server.At("/m"), Sha256 = Sha256 }));
    }

    [Fact]
    public void A_redirect_may_not_leave_https()
    {
        HttpSource.CheckRedirect(new Uri("http://a/x"), new Uri("https://b/x"));
        HttpSource.CheckRedirect(new Uri("https://a/x"), new Uri("https://b/x"));
        var error = Assert.Throws<PipelineException>(() => HttpSource.CheckRedirect(new Uri("https://a/x?k=1"), new Uri("http://b/x")));
        Assert.StartsWith("https://a/x: redirects from https to http://b/x, which is refused", error.Message);
    }

    [Fact]
    public async Task An_untrusted_certificate_and_a_closed_port_are_explained()
    {
        using var key = RSA.Create(2048);
        using var certificate = new CertificateRequest(
            "CN=localhost",
            key,
            HashAlgorithmName.SHA256,
            RSASignaturePadding.Pkcs1
        ).CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        await using var server = await LoopbackServer.StartAsync(context => SendAsync(context, Content), certificate);
        Assert.Contains("no secure connection to 127.0.0.1", await FailsAsync(new SourceSpec { Url = server.At("/m"), Sha256 = Sha256 }));

        // A port that is taken and not listened to: nobody else can come to listen there.
        using var taken = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var port = ((IPEndPoint)taken.LocalEndPoint!).Port;
        Assert.Contains(
            $"cannot connect to 127.0.0.1:{port}",
            await FailsAsync(new SourceSpec { Url = new Uri($"http://127.0.0.1:{port}/m"), Sha256 = Sha256 })
        );
    }

    [Fact]
    public void An_unknown_host_and_a_refusing_proxy_are_explained()
    {
        using var http = new HttpSource(Settings());
        var uri = new Uri("https://hub.example/m");
        Assert.Contains(
            "no address is known for hub.example",
            http.Explain(uri, new HttpRequestException(HttpRequestError.NameResolutionError))
        );
        Assert.Contains("check HTTPS_PROXY", http.Explain(uri, new HttpRequestException(HttpRequestError.ProxyTunnelError)));
    }

    [Fact]
    public async Task Names_from_a_url_cannot_leave_the_cache()
    {
        await using var server = await LoopbackServer.StartAsync(context => SendAsync(context, Content));
        foreach (var path in new[] { "/a/..%2f..%2fescape", "/", "/.hidden", "/%2e%2e%2f", "/naïve name" })
            Assert.StartsWith(
                Path.Combine(_cache.Path, "sha256", Sha256) + "/",
                Path.GetFullPath((await FetchAsync(new SourceSpec { Url = server.At(path), Sha256 = Sha256 })).Path)
            );
    }

    [Theory]
    [InlineData(null, null, ".cache/modelpipeline")]
    [InlineData("/xdg", null, "/xdg/modelpipeline")]
    [InlineData("/xdg", "/mine", "/mine")]
    public void The_environment_says_where_the_cache_is(string? xdg, string? own, string expected)
    {
        var settings = SourceSettings.FromEnvironment(name =>
            name switch
            {
                "XDG_CACHE_HOME" => xdg,
                "MODELPIPELINE_CACHE" => own,
                _ => null,
            }
        );
        Assert.EndsWith(expected, settings.Cache);
    }

    [Fact]
    public void A_hub_endpoint_that_is_no_url_is_refused()
    {
        var error = Assert.Throws<PipelineException>(() =>
            SourceSettings.FromEnvironment(name => name == "HF_ENDPOINT" ? "huggingface.co" : null)
        );
        Assert.Contains("HF_ENDPOINT: 'huggingface.co'", error.Message);
    }

    private IEnumerable<string> Files() =>
        Directory.Exists(_cache.File("sha256")) ? Directory.EnumerateFiles(_cache.File("sha256"), "*", SearchOption.AllDirectories) : [];

    private SourceSettings Settings(TimeSpan? patience = null, int retries = 1) =>
        new()
        {
            Cache = _cache.Path,
            Hub = new Uri("http://127.0.0.1:9"),
            Patience = patience ?? TimeSpan.FromSeconds(60),
            Retries = retries,
            RetryDelay = TimeSpan.FromMilliseconds(1),
        };

    private async Task<FetchedFile> FetchAsync(
        SourceSpec source,
        IProgress<StageProgress>? progress = null,
        TimeSpan? patience = null,
        int retries = 1
    )
    {
        using var fetcher = new SourceFetcher(Settings(patience, retries));
        return await fetcher.FetchAsync(source, progress, TestContext.Current.CancellationToken);
    }

    private async Task<string> FailsAsync(
        SourceSpec source,
        IProgress<StageProgress>? progress = null,
        TimeSpan? patience = null,
        int retries = 1
    ) => (await Assert.ThrowsAsync<PipelineException>(() => FetchAsync(source, progress, patience, retries))).Message;

    private static async Task SendAsync(HttpContext context, byte[] content)
    {
        context.Response.ContentLength = content.Length;
        await context.Response.Body.WriteAsync(content, context.RequestAborted);
    }

    private sealed class Recorder(Action? atFirst = null) : IProgress<StageProgress>
    {
        public StageProgress? Last { get; private set; }

        public void Report(StageProgress value)
        {
            if (Last is null)
                atFirst?.Invoke();
            Last = value;
        }
    }
}
