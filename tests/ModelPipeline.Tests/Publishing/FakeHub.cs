using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using ModelPipeline.Publishing;
using ModelPipeline.Tests.Artifacts.Downloads;

namespace ModelPipeline.Tests.Publishing;

/// <summary>
/// The hub's API for one model repository on Kestrel, with its state and its rules, and beside it the store that LFS uploads go to, another
/// server, which takes no token. Commits need their parent to be the branch's head; what LFS has not got cannot be committed.
/// </summary>
internal sealed class FakeHub : IAsyncDisposable
{
    public const string Token = "hf_SecretOfTheTest0123456789";
    private const int PartBytes = 16_000;

    private readonly Lock _guard = new();
    private readonly Dictionary<string, IReadOnlyDictionary<string, StoredFile>> _commits = [];
    private readonly ConcurrentDictionary<string, byte[]> _store = [];
    private readonly ConcurrentDictionary<string, byte[]> _parts = [];
    private LoopbackServer _server = null!;
    private LoopbackServer _files = null!;

    private FakeHub()
    {
        _commits[Commit(0)] = new Dictionary<string, StoredFile> { [".gitattributes"] = new("*.onnx filter=lfs"u8.ToArray(), false) };
        Branches["main"] = Commit(0);
    }

    public sealed record StoredFile(byte[] Content, bool IsLarge);

    public Dictionary<string, string> Branches { get; } = [];

    public Dictionary<string, string> Tags { get; } = [];

    /// <summary>Asked before each request is answered; true breaks the connection after the work is done.</summary>
    public Func<string, bool> LosesAnswer { get; set; } = _ => false;

    /// <summary>Asked before each request is answered; true breaks the connection in the middle of the answer's body.</summary>
    public Func<string, bool> CutsAnswer { get; set; } = _ => false;

    /// <summary>Asked before each request is answered; true answers 503.</summary>
    public Func<string, bool> Fails { get; set; } = _ => false;

    /// <summary>Files of more bytes go to the store in parts.</summary>
    public bool WantsParts { get; set; }

    public IEnumerable<string> Requests => _server.Requests.Select(request => $"{request.Method} {request.Path}");

    public IEnumerable<(string Method, string Path, string? Authorization)> StoreRequests => _files.Requests;

    public Uri Address => _server.Address;

    public HubRepository Repository(string? token = Token, string name = "owner/model") => new(_server.Address, name, token);

    public static async Task<FakeHub> StartAsync()
    {
        var fake = new FakeHub();
        fake._files = await LoopbackServer.StartAsync(fake.StoreAsync);
        fake._server = await LoopbackServer.StartAsync(fake.AnswerAsync);
        return fake;
    }

    public IReadOnlyDictionary<string, StoredFile> At(string commit) => _commits[commit];

    /// <summary>Somebody else commits to main.</summary>
    public void Add(string path, byte[] content)
    {
        lock (_guard)
            Branches["main"] = Put("main", files => files[path] = new(content, false));
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        await _files.DisposeAsync();
    }

    private static string Commit(int number) => Convert.ToHexStringLower(SHA1.HashData(BitConverter.GetBytes(number)));

    private string Put(string branch, Action<Dictionary<string, StoredFile>> change)
    {
        var files = new Dictionary<string, StoredFile>(_commits[Branches[branch]]);
        change(files);
        var commit = Commit(_commits.Count);
        _commits[commit] = files;
        return commit;
    }

    private async Task StoreAsync(HttpContext context)
    {
        var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        var name = context.Request.Path.Value!.TrimStart('/');
        if (Fails($"{context.Request.Method} store/{name}"))
        {
            context.Response.StatusCode = 503;
            return;
        }
        if (context.Request.Method == "POST")
        {
            var whole = JsonNode.Parse(body.ToArray())!["parts"]!.AsArray();
            _store[name] = [.. whole.SelectMany(part => _parts[$"{name}/{part!["partNumber"]}:{part["etag"]}"])];
            return;
        }
        var etag = $"\"{Convert.ToHexStringLower(SHA256.HashData(body.ToArray()))[..8]}\"";
        context.Response.Headers.ETag = etag;
        if (name.Contains('/'))
            _parts[$"{name}:{etag}"] = body.ToArray();
        else
            _store[name] = body.ToArray();
    }

    private async Task AnswerAsync(HttpContext context)
    {
        var request = $"{context.Request.Method} {context.Request.Path}";
        var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        if (Fails(request))
        {
            context.Response.StatusCode = 503;
            return;
        }
        var (status, answer) = Do(context.Request, context.Request.Path.Value!, body.ToArray());
        if (LosesAnswer(request))
        {
            context.Abort();
            return;
        }
        context.Response.StatusCode = status;
        if (answer is JsonNode)
            context.Response.ContentType = "application/json; charset=utf-8";
        var content = answer as byte[] ?? (answer is JsonNode json ? Encoding.UTF8.GetBytes(json.ToJsonString()) : []);
        var cut = CutsAnswer(request);
        await context.Response.Body.WriteAsync(content.AsMemory(0, cut ? content.Length / 2 : content.Length));
        if (cut)
        {
            await context.Response.Body.FlushAsync();
            context.Abort();
        }
    }

