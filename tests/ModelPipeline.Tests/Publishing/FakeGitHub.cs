using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using ModelPipeline.Publishing;
using ModelPipeline.Tests.Artifacts.Downloads;

namespace ModelPipeline.Tests.Publishing;

/// <summary>What goes wrong with one request.</summary>
internal enum Fault
{
    /// <summary>502, and nothing is done.</summary>
    BadGateway,

    /// <summary>It is done, and the connection breaks before the answer.</summary>
    LostAnswer,

    /// <summary>Half of an upload arrives, 502, and a starter asset is left.</summary>
    BrokenUpload,

    /// <summary>403 with Retry-After.</summary>
    SecondaryLimit,

    /// <summary>403 with the time of the limit's reset.</summary>
    PrimaryLimit,
}

/// <summary>
/// The releases API of one GitHub repository on Kestrel, with its state and its rules: drafts may share a tag, published releases may not;
/// an asset's name is taken once; tags find published releases only; those without the token see no drafts.
/// </summary>
internal sealed class FakeGitHub : IAsyncDisposable
{
    public const string Token = "ghs_SecretOfTheTest0123456789";

    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    private readonly Lock _guard = new();
    private readonly List<StoredRelease> _releases = [];
    private LoopbackServer _server = null!;
    private long _ids = 100;

    public sealed record StoredAsset(long Id, string Name, string State, string ContentType, byte[] Content);

    public sealed class StoredRelease
    {
        public long Id { get; init; }
        public required string Tag { get; set; }
        public required string Name { get; set; }
        public required string Body { get; set; }
        public string? Commit { get; init; }
        public bool Draft { get; set; }
        public bool Prerelease { get; init; }
        public string? MakeLatest { get; set; }
        public List<StoredAsset> Assets { get; } = [];
    }

    /// <summary>Asked before each request is answered: its number from 0, its method and path.</summary>
    public Func<int, string, string, Fault?> Faults { get; set; } = (_, _, _) => null;

    /// <summary>Older Enterprise servers know no digests.</summary>
    public bool KnowsDigests { get; set; } = true;

    /// <summary>GitHub changes names of assets that it does not like.</summary>
    public Func<string, string> Renames { get; set; } = name => name;

    /// <summary>Method and path of every request.</summary>
    public ConcurrentQueue<string> Requests { get; } = new();

    /// <summary>Changes to what readers already see.</summary>
    public ConcurrentQueue<string> Violations { get; } = new();

    /// <summary>Names and digests of each release's assets at the moment when it was published.</summary>
    public ConcurrentQueue<(string Tag, IReadOnlyDictionary<string, string> Assets)> Publications { get; } = new();

    public GitHubRepository Repository(string? token = Token) => new(new Uri(_server.Address, "api/v3/"), "owner", "models", token);

    public IReadOnlyList<StoredRelease> Releases
    {
        get
        {
            lock (_guard)
                return [.. _releases];
        }
    }

    public static async Task<FakeGitHub> StartAsync()
    {
        var fake = new FakeGitHub();
        fake._server = await LoopbackServer.StartAsync(fake.AnswerAsync);
        return fake;
    }

    public StoredRelease Add(string tag, bool draft, string body = "")
    {
        var release = new StoredRelease
        {
            Id = Interlocked.Increment(ref _ids),
            Tag = tag,
            Name = tag,
            Body = body,
            Draft = draft,
        };
        lock (_guard)
            _releases.Add(release);
        return release;
    }

