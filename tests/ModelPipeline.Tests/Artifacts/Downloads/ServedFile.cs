using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;
using ModelPipeline.Artifacts.Downloads;

namespace ModelPipeline.Tests.Artifacts.Downloads;

/// <summary>Random content as ASP.NET Core serves files: with ranges, If-Range, an entity tag and a length.</summary>
internal sealed class ServedFile
{
    public ServedFile(int seed, int bytes)
    {
        Content = new byte[bytes];
        new Random(seed).NextBytes(Content);
        Sha256 = Convert.ToHexStringLower(SHA256.HashData(Content));
    }

    public byte[] Content { get; }

    public string Sha256 { get; }

    public SourceSpec At(Uri uri) => new() { Url = uri, Sha256 = Sha256 };

    public Task SendAsync(HttpContext context, string? tag = null) => SendAsync(context, Content, tag ?? Sha256);

    public static Task SendAsync(HttpContext context, byte[] content, string? tag) =>
        Results
            .Bytes(content, enableRangeProcessing: true, entityTag: tag is null ? null : new EntityTagHeaderValue($"\"{tag}\""))
            .ExecuteAsync(context);
}
