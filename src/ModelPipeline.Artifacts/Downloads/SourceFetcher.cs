using System.Security.Cryptography;
using ModelPipeline.Core;

namespace ModelPipeline.Artifacts.Downloads;

/// <summary>A source's verified content on this machine.</summary>
/// <param name="Path">Absolute; not to be written to.</param>
/// <param name="Sha256">Lower-case hex.</param>
/// <param name="Bytes">Length.</param>
/// <param name="Commit">What a Hugging Face revision stands for; null when it was not asked.</param>
public sealed record FetchedFile(string Path, string Sha256, long Bytes, string? Commit = null);

/// <summary>
/// Turns sources into verified local files. Downloads go to a content-addressed cache, {cache}/sha256/{hex}/{name}; what this fetcher gave
/// out stays there until it is disposed of. Safe to share between threads, and the cache between processes.
/// </summary>
public sealed class SourceFetcher : IDisposable
{
    private readonly SourceSettings _settings;
    private readonly HttpSource _http;
    private readonly HuggingFaceHub _hub;
    private readonly ContentCache _cache;

    public SourceFetcher(SourceSettings settings)
    {
        _settings = settings;
        _http = new HttpSource(settings);
        _hub = new HuggingFaceHub(_http, settings.Hub);
        _cache = new ContentCache(settings.Cache, settings.CacheLimit);
    }

    /// <summary>Absolute path of the cache folder.</summary>
    public string Cache => _settings.Cache;

    /// <summary>Nothing is asked of the network.</summary>
    public bool IsOffline => _settings.Offline;

    public void Dispose()
    {
        _http.Dispose();
        _cache.Dispose();
    }

    /// <summary>Deletes all downloads, finished or not, but those that a running pipeline uses. Returns the bytes freed.</summary>
    public long ClearCache() => _cache.Clear();

    /// <summary>A <c>file:</c> is verified where it is; a <c>url:</c> or <c>huggingface:</c> is taken from the cache if it is there and
    /// whole, else downloaded to it.</summary>
    /// <param name="source">Where from.</param>
    /// <param name="progress">Told bytes.</param>
    /// <param name="cancellation">Takes effect at once; an unfinished download is gone on with by the next call.</param>
    /// <exception cref="PipelineException">The content cannot be had or is not what was declared; what is wrong is not kept.</exception>
    public Task<FetchedFile> FetchAsync(
        SourceSpec source,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellation = default
    ) => FetchAsync(source, null, progress, cancellation);

    /// <inheritdoc cref="FetchAsync(SourceSpec, IProgress{StageProgress}?, CancellationToken)"/>
    /// <param name="source">Where from.</param>
    /// <param name="locked">What a Hugging Face source must be, whose revision is not looked up then, or a file without a declared
    /// sha256.</param>
    /// <param name="progress">Told bytes.</param>
    /// <param name="cancellation">Takes effect at once.</param>
    public async Task<FetchedFile> FetchAsync(
        SourceSpec source,
        LockedSource? locked,
        IProgress<StageProgress>? progress,
        CancellationToken cancellation
    )
    {
        if (source.File is { } file)
            return await VerifyAsync(file, source, locked, progress, cancellation).ConfigureAwait(false);
        if (source.Url is { } url)
        {
            if (url.Scheme is not ("http" or "https"))
                throw new PipelineException(
                    $"source url '{HttpSource.Shown(url)}' is neither http nor https.",
                    PipelineException.ConfigurationError
                );
            var declared = ContentDigest.Sha256(Declared(source, HttpSource.Shown(url)));
            return await CachedAsync(
                    new Wanted(url, Path.GetFileName(url.LocalPath), declared, null, source.MaxBytes),
                    progress,
                    cancellation
                )
                .ConfigureAwait(false);
        }
        var hugging =
            source.HuggingFace
            ?? throw new PipelineException("A source needs one of file, url, huggingface.", PipelineException.ConfigurationError);
        var name = hugging.File.Split('/')[^1];
        if (locked?.Commit is { } commit)
        {
            var pinned = new Wanted(
                _hub.AddressOf(hugging, commit),
                name,
                ContentDigest.Sha256(locked.Sha256),
                locked.Size,
                source.MaxBytes
            );
            return await CachedAsync(pinned, progress, cancellation).ConfigureAwait(false) with { Commit = commit };
        }
        if (source.Sha256 is { } known && await FindAsync(known, name, progress, cancellation).ConfigureAwait(false) is { } hit)
            return hit;
        if (_settings.Offline)
            throw new PipelineException(
                $"{HttpSource.Shown(_hub.AddressOf(hugging, hugging.Revision))}: what this revision stands for is not known offline; run "
                    + $"once without --offline."
            );
        var resolved = await _hub.ResolveAsync(hugging, cancellation).ConfigureAwait(false);
        var fetched = await CachedAsync(
                new Wanted(resolved.Uri, name, resolved.Digest, resolved.Bytes, source.MaxBytes),
                progress,
                cancellation
            )
            .ConfigureAwait(false);
        return source.Sha256 is { } sha256 && !fetched.Sha256.Equals(sha256, StringComparison.OrdinalIgnoreCase)
            ? throw new PipelineException(
                $"{HttpSource.Shown(resolved.Uri)}: sha256 is {fetched.Sha256}, but {sha256} is declared; if the file was meant to change, "
                    + $"set sha256: {fetched.Sha256}, else name the commit it had."
            )
            : fetched with
            {
                Commit = resolved.Commit,
            };
    }

