using System.Globalization;
using System.Text;

namespace ModelPipeline.Devices;

/// <summary>Keeps a second pipeline off this board's NPU. The same file, and the same flock(2), as the agent's: whoever holds it loses it when its process ends.</summary>
internal sealed class BoardLock : IDisposable
{
    private readonly FileStream file;

    private BoardLock(FileStream file) => this.file = file;

    public static string Path => Environment.GetEnvironmentVariable("MODELPIPELINE_LOCK") ?? "/tmp/modelpipeline-npu.lock";

    /// <exception cref="PipelineException">Another pipeline has the board for longer than <paramref name="limit"/>.</exception>
    public static async Task<BoardLock> TakeAsync(TimeSpan limit, CancellationToken cancellation)
    {
        var end = DateTime.UtcNow + limit;
        while (true)
        {
            try
            {
                return new BoardLock(Open());
            }
            catch (IOException) when (DateTime.UtcNow < end)
            {
                await Task.Delay(500, cancellation).ConfigureAwait(false);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new PipelineException($"this board is in use: another process holds {Path}. Wait for it, or end it.", inner: e);
            }
        }
    }

    public void Dispose() => file.Dispose();

    private static FileStream Open()
    {
        var stream = new FileStream(Path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        stream.SetLength(0);
        stream.Write(Encoding.ASCII.GetBytes(Environment.ProcessId.ToString(CultureInfo.InvariantCulture)));
        stream.Flush();
        return stream;
    }
}
