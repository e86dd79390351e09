using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;

namespace ModelPipeline.Tests.Artifacts.Downloads;

/// <summary>Against a server that answers as the hub does: HEAD with X- headers, LFS files redirected to a store of another
/// origin.</summary>
public sealed class HuggingFaceTests : IDisposable
{
    private const string Commit = "0123456789abcdef0123456789abcdef01234567";
    private static readonly byte[] Model = RandomNumberGenerator.GetBytes(200_000);

    /// <summary>As <c>printf 'hello\n' | git hash-object --stdin</c> prints it.</summary>
    private const string VocabularyTag = "\"ce013625030ba8dba906f756967f9e9ca394464a\"";
    private static readonly byte[] Vocabulary = Encoding.UTF8.GetBytes("hello\n");

    private readonly TemporaryFolder _cache = new();

    public void Dispose() => _cache.Dispose();

    [Fact]
    public async Task An_lfs_file_is_checked_by_the_hubs_sha256_and_the_token_stays_with_the_hub()
    {
        await using var store = await LoopbackServer.StartAsync(context => SendAsync(context, Model));
        await using var hub = await StartHubAsync(store.At("/blob?X-Amz-Signature=1"));

        var fetched = await FetchAsync(hub, new("org/model", "main", "onnx/model.onnx"), token: "hf_secret");

        Assert.Equal(Model, File.ReadAllBytes(fetched.Path));
        Assert.Equal(Path.Combine(_cache.Path, "sha256", Convert.ToHexStringLower(SHA256.HashData(Model)), "model.onnx"), fetched.Path);
        Assert.Equal(Commit, fetched.Commit);
        Assert.Equal(
            [
                ("HEAD", "/org/model/resolve/main/onnx/model.onnx", "Bearer hf_secret"),
                ("GET", $"/org/model/resolve/{Commit}/onnx/model.onnx", "Bearer hf_secret"),
            ],
            hub.Requests
        );
        Assert.Equal([("GET", "/blob", null)], store.Requests);
    }

