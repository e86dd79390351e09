namespace ModelPipeline.Core;

/// <summary>
/// A folder that several runs may work in at once. Each holds its lock, shared, to the end; one that finds nobody else there first deletes
/// what killed runs left unfinished.
/// </summary>
public sealed class WorkFolder : IDisposable
{
    /// <summary>Name of the lock in the folder. It stays.</summary>
    public const string LockName = ".lock";

    private readonly FileStream _shared;

    private WorkFolder(FileStream shared) => _shared = shared;

    /// <summary>Makes the folder if it is missing, tidies it up if nobody is at work there, and joins those who are.</summary>
    /// <param name="folder">Only what lies in its folders <paramref name="parts"/> is tidied up: the rest may be anybody's.</param>
    /// <param name="parts">Names.</param>
    /// <param name="cancellation">Ends waiting for another run that tidies up.</param>
    public static async Task<WorkFolder> EnterAsync(string folder, IEnumerable<string> parts, CancellationToken cancellation)
    {
        Directory.CreateDirectory(folder);
        var path = Path.Combine(folder, LockName);
        using (var alone = FileLock.TryTake(path))
        {
            if (alone is not null)
            {
                foreach (var part in parts)
                    AtomicFile.DeleteAbandoned(Path.Combine(folder, part));
            }
        }
        return new(await FileLock.ShareAsync(path, cancellation).ConfigureAwait(false));
    }

    public void Dispose() => _shared.Dispose();
}