    private (int Status, object? Answer) Do(HttpRequest request, string path, byte[] body)
    {
        var authorised = request.Headers.Authorization == $"Bearer {Token}";
        if (!authorised && request.Headers.Authorization.Count > 0)
            return (401, Error("Invalid credentials"));
        if (request.Method != "GET" && !authorised)
            return (403, Error("You need to be logged in"));
        const string Api = "/api/models/owner/model/";
        lock (_guard)
        {
            if (path == "/owner/model.git/info/lfs/objects/batch")
                return (200, Batch(JsonNode.Parse(body)!));
            if (path.StartsWith("/owner/model/resolve/", StringComparison.Ordinal))
                return Resolve(path["/owner/model/resolve/".Length..].Split('/', 2));
            if (!path.StartsWith(Api, StringComparison.Ordinal))
                return (404, Error("Repository not found"));
            return (request.Method, path[Api.Length..].Split('/')) switch
            {
                ("GET", ["refs"]) => (200, References()),
                ("GET", ["tree", var commit]) => (200, Tree(commit)),
                ("POST", ["preupload", _]) => (200, Modes(JsonNode.Parse(body)!)),
                ("POST", ["branch", var name]) => Branches.TryAdd(name, (string)JsonNode.Parse(body)!["startingPoint"]!)
                    ? (200, null)
                    : (409, Error("Reference already exists")),
                ("POST", ["tag", var commit]) => Tags.TryAdd((string)JsonNode.Parse(body)!["tag"]!, commit)
                    ? (200, null)
                    : (409, Error("Tag already exists")),
                ("POST", ["commit", var branch]) => Take(branch, Encoding.UTF8.GetString(body)),
                _ => (404, Error("Not found")),
            };
        }
    }

    private static JsonObject Error(string message) => new() { ["error"] = message };

    private JsonObject References() =>
        new() { ["branches"] = new JsonArray([.. Branches.Select(Reference)]), ["tags"] = new JsonArray([.. Tags.Select(Reference)]) };

    private static JsonNode Reference(KeyValuePair<string, string> reference) =>
        new JsonObject { ["name"] = reference.Key, ["targetCommit"] = reference.Value };

    private JsonArray Tree(string commit) =>
        new([
            .. _commits[commit]
                .Select(file =>
                {
                    var entry = new JsonObject
                    {
                        ["type"] = "file",
                        ["path"] = file.Key,
                        ["size"] = file.Value.Content.Length,
                        ["oid"] = Blob(file.Value.Content),
                    };
                    if (file.Value.IsLarge)
                        entry["lfs"] = new JsonObject { ["oid"] = Convert.ToHexStringLower(SHA256.HashData(file.Value.Content)) };
                    return entry;
                }),
        ]);

    private static string Blob(byte[] content) =>
        Convert.ToHexStringLower(SHA1.HashData([.. Encoding.ASCII.GetBytes($"blob {content.Length}\0"), .. content]));

    private static JsonObject Modes(JsonNode wanted) =>
        new()
        {
            ["files"] = new JsonArray([
                .. wanted["files"]!
                    .AsArray()
                    .Select(file => new JsonObject
                    {
                        ["path"] = (string)file!["path"]!,
                        ["uploadMode"] =
                            (string)file["path"]! is var name && (name.EndsWith(".onnx") || name.EndsWith(".rknn")) ? "lfs" : "regular",
                    }),
            ]),
        };

    private JsonObject Batch(JsonNode wanted) =>
        new()
        {
            ["objects"] = new JsonArray([
                .. wanted["objects"]!
                    .AsArray()
                    .Select(each =>
                    {
                        var (oid, size) = ((string)each!["oid"]!, (long)each["size"]!);
                        var answer = new JsonObject { ["oid"] = oid, ["size"] = size };
                        if (!_store.ContainsKey(oid))
                            answer["actions"] = new JsonObject
                            {
                                ["upload"] = new JsonObject { ["href"] = _files.At(oid).ToString(), ["header"] = Parts(oid, size) },
                            };
                        return answer;
                    }),
            ]),
        };

    private JsonObject Parts(string oid, long size)
    {
        var header = new JsonObject();
        if (!WantsParts || size <= PartBytes)
            return header;
        header["chunk_size"] = $"{PartBytes}";
        for (var part = 1; (part - 1) * PartBytes < size; part++)
            header[$"{part:00000}"] = _files.At($"{oid}/{part}").ToString();
        return header;
    }

    private (int, object?) Resolve(string[] place)
    {
        var commit = Tags.GetValueOrDefault(place[0]) ?? Branches.GetValueOrDefault(place[0]) ?? place[0];
        return _commits.GetValueOrDefault(commit)?.GetValueOrDefault(place[1]) is { } file
            ? (200, file.Content)
            : (404, Error("Entry not found"));
    }

    private (int, object?) Take(string branch, string lines)
    {
        var operations = lines.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonNode.Parse(line)!).ToList();
        if ((string?)operations[0]["value"]!["parentCommit"] != Branches[branch])
            return (412, Error("A commit has happened since"));
        if (
            operations.Exists(line =>
                (string?)line["key"] == "lfsFile"
                && !(
                    _store.TryGetValue((string)line["value"]!["oid"]!, out var bytes)
                    && Convert.ToHexStringLower(SHA256.HashData(bytes)) == (string)line["value"]!["oid"]!
                )
            )
        )
            return (400, Error("LFS pointer pointed to a file that does not exist"));
        var commit = Put(
            branch,
            files =>
            {
                foreach (var line in operations.Skip(1))
                {
                    var value = line["value"]!;
                    var path = (string)value["path"]!;
                    if ((string?)line["key"] == "deletedFile")
                        files.Remove(path);
                    else
                        files[path] =
                            (string?)line["key"] == "lfsFile"
                                ? new(_store[(string)value["oid"]!], true)
                                : new(Convert.FromBase64String((string)value["content"]!), false);
                }
            }
        );
        Branches[branch] = commit;
        return (200, new JsonObject { ["success"] = true, ["commitOid"] = commit });
    }
}