    [Fact]
    public async Task A_small_file_is_checked_by_gits_own_digest()
    {
        await using var hub = await StartHubAsync();
        var fetched = await FetchAsync(hub, new("org/model", "main", "vocab.txt"));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(Vocabulary)), fetched.Sha256);
        Assert.Equal(Path.Combine(_cache.Path, "sha256", fetched.Sha256, "vocab.txt"), fetched.Path);
        Assert.Equal(Vocabulary, File.ReadAllBytes(fetched.Path));
        Assert.Equal(["HEAD", "GET"], hub.Requests.Select(request => request.Method));
    }

    [Fact]
    public async Task A_small_file_of_another_git_digest_is_refused()
    {
        await using var hub = await LoopbackServer.StartAsync(context =>
        {
            context.Response.Headers["X-Repo-Commit"] = Commit;
            context.Response.Headers.ETag = VocabularyTag;
            return SendAsync(context, "Hello\n"u8.ToArray());
        });
        Assert.Contains(
            "git-sha1 is e965047ad7c57865823c7d992b1d046ea66edf78, but ce013625030ba8dba906f756967f9e9ca394464a is expected (6 bytes came)",
            await FailsAsync(hub, new("org/model", "main", "vocab.txt"))
        );
    }

    [Fact]
    public async Task A_renamed_repository_is_followed_within_the_hub()
    {
        await using var hub = await StartHubAsync();
        Assert.Equal(Vocabulary.Length, (await FetchAsync(hub, new("old/model", "main", "vocab.txt"), token: "t")).Bytes);
        Assert.All(hub.Requests, request => Assert.Equal("Bearer t", request.Authorization));
    }

    [Fact]
    public async Task A_store_with_other_bytes_is_refused_and_nothing_is_kept()
    {
        await using var store = await LoopbackServer.StartAsync(context => SendAsync(context, new byte[Model.Length]));
        await using var hub = await StartHubAsync(store.At("/blob"));
        Assert.Contains(
            $"but {Convert.ToHexStringLower(SHA256.HashData(Model))} is expected",
            await FailsAsync(hub, new("org/model", "main", "onnx/model.onnx"))
        );
        // But for the empty file that processes lock.
        Assert.Equal([".lock"], Directory.EnumerateFiles(_cache.Path, "*", SearchOption.AllDirectories).Select(Path.GetExtension));
    }

    [Fact]
    public async Task A_store_with_another_length_is_refused_before_the_body()
    {
        await using var store = await LoopbackServer.StartAsync(context => SendAsync(context, Model[1..]));
        await using var hub = await StartHubAsync(store.At("/blob"));
        Assert.Contains(
            "offers 199999 bytes where 200000 are expected",
            await FailsAsync(hub, new("org/model", "main", "onnx/model.onnx"))
        );
    }

    [Fact]
    public async Task A_declared_sha256_is_held_against_the_hub_and_found_in_the_cache_without_it()
    {
        await using var hub = await StartHubAsync();
        var sha256 = Convert.ToHexStringLower(SHA256.HashData(Model));
        Directory.CreateDirectory(_cache.File($"sha256/{sha256}"));
        _cache.Write($"sha256/{sha256}/model.onnx", Model);
        Assert.Equal(Model.Length, (await FetchAsync(hub, new("org/model", "main", "onnx/model.onnx"), sha256: sha256)).Bytes);
        Assert.Empty(hub.Requests);

        var error = await FailsAsync(hub, new("org/model", "main", "vocab.txt"), sha256: sha256);
        Assert.Contains($"sha256 is {Convert.ToHexStringLower(SHA256.HashData(Vocabulary))}, but {sha256} is declared", error);
    }

    [Theory]
    [InlineData("nowhere.txt", "404, there is no such file")]
    [InlineData("gated.bin", "401, access is refused; for a gated or private Hugging Face file set HF_TOKEN")]
    [InlineData("no-commit.txt", "X-Repo-Commit is missing; check HF_ENDPOINT")]
    [InlineData("odd-tag.txt", "is no digest; check HF_ENDPOINT")]
    public async Task What_the_hub_refuses_or_is_not_is_said_without_the_token(string file, string expected)
    {
        await using var hub = await StartHubAsync();
        var error = await FailsAsync(hub, new("org/model", "main", file), token: "hf_secret");
        Assert.Contains(expected, error);
        Assert.DoesNotContain("hf_secret", error);
    }

    private static Task<LoopbackServer> StartHubAsync(Uri? store = null) =>
        LoopbackServer.StartAsync(async context =>
        {
            var (request, response) = (context.Request, context.Response);
            var path = request.Path.Value!;
            if (path.StartsWith("/old/", StringComparison.Ordinal))
            {
                response.Redirect("/org/" + path["/old/".Length..], permanent: false, preserveMethod: true);
                return;
            }
            var file = path.Split('/')[5];
            if (file != "no-commit.txt")
                response.Headers["X-Repo-Commit"] = Commit;
            switch (file)
            {
                case "onnx":
                    response.Headers["X-Linked-Etag"] = $"\"{Convert.ToHexStringLower(SHA256.HashData(Model))}\"";
                    response.Headers["X-Linked-Size"] = "200000";
                    response.Headers.ETag = "\"an-etag-of-the-redirect\"";
                    response.Redirect(store!.AbsoluteUri);
                    break;
                case "vocab.txt" or "no-commit.txt":
                    response.Headers.ETag = "W/" + VocabularyTag;
                    await SendAsync(context, Vocabulary);
                    break;
                case "odd-tag.txt":
                    response.Headers.ETag = "\"v1\"";
                    break;
                default:
                    response.StatusCode = file == "gated.bin" ? 401 : 404;
                    break;
            }
        });

    private async Task<FetchedFile> FetchAsync(LoopbackServer hub, HuggingFaceSource source, string? token = null, string? sha256 = null)
    {
        using var fetcher = new SourceFetcher(
            new SourceSettings
            {
                Cache = _cache.Path,
                Hub = hub.Address,
                HubToken = token,
            }
        );
        var fetched = await fetcher.FetchAsync(
            new SourceSpec { HuggingFace = source, Sha256 = sha256 },
            cancellation: TestContext.Current.CancellationToken
        );
        return fetched;
    }

    private async Task<string> FailsAsync(LoopbackServer hub, HuggingFaceSource source, string? token = null, string? sha256 = null) =>
        (await Assert.ThrowsAsync<PipelineException>(() => FetchAsync(hub, source, token, sha256))).Message;

    private static async Task SendAsync(HttpContext context, byte[] content)
    {
        context.Response.ContentLength = content.Length;
        if (HttpMethods.IsGet(context.Request.Method))
            await context.Response.Body.WriteAsync(content, context.RequestAborted);
    }
}
