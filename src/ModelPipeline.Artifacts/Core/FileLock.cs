namespace ModelPipeline.Core;

/// <summary>Files that one process or thread has open alone. The system ends such a lock with the process that holds it; the file stays, as
/// whoever waits may have it open already.</summary>
internal static class FileLock
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);

    /// <summary>Null if somebody else has the file, or it is missing and is not to be made.</summary>
    public static FileStream? TryTake(string path, FileMode mode = FileMode.OpenOrCreate) =>
        TryOpen(path, mode, FileAccess.ReadWrite, FileShare.None);

    private static FileStream? TryOpen(string path, FileMode mode, FileAccess access, FileShare share)
    {
        try
        {
            return new FileStream(path, mode, access, share);
        }
        catch (IOException) when (File.Exists(path) || mode == FileMode.Open)
        {
            return null;
        }
    }

    /// <summary>Waits until nobody else has the file.</summary>
    public static Task<FileStream> TakeAsync(string path, CancellationToken cancellation) => WaitAsync(() => TryTake(path), cancellation);

    /// <summary>Waits until nobody has the file alone, and keeps others from that.</summary>
    public static Task<FileStream> ShareAsync(string path, CancellationToken cancellation) =>
        WaitAsync(() => TryOpen(path, FileMode.OpenOrCreate, FileAccess.Read, FileShare.Read), cancellation);

    private static async Task<FileStream> WaitAsync(Func<FileStream?> open, CancellationToken cancellation)
    {
        while (true)
        {
            if (open() is { } file)
                return file;
            await Task.Delay(Poll, cancellation).ConfigureAwait(false);
        }
    }
}
