using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using Polly;
using Polly.Retry;

namespace ModelPipeline.Publishing;

/// <summary>The branch has moved on since it was looked at.</summary>
internal sealed class HubMovedException() : Exception("The branch has moved on since it was looked at.");

/// <summary>A file of a repository.</summary>
/// <param name="Path">In the repository.</param>
/// <param name="Size">In bytes.</param>
/// <param name="Oid">SHA-256 of what is kept by LFS, else Git's SHA-1 of the blob.</param>
internal sealed record HubEntry(string Path, long Size, string Oid);

/// <summary>
/// The hub's API for repositories, as huggingface_hub uses it (hf_api.py, _commit_api.py, lfs.py): references and trees, preupload, Git
/// LFS's batch API, and commits as lines of JSON. What passes is asked again; the token goes to the endpoint alone.
/// </summary>
/// <param name="repository">Whose.</param>
/// <param name="pause">Before a request is made again the first time.</param>
/// <param name="advice">One sentence on what to do when the hub cannot be had.</param>
/// <param name="told">Is told of every failure that passes.</param>
internal sealed class HubApi(HubRepository repository, TimeSpan pause, string advice, Action<string> told) : IDisposable
{
    private const int Attempts = 5;
    private const int SampleBytes = 512;

    /// <summary>More than any answer of the API needs.</summary>
    private const int AnswerLimit = 16 << 20;

    /// <summary>Of one request with all that it sends and receives.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromHours(1);

    private static readonly MediaTypeHeaderValue Lfs = new("application/vnd.git-lfs+json");

    private readonly HttpClient _client = new(new SocketsHttpHandler { UseCookies = false }) { Timeout = Timeout.InfiniteTimeSpan };

    private readonly ResiliencePipeline<HttpResponseMessage> _retries = new ResiliencePipelineBuilder<HttpResponseMessage>()
        .AddRetry(
            new RetryStrategyOptions<HttpResponseMessage>
            {
                MaxRetryAttempts = Attempts,
                BackoffType = DelayBackoffType.Exponential,
                UseJitter = true,
                Delay = pause,
                ShouldHandle = attempt =>
                    ValueTask.FromResult(
                        (attempt.Outcome.Exception is { } failure && IsPassing(failure))
                            || attempt.Outcome.Result
                                is { StatusCode: HttpStatusCode.TooManyRequests or >= HttpStatusCode.InternalServerError }
                    ),
                OnRetry = attempt =>
                {
                    var why = attempt.Outcome.Exception?.Message ?? $"answers {(int)attempt.Outcome.Result!.StatusCode}";
                    told($"{repository}: {why}; again.");
                    attempt.Outcome.Result?.Dispose();
                    return default;
                },
            }
        )
        .Build();

    private string Api => $"api/models/{repository.Name}";

    public void Dispose() => _client.Dispose();

    /// <summary>Commits of branches and tags, by name; null if there is no such repository.</summary>
    public async Task<(IReadOnlyDictionary<string, string> Branches, IReadOnlyDictionary<string, string> Tags)?> ReferencesAsync(
        CancellationToken cancellation
    )
    {
        var answer = await AskAsync(HttpMethod.Get, $"{Api}/refs", null, cancellation, HttpStatusCode.NotFound).ConfigureAwait(false);
        return answer is null ? null : (Named("branches"), Named("tags"));

        Dictionary<string, string> Named(string kind) =>
            (answer[kind]?.AsArray() ?? []).ToDictionary(each => (string)each!["name"]!, each => (string)each!["targetCommit"]!);
    }

    /// <summary>Files at a commit.</summary>
    public async Task<IReadOnlyList<HubEntry>> TreeAsync(string commit, CancellationToken cancellation)
    {
        var answer = await AskAsync(HttpMethod.Get, $"{Api}/tree/{commit}?recursive=true", null, cancellation).ConfigureAwait(false);
        return
        [
            .. answer!
                .AsArray()
                .Where(entry => (string?)entry!["type"] == "file")
                .Select(entry => new HubEntry(
                    (string)entry!["path"]!,
                    (long)entry["size"]!,
                    (string?)entry["lfs"]?["oid"] ?? (string)entry["oid"]!
                )),
        ];
    }

