using System.Diagnostics;

namespace ModelPipeline.Devices;

/// <summary>A temporary folder of this process. One whose owner was killed is removed when the next of its kind is made.</summary>
internal sealed class OwnedFolder : IAsyncDisposable
{
    /// <summary>Locked by the owner for as long as it lives.</summary>
    private const string Owner = "owner";

    /// <summary>A folder that is younger may not have been locked yet.</summary>
    private static readonly TimeSpan Settled = TimeSpan.FromMinutes(1);

    /// <summary>For what still writes into the folder to end.</summary>
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(5);

    private readonly DirectoryInfo folder;
    private readonly FileStream owner;

    /// <param name="kind">Begins the folder's name.</param>
    public OwnedFolder(string kind)
    {
        foreach (
            var old in new DirectoryInfo(System.IO.Path.GetTempPath())
                .EnumerateDirectories(kind + "*")
                .Where(old => old.LinkTarget is null && old.LastWriteTimeUtc < DateTime.UtcNow - Settled)
        )
            DeleteIfAbandoned(old);
        folder = Directory.CreateTempSubdirectory(kind);
        owner = new FileStream(this[Owner], FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None);
    }

    public string Path => folder.FullName;

    /// <summary>The path of something in it.</summary>
    public string this[string name] => System.IO.Path.Combine(folder.FullName, name);

    public async ValueTask DisposeAsync()
    {
        var waited = Stopwatch.StartNew();
        while (!TryDelete(folder) && waited.Elapsed < EndLimit)
            await Task.Delay(50).ConfigureAwait(false);
        await owner.DisposeAsync().ConfigureAwait(false);
    }

    private static void DeleteIfAbandoned(DirectoryInfo old)
    {
        try
        {
            using var alone = new FileStream(
                System.IO.Path.Combine(old.FullName, Owner),
                FileMode.Open,
                FileAccess.ReadWrite,
                FileShare.None
            );
            TryDelete(old);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // In use, another user's, or none of ours.
        }
    }

    /// <summary>False while something is still written there.</summary>
    private static bool TryDelete(DirectoryInfo folder)
    {
        try
        {
            folder.Delete(recursive: true);
            return true;
        }
        catch (IOException)
        {
            return !Directory.Exists(folder.FullName);
        }
    }
}
