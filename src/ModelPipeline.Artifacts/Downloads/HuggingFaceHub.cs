using System.Globalization;
using ModelPipeline.Core;

namespace ModelPipeline.Artifacts.Downloads;

/// <summary>A file of a repository on the hub, as the hub itself describes it.</summary>
/// <param name="Uri">Where it can be had, by commit.</param>
/// <param name="Digest">The hub's own digest: SHA-256 for LFS files, Git's SHA-1 for others.</param>
/// <param name="Bytes">Length, if the hub says so.</param>
/// <param name="Commit">40 hex digits that the revision stands for.</param>
internal sealed record HubFile(Uri Uri, ContentDigest Digest, long? Bytes, string Commit);

/// <summary>Hugging Face's file API: HEAD of {endpoint}/{repo}/resolve/{revision}/{file} tells commit, digest and size before the redirect
/// to the store.</summary>
internal sealed class HuggingFaceHub(HttpSource http, Uri endpoint)
{
    /// <exception cref="PipelineException">There is no such file, or the answer is not that of a hub.</exception>
    public Task<HubFile> ResolveAsync(HuggingFaceSource source, CancellationToken cancellation)
    {
        var uri = AddressOf(source, source.Revision);
        return http.RequestAsync(
            HttpMethod.Head,
            uri,
            _ => { },
            (response, _, _) => Task.FromResult(Read(source, uri, response)),
            cancellation
        );
    }

    /// <summary>Where a file is at a revision: a commit, branch or tag.</summary>
    public Uri AddressOf(HuggingFaceSource source, string revision)
    {
        var path = string.Join('/', source.File.Split('/').Select(Uri.EscapeDataString));
        // The revision is one segment: a branch "refs/pr/1" has its slashes escaped.
        return new Uri($"{endpoint.AbsoluteUri.TrimEnd('/')}/{source.Repo}/resolve/{Uri.EscapeDataString(revision)}/{path}");
    }

    /// <summary>Where the API lists the files of a repository.</summary>
    public Uri ListingOf(HuggingFaceSource source) =>
        new($"{endpoint.AbsoluteUri.TrimEnd('/')}/api/models/{source.Repo}/revision/{Uri.EscapeDataString(source.Revision)}");

    private HubFile Read(HuggingFaceSource source, Uri uri, HttpResponseMessage response)
    {
        var commit = Header(response, "X-Repo-Commit");
        if (commit is not { Length: 40 } || !commit.All(char.IsAsciiHexDigit))
            throw NotAHub(uri, $"X-Repo-Commit is {commit ?? "missing"}");
        var tag = Header(response, "X-Linked-Etag") ?? Header(response, "ETag");
        if (ContentDigest.FromEntityTag(tag) is not { } digest)
            throw NotAHub(uri, $"the entity tag {tag ?? "is missing"}{(tag is null ? "" : " is no digest")}");
        // Without a link to a store the answer is about the file itself.
        var bytes = response.IsSuccessStatusCode ? response.Content.Headers.ContentLength : null;
        if (long.TryParse(Header(response, "X-Linked-Size"), NumberStyles.None, CultureInfo.InvariantCulture, out var size))
            bytes = size;
        return new HubFile(AddressOf(source, commit), digest, bytes, commit);
    }

    private static string? Header(HttpResponseMessage response, string name) =>
        response.Headers.TryGetValues(name, out var values) ? values.First() : null;

    private static PipelineException NotAHub(Uri uri, string what) =>
        new($"{HttpSource.Shown(uri)}: the answer is not a Hugging Face hub's: {what}; check HF_ENDPOINT.");
}
