using System.Security.Cryptography;

namespace ModelPipeline.Core;

/// <summary>What a file's bytes are known by.</summary>
/// <param name="Size">Bytes.</param>
/// <param name="Sha256">64 lower-case hex digits.</param>
public sealed record FileDigest(long Size, string Sha256)
{
    /// <summary>Reads the whole file.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static FileDigest Of(string path, CancellationToken cancellation = default)
    {
        using var file = File.OpenRead(path);
        return Copy(file, Stream.Null, cancellation);
    }

    /// <summary>Copies <paramref name="source"/> to its end and digests it on the way. Cancellation takes effect between blocks of 1
    /// MiB.</summary>
    public static FileDigest Copy(Stream source, Stream destination, CancellationToken cancellation = default)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var block = new byte[1 << 20];
        long size = 0;
        for (int read; (read = source.Read(block)) > 0; size += read)
        {
            cancellation.ThrowIfCancellationRequested();
            hash.AppendData(block.AsSpan(..read));
            destination.Write(block.AsSpan(..read));
        }
        return new(size, Convert.ToHexStringLower(hash.GetHashAndReset()));
    }
}
