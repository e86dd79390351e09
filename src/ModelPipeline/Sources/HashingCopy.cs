using System.Security.Cryptography;

namespace ModelPipeline.Sources;

/// <summary>Copies a stream and hashes it on the way.</summary>
internal static class HashingCopy
{
    public const int BufferBytes = 1 << 20;

    /// <summary>Returns the SHA-256, in lower-case hex, and the length of what was copied.</summary>
    /// <param name="source">Read to its end.</param>
    /// <param name="destination"><see cref="Stream.Null"/> to hash only.</param>
    /// <param name="received">Told the bytes so far after each read and before they are written; throws to stop.</param>
    /// <param name="cancellation">Honoured within one read.</param>
    public static async Task<(string Sha256, long Bytes)> RunAsync(Stream source, Stream destination, Action<long> received, CancellationToken cancellation)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[BufferBytes];
        long bytes = 0;
        int read;
        while ((read = await source.ReadAsync(buffer, cancellation).ConfigureAwait(false)) > 0)
        {
            received(bytes += read);
            hash.AppendData(buffer, 0, read);
            await destination.WriteAsync(buffer.AsMemory(0, read), cancellation).ConfigureAwait(false);
        }
        return (Convert.ToHexStringLower(hash.GetHashAndReset()), bytes);
    }

    /// <summary>Reports to <paramref name="progress"/> once a mebibyte, so that small reads do not flood it.</summary>
    public static Action<long> Report(IProgress<StageProgress>? progress, string activity, long total)
    {
        var next = 0L;
        return bytes =>
        {
            if (bytes < next && bytes != total)
                return;
            next = bytes + BufferBytes;
            progress?.Report(new StageProgress(activity, bytes, total));
        };
    }
}