    /// <summary>A branch at another's commit; it may be there already.</summary>
    public Task BranchAsync(string branch, string commit, CancellationToken cancellation) =>
        AskAsync(
            HttpMethod.Post,
            $"{Api}/branch/{branch}",
            () => JsonContent.Create(new { startingPoint = commit }),
            cancellation,
            HttpStatusCode.Conflict
        );

    /// <summary>Names a commit for good; the tag may be there already.</summary>
    public Task TagAsync(string tag, string commit, CancellationToken cancellation) =>
        AskAsync(HttpMethod.Post, $"{Api}/tag/{commit}", () => JsonContent.Create(new { tag }), cancellation, HttpStatusCode.Conflict);

    /// <summary>Which of the files the hub wants to have by LFS.</summary>
    public async Task<IReadOnlySet<string>> LargeAsync(
        string folder,
        IReadOnlyList<ReleaseFile> files,
        string branch,
        CancellationToken cancellation
    )
    {
        var body = new
        {
            files = files.Select(file => new
            {
                path = file.Name,
                size = file.Digest.Size,
                sample = Convert.ToBase64String(Sample(Path.Combine(folder, file.Name))),
            }),
        };
        var answer = await AskAsync(HttpMethod.Post, $"{Api}/preupload/{branch}", () => JsonContent.Create(body), cancellation)
            .ConfigureAwait(false);
        return answer!["files"]!
            .AsArray()
            .Where(file => (string?)file!["uploadMode"] == "lfs")
            .Select(file => (string)file!["path"]!)
            .ToHashSet();
    }

    /// <summary>Uploads files to the hub's store, those that it does not have yet.</summary>
    public async Task UploadAsync(string folder, IReadOnlyList<ReleaseFile> files, CancellationToken cancellation)
    {
        if (files.Count == 0)
            return;
        var body = new
        {
            operation = "upload",
            transfers = new[] { "basic", "multipart" },
            hash_algo = "sha256",
            objects = files.Select(file => new { oid = file.Digest.Sha256, size = file.Digest.Size }),
        };
        var answer = await AskAsync(
                HttpMethod.Post,
                $"{repository.Name}.git/info/lfs/objects/batch",
                () => JsonContent.Create(body, Lfs),
                cancellation
            )
            .ConfigureAwait(false);
        foreach (var each in answer!["objects"]!.AsArray())
        {
            var file = files.First(file => file.Digest.Sha256 == (string?)each!["oid"]);
            if (each!["error"]?["message"] is { } error)
                throw new PipelineException($"{file.Name} on {repository}: the hub's store refuses it: {error}.");
            if (each["actions"]?["upload"] is not { } upload)
                continue;
            told($"{repository}: upload {file.Name} ({file.Digest.Size} bytes)");
            await StoreAsync(Path.Combine(folder, file.Name), file, upload, cancellation).ConfigureAwait(false);
            if ((string?)each["actions"]!["verify"]?["href"] is { } verify)
                await AskAsync(
                        HttpMethod.Post,
                        verify,
                        () => JsonContent.Create(new { oid = file.Digest.Sha256, size = file.Digest.Size }, Lfs),
                        cancellation
                    )
                    .ConfigureAwait(false);
        }
    }

    /// <summary>Commits to a branch, all at once.</summary>
    /// <param name="branch">As it was looked at.</param>
    /// <param name="parent">Its commit then.</param>
    /// <param name="summary">Of the commit.</param>
    /// <param name="operations">One a file: key and value as the API has them.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <returns>The new commit.</returns>
    /// <exception cref="HubMovedException">The branch has another commit now.</exception>
    public async Task<string> CommitAsync(
        string branch,
        string parent,
        string summary,
        IEnumerable<(string Key, object Value)> operations,
        CancellationToken cancellation
    )
    {
        var lines = operations
            .Prepend(
                (
                    "header",
                    new
                    {
                        summary,
                        description = "",
                        parentCommit = parent,
                    }
                )
            )
            .Select(line => JsonSerializer.Serialize(new { key = line.Item1, value = line.Item2 }) + "\n");
        var body = Encoding.UTF8.GetBytes(string.Concat(lines));
        var answer = await AskAsync(
                HttpMethod.Post,
                $"{Api}/commit/{branch}",
                () => new ByteArrayContent(body) { Headers = { ContentType = new("application/x-ndjson") } },
                cancellation,
                HttpStatusCode.PreconditionFailed
            )
            .ConfigureAwait(false);
        return (string?)answer?["commitOid"] ?? throw new HubMovedException();
    }

