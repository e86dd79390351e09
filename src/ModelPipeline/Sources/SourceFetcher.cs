using ModelPipeline.Manifest;

namespace ModelPipeline.Sources;

/// <summary>A source's verified content on this machine.</summary>
/// <param name="Path">Absolute; not to be written to.</param>
/// <param name="Sha256">Lower-case hex.</param>
/// <param name="Bytes">Length.</param>
/// <param name="Commit">What a Hugging Face revision stands for; null when it was not asked.</param>
public sealed record FetchedFile(string Path, string Sha256, long Bytes, string? Commit = null);

/// <summary>Turns sources into verified local files. Downloads go to a content-addressed cache: {cache}/sha256/{hex}/{name}. Safe to share between threads.</summary>
public sealed class SourceFetcher : IDisposable
{
    private readonly HttpSource _http;
    private readonly HuggingFaceHub _hub;

    /// <param name="cache">Folder of the cache; made when needed.</param>
    /// <param name="hub">Hugging Face endpoint.</param>
    /// <param name="hubToken">Sent to <paramref name="hub"/> alone.</param>
    /// <param name="patience">Longest wait for a server's next bytes; 60 s by default.</param>
    public SourceFetcher(string cache, Uri hub, string? hubToken = null, TimeSpan? patience = null)
    {
        Cache = Path.GetFullPath(cache);
        _http = new HttpSource(hub, hubToken, patience ?? TimeSpan.FromSeconds(60));
        _hub = new HuggingFaceHub(_http, hub);
    }