    /// <summary>The files of a repository on the hub; null where the hub serves files without listing them.</summary>
    /// <exception cref="PipelineException">The hub cannot be reached, or refuses.</exception>
    internal async Task<HubListing?> ListAsync(HuggingFaceSource repository, CancellationToken cancellation)
    {
        const long MaxBytes = 16 << 20;
        try
        {
            return HubListing.Read(await ReadAsync(_hub.ListingOf(repository), MaxBytes, cancellation).ConfigureAwait(false));
        }
        catch (PipelineException e) when (HttpSource.HasNoSuchService(e))
        {
            return null;
        }
    }

    /// <summary>A short text whose digest is not known, past the cache.</summary>
    /// <exception cref="PipelineException">It cannot be had, or is longer than <paramref name="maxBytes"/>.</exception>
    internal Task<byte[]> ReadAsync(Uri uri, long maxBytes, CancellationToken cancellation) =>
        _http.RequestAsync(
            HttpMethod.Get,
            uri,
            _ => { },
            async (response, _, token) =>
            {
                if (response.Content.Headers.ContentLength > maxBytes)
                    throw new PipelineException(
                        $"{HttpSource.Shown(uri)}: {response.Content.Headers.ContentLength} bytes, longer than the {maxBytes} allowed; "
                            + $"check the URL."
                    );
                await response.Content.LoadIntoBufferAsync(maxBytes, token).ConfigureAwait(false);
                return await response.Content.ReadAsByteArrayAsync(token).ConfigureAwait(false);
            },
            cancellation
        );

    /// <summary>Copies a local file into the cache, in the place of what is there.</summary>
    /// <exception cref="PipelineException">Its content is another; nothing of it is kept.</exception>
    /// <exception cref="IOException">It cannot be read, or the cache not be written.</exception>
    internal async Task<FetchedFile> AddAsync(string file, string name, string sha256, CancellationToken cancellation)
    {
        using var alone = await _cache.LockAsync(ContentDigest.Sha256(sha256), cancellation).ConfigureAwait(false);
        var path = _cache.PathOf(sha256, name);
        var digest = new FileDigest(0, "");
        AtomicFile.Write(
            path,
            stream =>
            {
                using var source = File.OpenRead(file);
                if ((digest = FileDigest.Copy(source, stream, cancellation)).Sha256 != sha256)
                    throw new PipelineException(
                        $"{file}: sha256 is {digest.Sha256}, but {sha256} is expected; the file changed or was altered: copy it again."
                    );
            }
        );
        _cache.TryUse(path);
        _cache.Evict();
        return new FetchedFile(path, sha256, digest.Size);
    }

    private static async Task<FetchedFile> VerifyAsync(
        string path,
        SourceSpec source,
        LockedSource? locked,
        IProgress<StageProgress>? progress,
        CancellationToken cancellation
    )
    {
        var found = await HashAsync(path, source.MaxBytes, $"Verifying {Path.GetFileName(path)}", progress, cancellation)
            .ConfigureAwait(false);
        if (source.Sha256 is not { } declared)
            return locked is null || found.Sha256 == locked.Sha256
                ? found
                : throw new PipelineException(
                    $"{path}: sha256 is {found.Sha256}, but was {locked.Sha256} when models.lock.json was written; restore the file, or "
                        + $"if it was meant to change run --target=Update."
                );
        return found.Sha256.Equals(declared, StringComparison.OrdinalIgnoreCase)
            ? found
            : throw new PipelineException(
                $"{path}: sha256 is {found.Sha256}, but {declared} is declared; restore the file, or if it was meant to change set "
                    + $"sha256: {found.Sha256}."
            );
    }