    /// <summary>The bytes of a file at a revision, in the place of what the stream holds.</summary>
    public async Task DownloadAsync(string revision, string name, Stream to, CancellationToken cancellation)
    {
        using var response = await SendAsync(
                HttpMethod.Get,
                At($"{repository.Name}/resolve/{revision}/{name}"),
                null,
                cancellation,
                async (content, token) =>
                {
                    to.SetLength(0);
                    await using var from = await content.ReadAsStreamAsync(token).ConfigureAwait(false);
                    await from.CopyToAsync(to, token).ConfigureAwait(false);
                }
            )
            .ConfigureAwait(false);
        await RequireAsync(response, cancellation).ConfigureAwait(false);
    }

    /// <summary>The bytes of a short file at a revision.</summary>
    public async Task<byte[]> ReadAsync(string revision, string name, CancellationToken cancellation)
    {
        using var response = await SendAsync(HttpMethod.Get, At($"{repository.Name}/resolve/{revision}/{name}"), null, cancellation)
            .ConfigureAwait(false);
        await RequireAsync(response, cancellation).ConfigureAwait(false);
        return await response.Content.ReadAsByteArrayAsync(cancellation).ConfigureAwait(false);
    }

    private static byte[] Sample(string path)
    {
        using var file = File.OpenRead(path);
        var sample = new byte[Math.Min(SampleBytes, file.Length)];
        file.ReadExactly(sample);
        return sample;
    }

    /// <summary>One PUT or, where the store wants parts, one each and a list of their entity tags.</summary>
    private async Task StoreAsync(string path, ReleaseFile file, JsonNode upload, CancellationToken cancellation)
    {
        var (target, header) = (new Uri((string)upload["href"]!), upload["header"] as JsonObject ?? []);
        if ((string?)header["chunk_size"] is not { } chunk)
        {
            using var response = await SendAsync(HttpMethod.Put, target, () => new StreamContent(File.OpenRead(path)), cancellation)
                .ConfigureAwait(false);
            await RequireAsync(response, cancellation).ConfigureAwait(false);
            return;
        }
        var size = long.Parse(chunk, NumberStyles.None, CultureInfo.InvariantCulture);
        var parts = header
            .Where(each => each.Key.Length is > 0 and < 7 && each.Key.All(char.IsAsciiDigit))
            .OrderBy(each => int.Parse(each.Key, CultureInfo.InvariantCulture))
            .ToList();
        if (size <= 0 || parts.Count != (file.Digest.Size + size - 1) / size)
            throw new PipelineException($"{file.Name} on {repository}: the hub's store names {parts.Count} parts of {size} bytes.");
        var tags = new List<object>();
        foreach (var (i, part) in parts.Index())
        {
            var bytes = new byte[Math.Min(size, file.Digest.Size - (i * size))];
            await using (var from = File.OpenRead(path))
            {
                from.Position = i * size;
                await from.ReadExactlyAsync(bytes, cancellation).ConfigureAwait(false);
            }
            using var response = await SendAsync(
                    HttpMethod.Put,
                    new Uri((string)part.Value!),
                    () => new ByteArrayContent(bytes),
                    cancellation
                )
                .ConfigureAwait(false);
            await RequireAsync(response, cancellation).ConfigureAwait(false);
            tags.Add(new { partNumber = i + 1, etag = response.Headers.ETag?.ToString() ?? "" });
        }
        using var whole = await SendAsync(
                HttpMethod.Post,
                target,
                () => JsonContent.Create(new { oid = file.Digest.Sha256, parts = tags }, Lfs),
                cancellation
            )
            .ConfigureAwait(false);
        await RequireAsync(whole, cancellation).ConfigureAwait(false);
    }