    /// <summary>As the environment says: MODELPIPELINE_CACHE, or modelpipeline in XDG_CACHE_HOME or ~/.cache; HF_ENDPOINT; HF_TOKEN.</summary>
    /// <param name="variable">Gives an environment variable's value.</param>
    /// <exception cref="PipelineException">HF_ENDPOINT is no URL.</exception>
    public static SourceFetcher FromEnvironment(Func<string, string?> variable)
    {
        string? Set(string name) => variable(name) is { Length: > 0 } value ? value : null;
        var cache = Set("MODELPIPELINE_CACHE") ?? Path.Combine(
            Set("XDG_CACHE_HOME") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"), "modelpipeline");
        var endpoint = Set("HF_ENDPOINT") ?? "https://huggingface.co";
        return Uri.TryCreate(endpoint, UriKind.Absolute, out var hub) && hub.Scheme is "http" or "https"
            ? new SourceFetcher(cache, hub, Set("HF_TOKEN"))
            : throw new PipelineException($"HF_ENDPOINT: '{endpoint}' is no http or https URL.", PipelineException.ConfigurationError);
    }

    /// <summary>Absolute path of the cache folder.</summary>
    public string Cache { get; }

    public void Dispose() => _http.Dispose();

    /// <summary>A <c>file:</c> is verified where it is; a <c>url:</c> or <c>huggingface:</c> is taken from the cache if it is there and whole, else downloaded to it.</summary>
    /// <exception cref="PipelineException">The content cannot be had or is not what was declared; nothing of it is kept.</exception>
    public async Task<FetchedFile> FetchAsync(SourceSpec source, IProgress<StageProgress>? progress = null, CancellationToken cancellation = default)
    {
        if (source.File is { } file)
            return await VerifyAsync(file, source, progress, cancellation).ConfigureAwait(false);
        if (source.Url is { } url)
        {
            if (url.Scheme is not ("http" or "https"))
                throw new PipelineException($"source url '{url}' is neither http nor https.", PipelineException.ConfigurationError);
            var declared = ContentDigest.Sha256(Declared(source, HttpSource.Shown(url)));
            return await CachedAsync(url, declared, null, source.MaxBytes, Path.GetFileName(url.LocalPath), progress, cancellation).ConfigureAwait(false);
        }
        var hugging = source.HuggingFace ?? throw new PipelineException("A source needs one of file, url, huggingface.", PipelineException.ConfigurationError);
        var name = hugging.File.Split('/')[^1];
        if (source.Sha256 is { } known && await FindAsync(ContentDigest.Sha256(known), name, progress, cancellation).ConfigureAwait(false) is { } hit)
            return hit;
        var resolved = await _hub.ResolveAsync(hugging, cancellation).ConfigureAwait(false);
        var fetched = await CachedAsync(resolved.Uri, resolved.Digest, resolved.Bytes, source.MaxBytes, name, progress, cancellation).ConfigureAwait(false);
        return source.Sha256 is { } sha256 && !fetched.Sha256.Equals(sha256, StringComparison.OrdinalIgnoreCase)
            ? throw new PipelineException(
                $"{resolved.Uri}: sha256 is {fetched.Sha256}, but {sha256} is declared; if the file was meant to change, set sha256: {fetched.Sha256}, else name the commit it had.")
            : fetched with { Commit = resolved.Commit };
    }

    private static async Task<FetchedFile> VerifyAsync(string path, SourceSpec source, IProgress<StageProgress>? progress, CancellationToken cancellation)
    {
        var declared = Declared(source, path);
        var found = await HashAsync(path, source.MaxBytes, $"Verifying {Path.GetFileName(path)}", progress, cancellation).ConfigureAwait(false);
        return found.Sha256.Equals(declared, StringComparison.OrdinalIgnoreCase)
            ? found
            : throw new PipelineException(
                $"{path}: sha256 is {found.Sha256}, but {declared} is declared; restore the file, or if it was meant to change set sha256: {found.Sha256}.");
    }

    private async Task<FetchedFile> CachedAsync(
        Uri uri, ContentDigest digest, long? bytes, long maxBytes, string name, IProgress<StageProgress>? progress, CancellationToken cancellation)
    {
        if (await FindAsync(digest, name, progress, cancellation).ConfigureAwait(false) is { } hit)
            return hit;
        if (bytes > maxBytes)
            throw new PipelineException($"{uri}: {bytes} bytes, longer than the {maxBytes} allowed; raise max_bytes of the source if that is meant.");
        var path = CachePath(digest, name);
        var (sha256, length) = ("", 0L);
        try
        {
            await AtomicFile.WriteAsync(path, async stream =>
            {
                (sha256, length) = await _http.DownloadAsync(
                    uri, stream, bytes, maxBytes, total => HashingCopy.Report(progress, $"Fetching {name}", total), cancellation).ConfigureAwait(false);
                var actual = digest.Algorithm == DigestAlgorithm.Sha256
                    ? ContentDigest.Sha256(sha256)
                    : await ContentDigest.GitBlobSha1Async(stream, cancellation).ConfigureAwait(false);
                if (actual != digest)
                    throw new PipelineException(
                        $"{HttpSource.Shown(uri)}: {digest.Name} is {actual.Hex}, but {digest.Hex} is expected ({length} bytes came); the file changed or was altered on the way: check the source, then its sha256.");
            }).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PipelineException($"{path}: cannot be written: {e.Message}; free space there or set MODELPIPELINE_CACHE to another folder.", inner: e);
        }
        return new FetchedFile(path, sha256, length);
    }

    /// <summary>Hashes the cached file again; one that is damaged counts as absent and will be replaced.</summary>
    private async Task<FetchedFile?> FindAsync(ContentDigest digest, string name, IProgress<StageProgress>? progress, CancellationToken cancellation)
    {
        var path = CachePath(digest, name);
        if (!File.Exists(path))
            return null;
        var found = await HashAsync(path, long.MaxValue, $"Verifying {name}", progress, cancellation).ConfigureAwait(false);
        if (digest.Algorithm == DigestAlgorithm.Sha256)
            return found.Sha256 == digest.Hex ? found : null;
        await using var stream = OpenRead(path);
        return await ContentDigest.GitBlobSha1Async(stream, cancellation).ConfigureAwait(false) == digest ? found : null;
    }

    private static async Task<FetchedFile> HashAsync(string path, long maxBytes, string activity, IProgress<StageProgress>? progress, CancellationToken cancellation)
    {
        await using var stream = OpenRead(path);
        if (stream.Length > maxBytes)
            throw new PipelineException($"{path}: {stream.Length} bytes, longer than the {maxBytes} allowed; check the path, or raise max_bytes of the source.");
        var (sha256, bytes) = await HashingCopy.RunAsync(stream, Stream.Null, HashingCopy.Report(progress, activity, stream.Length), cancellation).ConfigureAwait(false);
        return new FetchedFile(path, sha256, bytes);
    }

    private static FileStream OpenRead(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, FileOptions.SequentialScan);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PipelineException($"{path}: cannot be read: {e.Message}", inner: e);
        }
    }

    private static string Declared(SourceSpec source, string what) =>
        source.Sha256 ?? throw new PipelineException($"{what}: the source has no sha256; it is required for file and url sources.", PipelineException.ConfigurationError);

    /// <summary>The name is only for people; what is no plain file name in it is replaced.</summary>
    private string CachePath(ContentDigest digest, string name)
    {
        var safe = string.Concat(name.Select(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-' ? c : '_')).TrimStart('.');
        return Path.Combine(Cache, digest.Name, digest.Hex, safe.Length == 0 ? "content" : safe);
    }
}
