using ModelPipeline.Core;

namespace ModelPipeline.Artifacts.Downloads;

/// <summary>
/// Finished downloads by their content, <c>sha256/{hex}/{name}</c>, and unfinished ones under <c>partial/</c>. What a consumer knows of
/// releases is in <see cref="Releases"/>. Shared by processes: one of
/// them downloads a content at a time, and what any of them uses is not evicted. File locks end with the process that holds them.
/// </summary>
internal sealed class ContentCache(string folder, long limit) : IDisposable
{
    /// <summary>Folder of the cache with SHA256SUMS of releases, by their URLs.</summary>
    public const string Releases = "releases";

    /// <summary>An unfinished download that nobody went on with for so long is dropped.</summary>
    private static readonly TimeSpan Abandoned = TimeSpan.FromDays(7);

    private readonly Dictionary<string, FileStream> _used = [];

    private string Contents => Path.Combine(folder, "sha256");

    private string Partials => Path.Combine(folder, "partial");

    /// <summary>The name is only for people; what is no plain file name in it is replaced.</summary>
    public string PathOf(string sha256, string name)
    {
        var safe = string.Concat(name.Select(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-' ? c : '_')).TrimStart('.');
        return Path.Combine(Contents, sha256, safe.Length == 0 ? "content" : safe);
    }

    public string PartialPathOf(ContentDigest digest) => Path.Combine(Partials, $"{digest.Name}-{digest.Hex}");

    /// <summary>Marks a file of the cache as just used, and as in use until this cache is disposed of. False if it is not there.</summary>
    public bool TryUse(string path)
    {
        lock (_used)
        {
            try
            {
                // Opened to be shared: an eviction, which asks for the file alone, passes it over.
                var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
                if (_used.Remove(path, out var before))
                    before.Dispose();
                _used[path] = file;
                File.SetLastAccessTimeUtc(path, DateTime.UtcNow);
                return true;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return false;
            }
        }
    }

    /// <summary>Waits until no other process or thread downloads this content.</summary>
    public Task<FileStream> LockAsync(ContentDigest digest, CancellationToken cancellation)
    {
        Directory.CreateDirectory(Partials);
        return FileLock.TakeAsync(PartialPathOf(digest) + ".lock", cancellation);
    }

    /// <summary>Deletes what was not used for longest until the limit is kept, and abandoned downloads. What any process uses
    /// stays.</summary>
    public void Evict()
    {
        foreach (
            var partial in Files(Partials).Where(file => file.Extension.Length == 0 && file.LastWriteTimeUtc < DateTime.UtcNow - Abandoned)
        )
            DeletePartial(partial);
        var contents = Files(Contents).OrderBy(file => file.LastAccessTimeUtc).ToList();
        var excess = contents.Sum(file => file.Length) - limit;
        foreach (var file in contents.TakeWhile(_ => excess > 0))
            excess -= DeleteContent(file);
    }

    /// <summary>Deletes all but what a process uses. Returns the bytes freed.</summary>
    public long Clear() =>
        Files(Contents).Concat(Files(Path.Combine(folder, Releases))).Sum(DeleteContent)
        + Files(Partials).Where(file => file.Extension.Length == 0).Sum(DeletePartial);

    public void Dispose()
    {
        foreach (var file in _used.Values)
            file.Dispose();
    }

    private static long DeleteContent(FileInfo file)
    {
        using var alone = FileLock.TryTake(file.FullName, FileMode.Open);
        if (alone is null)
            return 0;
        var bytes = file.Length;
        file.Delete();
        try
        {
            file.Directory!.Delete();
        }
        catch (IOException)
        {
            // It holds the same content under another name.
        }
        return bytes;
    }

    private static long DeletePartial(FileInfo file)
    {
        using var alone = FileLock.TryTake(file.FullName + ".lock");
        if (alone is null)
            return 0;
        var bytes = file.Length;
        file.Delete();
        File.Delete(file.FullName + ".validator");
        return bytes;
    }

    /// <summary>As they are now; other processes may delete some at any time.</summary>
    private static List<FileInfo> Files(string folder)
    {
        if (!Directory.Exists(folder))
            return [];
        return
        [
            .. new DirectoryInfo(folder)
                .EnumerateFiles("*", SearchOption.AllDirectories)
                .Where(file =>
                {
                    file.Refresh();
                    return file.Exists;
                }),
        ];
    }
}