    private async Task<FetchedFile> CachedAsync(Wanted wanted, IProgress<StageProgress>? progress, CancellationToken cancellation)
    {
        if (await FindAsync(wanted, progress, cancellation).ConfigureAwait(false) is { } hit)
            return hit;
        if (_settings.Offline)
            throw new PipelineException($"{HttpSource.Shown(wanted.Uri)}: not in the cache {Cache}; run once without --offline.");
        if (wanted.Bytes > wanted.MaxBytes)
            throw new PipelineException(
                $"{HttpSource.Shown(wanted.Uri)}: {wanted.Bytes} bytes, longer than the {wanted.MaxBytes} allowed; raise max_bytes of the "
                    + $"source if that is meant."
            );
        try
        {
            using var alone = await _cache.LockAsync(wanted.Digest, cancellation).ConfigureAwait(false);
            // Another process may have brought it meanwhile.
            if (await FindAsync(wanted, progress, cancellation).ConfigureAwait(false) is { } brought)
                return brought;
            using var partial = await PartialFile
                .OpenAsync(_cache.PartialPathOf(wanted.Digest), wanted.Bytes ?? wanted.MaxBytes, cancellation)
                .ConfigureAwait(false);
            var sha256 = await new Download(_http, _settings, wanted, partial, progress).RunAsync(cancellation).ConfigureAwait(false);
            var path = _cache.PathOf(sha256, wanted.Name);
            partial.Finish(path);
            _cache.TryUse(path);
            _cache.Evict();
            return new FetchedFile(path, sha256, partial.Length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PipelineException(
                $"{Cache}: cannot be written: {e.Message}; free space there or set MODELPIPELINE_CACHE to another folder.",
                inner: e
            );
        }
    }

    private Task<FetchedFile?> FindAsync(Wanted wanted, IProgress<StageProgress>? progress, CancellationToken cancellation) =>
        wanted.Digest.Algorithm == DigestAlgorithm.Sha256
            ? FindAsync(wanted.Digest.Hex, wanted.Name, progress, cancellation)
            : Task.FromResult<FetchedFile?>(null);

    /// <summary>Hashes the cached file again; one that is damaged counts as absent and will be replaced.</summary>
    internal async Task<FetchedFile?> FindAsync(
        string sha256,
        string name,
        IProgress<StageProgress>? progress,
        CancellationToken cancellation
    )
    {
        var path = _cache.PathOf(sha256.ToLowerInvariant(), name);
        if (!_cache.TryUse(path))
            return null;
        var found = await HashAsync(path, long.MaxValue, $"Verifying {name}", progress, cancellation).ConfigureAwait(false);
        return found.Sha256.Equals(sha256, StringComparison.OrdinalIgnoreCase) ? found : null;
    }

    private static async Task<FetchedFile> HashAsync(
        string path,
        long maxBytes,
        string activity,
        IProgress<StageProgress>? progress,
        CancellationToken cancellation
    )
    {
        try
        {
            await using var stream = new FileStream(
                path,
                FileMode.Open,
                FileAccess.Read,
                FileShare.Read,
                bufferSize: 0,
                FileOptions.SequentialScan
            );
            if (stream.Length > maxBytes)
                throw new PipelineException(
                    $"{path}: {stream.Length} bytes, longer than the {maxBytes} allowed; check the path, or raise max_bytes of the source."
                );
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var told = new TransferProgress(progress, activity) { Total = stream.Length };
            await hash.AppendAsync(stream, told.Add, cancellation).ConfigureAwait(false);
            return new FetchedFile(path, hash.CurrentHex(), stream.Position);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PipelineException($"{path}: cannot be read: {e.Message}", inner: e);
        }
    }

    private static string Declared(SourceSpec source, string what) =>
        source.Sha256
        ?? throw new PipelineException(
            $"{what}: the source has no sha256; it is required for url sources.",
            PipelineException.ConfigurationError
        );
}