    /// <summary>The answer as JSON; null for an answer with the status that is expected besides success, or without a body.</summary>
    private async Task<JsonNode?> AskAsync(
        HttpMethod method,
        string path,
        Func<HttpContent>? content,
        CancellationToken cancellation,
        HttpStatusCode? besides = null
    )
    {
        using var response = await SendAsync(method, At(path), content, cancellation).ConfigureAwait(false);
        if (response.StatusCode == besides)
            return null;
        await RequireAsync(response, cancellation).ConfigureAwait(false);
        var text = await response.Content.ReadAsStringAsync(cancellation).ConfigureAwait(false);
        try
        {
            return text.Length == 0 || response.Content.Headers.ContentType?.MediaType?.Contains("json") != true
                ? null
                : JsonNode.Parse(text);
        }
        catch (JsonException e)
        {
            throw new PipelineException(
                $"{repository}: the answer to {HttpSource.Shown(At(path))} is no hub's; check HF_ENDPOINT.",
                inner: e
            );
        }
    }

    private Uri At(string path) => new(repository.Endpoint, path);

    /// <summary>The answer, with its body in memory unless <paramref name="receive"/> takes it, which is called again after a failure of
    /// the network.</summary>
    private async Task<HttpResponseMessage> SendAsync(
        HttpMethod method,
        Uri address,
        Func<HttpContent>? content,
        CancellationToken cancellation,
        Func<HttpContent, CancellationToken, Task>? receive = null
    )
    {
        try
        {
            return await _retries
                .ExecuteAsync(
                    async token =>
                    {
                        using var request = new HttpRequestMessage(method, address) { Content = content?.Invoke() };
                        request.Headers.UserAgent.Add(new ProductInfoHeaderValue("ModelPipeline", PipelineVersion.Current));
                        if (repository.Token is { } secret && IsEndpoint(address))
                            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", secret);
                        using var wait = CancellationTokenSource.CreateLinkedTokenSource(token);
                        wait.CancelAfter(Patience);
                        var response = await _client
                            .SendAsync(request, HttpCompletionOption.ResponseHeadersRead, wait.Token)
                            .ConfigureAwait(false);
                        try
                        {
                            await (
                                receive is not null && response.IsSuccessStatusCode
                                    ? receive(response.Content, wait.Token)
                                    : response.Content.LoadIntoBufferAsync(AnswerLimit, wait.Token)
                            ).ConfigureAwait(false);
                            return response;
                        }
                        catch
                        {
                            response.Dispose();
                            throw;
                        }
                    },
                    cancellation
                )
                .ConfigureAwait(false);
        }
        catch (HttpRequestException e) when (IsTooLong(e))
        {
            throw new PipelineException(
                $"{repository}: an answer of more than {AnswerLimit} bytes is no hub's; check HF_ENDPOINT.",
                inner: e
            );
        }
        catch (Exception e) when (IsPassing(e))
        {
            throw new PipelineException($"{repository}: the way there failed ({e.Message}). {advice}", inner: e);
        }
        catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested)
        {
            throw new PipelineException($"{repository}: no whole answer came for {Patience.TotalHours} hour. {advice}", inner: e);
        }
    }

    private static bool IsPassing(Exception e) => (e is HttpRequestException && !IsTooLong(e)) || HttpSource.IsOfNetwork(e);

    private static bool IsTooLong(Exception e) =>
        e is HttpRequestException { HttpRequestError: HttpRequestError.ConfigurationLimitExceeded };

    /// <summary>The store that files are uploaded to is another server, which must not have the token.</summary>
    private bool IsEndpoint(Uri address) =>
        Uri.Compare(address, repository.Endpoint, UriComponents.SchemeAndServer, UriFormat.Unescaped, StringComparison.OrdinalIgnoreCase)
        == 0;

    private async Task RequireAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        if (response.IsSuccessStatusCode)
            return;
        var mend = response.StatusCode switch
        {
            HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden => "HF_TOKEN is not valid there, or may not write the repository.",
            HttpStatusCode.NotFound => "Make the repository on the hub first, and check its name.",
            _ => advice,
        };
        var reason = (await response.Content.ReadAsStringAsync(cancellation).ConfigureAwait(false)) is { Length: > 0 } text
            ? $" ({Error(text)})"
            : "";
        throw new PipelineException($"{repository}: answers {(int)response.StatusCode}{reason}. {mend}");
    }

    private static string Error(string text)
    {
        try
        {
            return Devices.PrintableText.Of((string?)JsonNode.Parse(text)?["error"] ?? "no reason given");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return "no reason given";
        }
    }
}
