using System.Diagnostics;
using System.Globalization;

namespace ModelPipeline.Core;

/// <summary>Writes files and folders so that a reader sees the old content or the whole new one, never a part.</summary>
public static class AtomicFile
{
    /// <summary>Marks names that are not finished; <c>Clean</c> may delete whatever carries it.</summary>
    public const string TemporarySuffix = ".partial";

    private const int MostDeletions = 100;

    /// <summary>Writes to a temporary name beside <paramref name="path"/>, flushes to disk, then renames. On failure the temporary file is
    /// deleted.</summary>
    public static void Write(string path, Action<Stream> write)
    {
        using var unfinished = new Unfinished(path);
        using (var stream = unfinished.Create())
        {
            write(stream);
            stream.Flush(flushToDisk: true);
        }
        unfinished.Rename();
    }

    /// <inheritdoc cref="Write"/>
    public static async Task WriteAsync(string path, Func<Stream, Task> write)
    {
        using var unfinished = new Unfinished(path);
        await using (var stream = unfinished.Create())
        {
            await write(stream).ConfigureAwait(false);
            stream.Flush(flushToDisk: true);
        }
        unfinished.Rename();
    }

    /// <summary>UTF-8 without a byte order mark.</summary>
    public static void WriteText(string path, string text) => Write(path, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(text)));

    /// <summary>Fills a temporary folder beside <paramref name="path"/>, then puts it in the place of <paramref name="path"/>. On failure
    /// the temporary folder is deleted.</summary>
    public static void WriteFolder(string path, Action<string> fill)
    {
        using var unfinished = new Unfinished(path);
        fill(unfinished.CreateFolder());
        unfinished.Rename();
    }

    /// <inheritdoc cref="WriteFolder"/>
    public static async Task WriteFolderAsync(string path, Func<string, Task> fill)
    {
        using var unfinished = new Unfinished(path);
        await fill(unfinished.CreateFolder()).ConfigureAwait(false);
        unfinished.Rename();
    }

    /// <summary>Deletes a folder if it is there. When a run is interrupted, who made it and <see cref="DeleteUnfinished"/> do so at once:
    /// each misses what the other has just deleted, at which Directory.Delete gives up.</summary>
    internal static void DeleteFolder(string path)
    {
        for (var again = 1; Directory.Exists(path); again++)
        {
            try
            {
                Directory.Delete(path, recursive: true);
            }
            catch (IOException) when (again < MostDeletions)
            {
                Thread.Sleep(1);
            }
        }
    }

    /// <summary>Deletes what this process had not finished below <paramref name="folder"/>: the last resort when it has to stop at
    /// once.</summary>
    public static void DeleteUnfinished(string folder) => Delete(folder, $"*.{Environment.ProcessId}-*{TemporarySuffix}");

    /// <summary>Deletes what any process left unfinished below <paramref name="folder"/>, in which none may be at work.</summary>
    public static void DeleteAbandoned(string folder) => Delete(folder, $"*{TemporarySuffix}");

    /// <summary>Deletes what processes of this machine that are no more left unfinished of one file or folder. For places that no
    /// <see cref="WorkFolder"/> guards.</summary>
    internal static void DeleteRemains(string path)
    {
        var full = Path.GetFullPath(path);
        var (folder, name) = (Path.GetDirectoryName(full)!, Path.GetFileName(full));
        if (!Directory.Exists(folder))
            return;
        foreach (var entry in Directory.EnumerateFileSystemEntries(folder, $"{name}.*-*{TemporarySuffix}").ToList())
        {
            var owner = Path.GetFileName(entry)[(name.Length + 1)..].Split('-')[0];
            if (!int.TryParse(owner, NumberStyles.None, CultureInfo.InvariantCulture, out var process) || IsRunning(process))
                continue;
            if (Directory.Exists(entry))
                DeleteFolder(entry);
            else
                File.Delete(entry);
        }
    }

    private static bool IsRunning(int process)
    {
        try
        {
            using var found = Process.GetProcessById(process);
            return true;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    private static void Delete(string folder, string pattern)
    {
        if (!Directory.Exists(folder))
            return;
        foreach (var path in Directory.EnumerateFileSystemEntries(folder, pattern, SearchOption.AllDirectories).ToList())
        {
            if (Directory.Exists(path))
                DeleteFolder(path);
            else if (File.Exists(path)) // Some go with the folder that they are in.
                File.Delete(path);
        }
    }

    /// <summary>A name beside <paramref name="path"/> that is this process' own, and that <see cref="DeleteUnfinished"/> and
    /// <see cref="DeleteRemains"/> know.</summary>
    internal static string TemporaryName(string path) =>
        $"{Path.GetFullPath(path)}.{Environment.ProcessId}-{Guid.NewGuid():N}{TemporarySuffix}";

    /// <summary>A file or folder under a temporary name, which is deleted unless it was renamed.</summary>
    private sealed class Unfinished : IDisposable
    {
        private readonly string path;
        private readonly string temporary;

        /// <summary>Of the folder that is replaced, until it is deleted.</summary>
        private readonly string replaced;

        public Unfinished(string path)
        {
            this.path = Path.GetFullPath(path);
            (temporary, replaced) = (TemporaryName(path), TemporaryName(path));
            Directory.CreateDirectory(Path.GetDirectoryName(this.path)!);
        }

        public FileStream Create() => new(temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 1 << 16);

        public string CreateFolder() => Directory.CreateDirectory(temporary).FullName;

        public void Rename()
        {
            if (Directory.Exists(temporary))
            {
                // Deleting takes time, in which nobody may find a part under the name.
                if (Directory.Exists(path))
                    Directory.Move(path, replaced);
                try
                {
                    Directory.Move(temporary, path);
                }
                catch when (Directory.Exists(replaced) && !Path.Exists(path))
                {
                    Directory.Move(replaced, path);
                    throw;
                }
            }
            else
                File.Move(temporary, path, overwrite: true);
        }

        public void Dispose()
        {
            DeleteFolder(temporary);
            DeleteFolder(replaced);
            File.Delete(temporary);
        }
    }
}
