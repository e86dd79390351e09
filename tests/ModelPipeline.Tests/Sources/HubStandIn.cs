using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using ModelPipeline.Tests.Artifacts.Downloads;

namespace ModelPipeline.Tests.Sources;

/// <summary>Repositories of a hub on a loopback port: their files by commit and, unless it is a mirror of files alone, the API's list of
/// them.</summary>
internal sealed class HubStandIn : IAsyncDisposable
{
    public const string Commit = "0123456789abcdef0123456789abcdef01234567";

    private LoopbackServer server = null!;

    /// <summary>Content by repository and name.</summary>
    private Dictionary<string, IReadOnlyDictionary<string, byte[]>> Repositories { get; } = [];

    public Uri Address => server.Address;

    /// <summary>For the host: where the hub is, and an empty cache.</summary>
    public Dictionary<string, string> Environment(TemporaryFolder folder) =>
        new() { ["HF_ENDPOINT"] = server.Address.AbsoluteUri, ["MODELPIPELINE_CACHE"] = folder.File("cache") };

    public static async Task<HubStandIn> StartAsync(string repository, IReadOnlyDictionary<string, byte[]> files, bool lists = true)
    {
        var hub = new HubStandIn();
        hub.Repositories[repository] = files;
        hub.server = await LoopbackServer.StartAsync(context => hub.AnswerAsync(context, lists));
        return hub;
    }

    public ValueTask DisposeAsync() => server.DisposeAsync();

    private Task AnswerAsync(HttpContext context, bool lists)
    {
        var path = context.Request.Path.Value!.TrimStart('/');
        if (lists && path.StartsWith("api/models/", StringComparison.Ordinal))
        {
            var name = string.Join('/', path.Split('/')[2..4]);
            return Repositories.TryGetValue(name, out var listed)
                ? context.Response.WriteAsync(
                    JsonSerializer.Serialize(new { sha = Commit, siblings = listed.Keys.Select(file => new { rfilename = file }) })
                )
                : Missing(context);
        }
        if (
            path.Split('/') is not [var owner, var repository, "resolve", "main" or Commit, ..] parts
            || Repositories.GetValueOrDefault($"{owner}/{repository}")?.GetValueOrDefault(string.Join('/', parts[4..])) is not { } content
        )
            return Missing(context);
        context.Response.Headers["X-Repo-Commit"] = Commit;
        return ServedFile.SendAsync(context, content, Convert.ToHexStringLower(SHA256.HashData(content)));
    }

    private static Task Missing(HttpContext context)
    {
        context.Response.StatusCode = 404;
        return Task.CompletedTask;
    }
}
