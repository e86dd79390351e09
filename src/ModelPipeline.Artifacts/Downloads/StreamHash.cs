using System.Security.Cryptography;

namespace ModelPipeline.Artifacts.Downloads;

internal static class StreamHash
{
    private const int BufferBytes = 1 << 20;

    extension(IncrementalHash hash)
    {
        /// <summary>Hashes a stream to its end. Cancellation takes effect within one read.</summary>
        /// <param name="stream">From where it stands.</param>
        /// <param name="read">Told the bytes of each read.</param>
        /// <param name="cancellation">Ends it.</param>
        public async Task AppendAsync(Stream stream, Action<int> read, CancellationToken cancellation)
        {
            var buffer = new byte[BufferBytes];
            int count;
            while ((count = await stream.ReadAsync(buffer, cancellation).ConfigureAwait(false)) > 0)
            {
                hash.AppendData(buffer, 0, count);
                read(count);
            }
        }

        /// <summary>Lower-case hex of what was appended so far.</summary>
        public string CurrentHex() => Convert.ToHexStringLower(hash.GetCurrentHash());
    }
}
