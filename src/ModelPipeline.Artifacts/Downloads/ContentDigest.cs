using System.Security.Cryptography;
using System.Text;

namespace ModelPipeline.Artifacts.Downloads;

internal enum DigestAlgorithm
{
    Sha256,

    /// <summary>Git's name of a blob: SHA-1 of "blob ", the length in decimal, a zero byte, and the content. Hugging Face gives it for
    /// files outside LFS.</summary>
    GitBlobSha1,
}

/// <summary>What identifies a file's content.</summary>
/// <param name="Algorithm">What was hashed how.</param>
/// <param name="Hex">Lower case; 64 digits of SHA-256, 40 of SHA-1.</param>
internal readonly record struct ContentDigest(DigestAlgorithm Algorithm, string Hex)
{
    public static ContentDigest Sha256(string hex) => new(DigestAlgorithm.Sha256, hex.ToLowerInvariant());

    /// <summary>The digest in an entity tag of the hub; null if it is something else.</summary>
    public static ContentDigest? FromEntityTag(string? tag)
    {
        var hex = tag?.Trim();
        if (hex?.StartsWith("W/", StringComparison.Ordinal) == true)
            hex = hex[2..];
        hex = hex?.Trim('"').ToLowerInvariant();
        return hex is null || !hex.All(char.IsAsciiHexDigit)
            ? null
            : hex.Length switch
            {
                64 => new ContentDigest(DigestAlgorithm.Sha256, hex),
                40 => new ContentDigest(DigestAlgorithm.GitBlobSha1, hex),
                _ => null,
            };
    }

    public string Name => Algorithm == DigestAlgorithm.Sha256 ? "sha256" : "git-sha1";

    public override string ToString() => $"{Name} {Hex}";

    /// <summary>Git's digest of all of <paramref name="stream"/>, whose length goes into the hash first.</summary>
    public static async Task<ContentDigest> GitBlobSha1Async(Stream stream, CancellationToken cancellation)
    {
        stream.Position = 0;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
        hash.AppendData(Encoding.ASCII.GetBytes($"blob {stream.Length}\0"));
        await hash.AppendAsync(stream, _ => { }, cancellation).ConfigureAwait(false);
        return new ContentDigest(DigestAlgorithm.GitBlobSha1, hash.CurrentHex());
    }
}
