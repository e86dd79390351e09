using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using ModelPipeline.Core;
using ModelPipeline.Tests.Artifacts.Downloads;
using ModelPipeline.Tests.EndToEnd;

namespace ModelPipeline.Tests.Sources;

/// <summary>Downloads of the build host, a process that can be killed and that has an environment.</summary>
public sealed class HostDownloadTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_process_killed_at_any_byte_leaves_no_wrong_file_and_the_next_goes_on()
    {
        var file = new ServedFile(1, 24_000_000);
        var random = new Random(77);
        var (limit, sent, answering) = (0L, 0L, 0);
        var reached = new TaskCompletionSource();
        await using var server = await LoopbackServer.StartAsync(async context =>
        {
            Interlocked.Increment(ref answering);
            context.Response.Body = new BodyStream(
                context.Response.Body,
                async (_, bytes, body, token) =>
                {
                    if (Interlocked.Add(ref sent, bytes.Length) > Interlocked.Read(ref limit))
                    {
                        reached.TrySetResult();
                        await Task.Delay(Timeout.Infinite, context.RequestAborted);
                    }
                    await body.WriteAsync(bytes, token);
                }
            );
            try
            {
                await file.SendAsync(context);
            }
            finally
            {
                Interlocked.Decrement(ref answering);
            }
        });
        Manifest(server.At("/model.onnx"), file.Sha256);
        var kept = 0L;
        for (var kill = 1; kill <= 4; kill++)
        {
            Interlocked.Exchange(ref limit, sent + random.Next(2_000_000, 7_000_000));
            reached = new TaskCompletionSource();
            using (Host())
            {
                await reached.Task.WaitAsync(TimeSpan.FromMinutes(2), TestContext.Current.CancellationToken);
                await Task.Delay(random.Next(100), TestContext.Current.CancellationToken);
                // What ends the process here is SIGKILL.
            }
            // Answers to the dead count until the server has noticed.
            await ProcessTable.UntilAsync(() => Volatile.Read(ref answering) == 0, () => "the server goes on answering a killed client");
            Assert.False(Directory.Exists(_folder.File("cache/sha256")));
            var partial = File.ReadAllBytes(_folder.File($"cache/partial/sha256-{file.Sha256}"));
            Assert.True(
                partial.AsSpan().SequenceEqual(file.Content.AsSpan(0, partial.Length)),
                $"kill {kill}: not a beginning of the file"
            );
            Assert.True(partial.Length >= kept, $"kill {kill}: {partial.Length} bytes after {kept}");
            kept = partial.Length;
        }
        Assert.True(kept > 0);
        Interlocked.Exchange(ref limit, long.MaxValue);
        var before = Interlocked.Read(ref sent);
        using (var host = Host())
            (await host.EndAsync()).Succeeded();
        Assert.Equal(file.Content, File.ReadAllBytes(_folder.File($"cache/sha256/{file.Sha256}/model.onnx")));
        Assert.Equal(file.Content.Length - kept, Interlocked.Read(ref sent) - before);
    }

    [Fact]
    public async Task Https_goes_through_the_proxy_of_the_environment()
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=models.test", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("models.test");
        request.CertificateExtensions.Add(names.Build());
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        var authorities = _folder.Write("authorities.pem", certificate.ExportCertificatePem());

        var file = new ServedFile(2, 300_000);
        await using var server = await LoopbackServer.StartAsync(context => file.SendAsync(context), certificate);
        using var proxy = new TcpListener(IPAddress.Loopback, 0);
        proxy.Start();
        var tunnel = TunnelAsync(proxy, server.Address.Port, TestContext.Current.CancellationToken);

        // No name server knows this host: only the proxy can reach it.
        Manifest(new Uri("https://models.test/model.onnx"), file.Sha256);
        using var host = Host(
            new()
            {
                ["HTTPS_PROXY"] = $"http://{proxy.LocalEndpoint}",
                ["NO_PROXY"] = "",
                ["SSL_CERT_FILE"] = authorities,
            }
        );
        (await host.EndAsync()).Succeeded();
        Assert.True(File.Exists(_folder.File($"cache/sha256/{file.Sha256}/model.onnx")));
        Assert.StartsWith("CONNECT models.test:443 HTTP/1.1", await tunnel);
    }

    /// <summary>Takes one CONNECT and passes all bytes on to a port here. Returns the request.</summary>
    private static async Task<string> TunnelAsync(TcpListener proxy, int port, CancellationToken cancellation)
    {
        using var client = await proxy.AcceptTcpClientAsync(cancellation);
        var (stream, request, one) = (client.GetStream(), new StringBuilder(), new byte[1]);
        while (!request.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            await stream.ReadExactlyAsync(one, cancellation);
            request.Append((char)one[0]);
        }
        using var server = new TcpClient();
        await server.ConnectAsync(IPAddress.Loopback, port, cancellation);
        await stream.WriteAsync("HTTP/1.1 200 Connection established\r\n\r\n"u8.ToArray(), cancellation);
        await Task.WhenAny(stream.CopyToAsync(server.GetStream(), cancellation), server.GetStream().CopyToAsync(stream, cancellation));
        return request.ToString();
    }

    [Fact]
    public async Task Update_locks_locked_holds_offline_needs_no_network_and_clean_deletes_downloads()
    {
        var file = new ServedFile(3, 300_000);
        await using var server = await LoopbackServer.StartAsync(context =>
        {
            context.Response.Headers["X-Repo-Commit"] = new string('a', 40);
            return file.SendAsync(context);
        });
        var hub = new Dictionary<string, string> { ["HF_ENDPOINT"] = server.Address.AbsoluteUri, ["HF_TOKEN"] = "hf_secret" };
        Manifest("huggingface: { repo: org/tiny, revision: main, file: model.onnx }");

        Assert.Contains("tiny: new, huggingface:org/tiny@main:model.onnx " + new string('a', 40), await RunAsync(hub, "Update"));
        Assert.Contains("tiny: unchanged", await RunAsync(hub, "Update"));
        server.Requests.Clear();
        await RunAsync(hub, "Fetch", "--locked", "--offline");
        Assert.Empty(server.Requests);
        Assert.Contains("0.3 MB of downloads deleted", await RunAsync(hub, "Clean", "--downloads"));

        using var host = Host(hub, "Fetch", "--offline");
        var failed = await host.EndAsync();
        Assert.Equal(1, failed.ExitCode);
        Assert.Contains("not in the cache", failed.Output + failed.Error);
        Assert.DoesNotContain("hf_secret", failed.Output + failed.Error);
    }

    private async Task<string> RunAsync(Dictionary<string, string> environment, string target, params string[] options)
    {
        using var host = Host(environment, target, options);
        var run = (await host.EndAsync()).Succeeded();
        Assert.DoesNotContain("hf_secret", run.Output + run.Error);
        return run.Output;
    }

    private void Manifest(Uri url, string sha256) => Manifest($"url: \"{url}\", sha256: {sha256}");

    private void Manifest(string source)
    {
        var vocabulary = RepositoryFiles.Sample("tiny-reranker/vocab.txt");
        _folder.Write(
            "models.yaml",
            $$"""
            corpora:
              c: { passages: p, queries: q, qrels: r, candidates: c }
            models:
              tiny:
                version: 1.0.0
                task: rerank
                source: { {{source}} }
                tokenizer: { vocab: { file: {{vocabulary}}, sha256: {{FileDigest.Of(vocabulary).Sha256}} } }
                shapes: [[1, 128]]
                calibration: { corpus: c }
                variants:
                  fp16: { backend: simulator, precision: fp16, gates: { kendall_tau: { min: 0.9 } } }

            """
        );
    }

    private HostProcess Host(Dictionary<string, string>? environment = null, string target = "Fetch", params string[] options) =>
        new(
            _folder.Path,
            [$"--target={target}", .. options],
            new Dictionary<string, string>(environment ?? []) { ["MODELPIPELINE_CACHE"] = _folder.File("cache") }
        );
}