    public StoredAsset Attach(StoredRelease release, string name, byte[] content, string state = "uploaded")
    {
        var asset = new StoredAsset(Interlocked.Increment(ref _ids), name, state, "application/octet-stream", content);
        lock (_guard)
            release.Assets.Add(asset);
        return asset;
    }

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    private async Task AnswerAsync(HttpContext context)
    {
        var path = context.Request.Path.Value!;
        Requests.Enqueue($"{context.Request.Method} {path}");
        var fault = Faults(Requests.Count - 1, context.Request.Method, path);
        switch (fault)
        {
            case Fault.BadGateway:
                context.Response.StatusCode = 502;
                return;
            case Fault.SecondaryLimit:
                context.Response.Headers.RetryAfter = "1";
                await AnswerAsync(context, 403, new { Message = "You have exceeded a secondary rate limit." });
                return;
            case Fault.PrimaryLimit:
                context.Response.Headers["X-RateLimit-Limit"] = "5000";
                context.Response.Headers["X-RateLimit-Remaining"] = "0";
                context.Response.Headers["X-RateLimit-Reset"] = DateTimeOffset
                    .UtcNow.ToUnixTimeSeconds()
                    .ToString(CultureInfo.InvariantCulture);
                await AnswerAsync(context, 403, new { Message = "API rate limit exceeded for installation." });
                return;
        }
        var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        var broken = fault == Fault.BrokenUpload && context.Request.Method == "POST" && path.EndsWith("/assets", StringComparison.Ordinal);
        var (status, answer) = Do(
            context.Request,
            path,
            broken ? body.ToArray()[..((int)body.Length / 2)] : body.ToArray(),
            broken ? "starter" : "uploaded"
        );
        if (fault == Fault.LostAnswer)
            context.Abort();
        else if (broken)
            context.Response.StatusCode = 502;
        else if (answer is byte[] bytes)
            await SendAsync(context, bytes);
        else
            await AnswerAsync(context, status, answer);
    }

    private static async Task SendAsync(HttpContext context, byte[] bytes)
    {
        context.Response.ContentType = "application/octet-stream";
        await context.Response.Body.WriteAsync(bytes);
    }

    private static async Task AnswerAsync(HttpContext context, int status, object? answer)
    {
        context.Response.StatusCode = status;
        if (answer is not null)
        {
            context.Response.ContentType = "application/json; charset=utf-8";
            await context.Response.WriteAsync(JsonSerializer.Serialize(answer, Json));
        }
    }

    private (int Status, object? Answer) Do(HttpRequest request, string path, byte[] body, string state)
    {
        var authorised = request.Headers.Authorization == $"Token {Token}";
        if (!authorised && request.Headers.Authorization.Count > 0)
            return (401, new { Message = "Bad credentials" });
        var parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        var uploads = parts[0] == "uploads";
        if (!(uploads ? parts.AsSpan(1, 3) : parts.AsSpan(2, 3)).SequenceEqual(["repos", "owner", "models"]))
            return NotFound;
        if (request.Method != "GET" && !authorised)
            return NotFound;
        lock (_guard)
        {
            var seen = _releases.Where(release => authorised || !release.Draft);
            return (request.Method, uploads ? parts[5..] : parts[6..]) switch
            {
                ("GET", []) => (
                    200,
                    seen.OrderByDescending(release => release.Id).Skip(Skipped(request)).Take(PageSize(request)).Select(Shown)
                ),
                ("POST", []) => Create(JsonNode.Parse(body)!),
                ("GET", ["tags", .. var tag]) => _releases.Find(release => !release.Draft && release.Tag == string.Join('/', tag))
                    is { } found
                    ? (200, Shown(found))
                    : NotFound,
                ("GET", ["assets", var id]) => Asset(seen, id) is { } found ? (200, found.Asset.Content) : NotFound,
                ("DELETE", ["assets", var id]) => Delete(Asset(seen, id)),
                ("GET", [var id]) => Find(seen, id) is { } found ? (200, Shown(found)) : NotFound,
                ("PATCH", [var id]) => Edit(Find(seen, id), JsonNode.Parse(body)!),
                ("DELETE", [var id]) => Delete(Find(seen, id)),
                ("GET", [var id, "assets"]) => Find(seen, id) is { } found
                    ? (200, found.Assets.Skip(Skipped(request)).Take(PageSize(request)).Select(Shown))
                    : NotFound,
                ("POST", [var id, "assets"]) when uploads => Upload(
                    Find(seen, id),
                    Renames(request.Query["name"]!),
                    request.ContentType!,
                    body,
                    state
                ),
                _ => NotFound,
            };
        }
    }

    private static (int, object?) NotFound => (404, new { Message = "Not Found" });

    private static (int, object?) Invalid(string resource, string field) =>
        (
            422,
            new
            {
                Message = "Validation Failed",
                Errors = new[]
                {
                    new
                    {
                        Resource = resource,
                        Code = "already_exists",
                        Field = field,
                    },
                },
            }
        );

    private static int PageSize(HttpRequest request) =>
        int.Parse(request.Query["per_page"].FirstOrDefault() ?? "30", CultureInfo.InvariantCulture);

    private static int Skipped(HttpRequest request) =>
        (int.Parse(request.Query["page"].FirstOrDefault() ?? "1", CultureInfo.InvariantCulture) - 1) * PageSize(request);

    private static StoredRelease? Find(IEnumerable<StoredRelease> releases, string id) =>
        releases.FirstOrDefault(release => $"{release.Id}" == id);

    private static (StoredRelease Release, StoredAsset Asset)? Asset(IEnumerable<StoredRelease> releases, string id) =>
        releases
            .SelectMany(release => release.Assets.Select(asset => ((StoredRelease, StoredAsset)?)(release, asset)))
            .FirstOrDefault(pair => $"{pair!.Value.Item2.Id}" == id);

    private (int, object?) Create(JsonNode wanted)
    {
        var release = new StoredRelease
        {
            Id = Interlocked.Increment(ref _ids),
            Tag = (string)wanted["tag_name"]!,
            Name = (string)wanted["name"]!,
            Body = (string)wanted["body"]!,
            Commit = (string?)wanted["target_commitish"],
            Draft = (bool)wanted["draft"]!,
            Prerelease = (bool)wanted["prerelease"]!,
        };
        _releases.Add(release);
        return (201, Shown(release));
    }

    private (int, object?) Edit(StoredRelease? release, JsonNode wanted)
    {
        if (release is null)
            return NotFound;
        if (release.Draft && (bool?)wanted["draft"] == false)
        {
            if (_releases.Any(other => !other.Draft && other.Tag == release.Tag))
                return Invalid("Release", "tag_name");
            release.Draft = false;
            Publications.Enqueue(
                (
                    release.Tag,
                    release.Assets.ToDictionary(asset => asset.Name, asset => asset.State == "uploaded" ? Digest(asset) : asset.State)
                )
            );
        }
        release.Body = (string?)wanted["body"] ?? release.Body;
        release.MakeLatest = (string?)wanted["make_latest"] ?? release.MakeLatest;
        return (200, Shown(release));
    }

    private (int, object?) Upload(StoredRelease? release, string name, string contentType, byte[] content, string state)
    {
        if (release is null)
            return NotFound;
        if (release.Assets.Any(asset => asset.Name == name))
            return Invalid("ReleaseAsset", "name");
        if (!release.Draft)
            Violations.Enqueue($"{name} was added to the published {release.Tag}");
        var asset = new StoredAsset(Interlocked.Increment(ref _ids), name, state, contentType, content);
        release.Assets.Add(asset);
        return (201, Shown(asset));
    }

    private (int, object?) Delete((StoredRelease Release, StoredAsset Asset)? found)
    {
        if (found is not { } pair)
            return NotFound;
        if (!pair.Release.Draft)
            Violations.Enqueue($"{pair.Asset.Name} was deleted from the published {pair.Release.Tag}");
        pair.Release.Assets.Remove(pair.Asset);
        return (204, null);
    }

    private (int, object?) Delete(StoredRelease? release)
    {
        if (release is null)
            return NotFound;
        if (!release.Draft)
            Violations.Enqueue($"the published {release.Tag} was deleted");
        _releases.Remove(release);
        return (204, null);
    }

    private object Shown(StoredRelease release) =>
        new
        {
            release.Id,
            Url = $"{_server.Address}api/v3/repos/owner/models/releases/{release.Id}",
            HtmlUrl = $"https://github.example.org/owner/models/releases/tag/{release.Tag}",
            UploadUrl = $"{_server.Address}uploads/repos/owner/models/releases/{release.Id}/assets{{?name,label}}",
            TagName = release.Tag,
            release.Name,
            release.Body,
            release.Draft,
            release.Prerelease,
            CreatedAt = "2026-01-01T00:00:00Z",
            Assets = release.Assets.Select(Shown),
        };

    private object Shown(StoredAsset asset) =>
        new
        {
            asset.Id,
            asset.Name,
            asset.State,
            Size = asset.Content.Length,
            asset.ContentType,
            CreatedAt = "2026-01-01T00:00:00Z",
            UpdatedAt = "2026-01-01T00:00:00Z",
            Digest = KnowsDigests && asset.State == "uploaded" ? Digest(asset) : null,
        };

    private static string Digest(StoredAsset asset) => "sha256:" + Convert.ToHexStringLower(SHA256.HashData(asset.Content));
}
