using System.Security.Cryptography;
using System.Text;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;

namespace ModelPipeline.Artifacts;

/// <summary>
/// Brings released artifacts to this machine: through SHA256SUMS and manifest.json, into a content-addressed cache that processes share.
/// A release at a URL never changes once it is published, so that what the cache holds of it is not asked for again.
/// </summary>
/// <param name="fetcher">Downloads, and keeps the cache. What it gave out stays there until it is disposed of.</param>
public sealed class ArtifactRestore(SourceFetcher fetcher)
{
    /// <summary>Restores one variant.</summary>
    /// <exception cref="ArtifactException">The request is unsound, or the release cannot be had or is not what it should be.</exception>
    public async Task<RestoredArtifact> RunAsync(
        ArtifactRequest request,
        ReleaseSource source,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellation = default
    )
    {
        request.RequireSound();
        try
        {
            var sums = await SumsAsync(request, source.File(request.Model, request.Version, ArtifactManifest.SumsName), cancellation)
                .ConfigureAwait(false);
            var manifestFile = await FileAsync(ArtifactManifest.FileName, null).ConfigureAwait(false);
            var manifest = ArtifactException.Because(
                ArtifactFault.Malformed,
                () => PackageCheck.ReadManifest<ArtifactManifest>(manifestFile.Path)
            );
            if (manifest.Name != request.Model || manifest.Version != request.Version)
            {
                throw new ArtifactException(
                    ArtifactFault.Malformed,
                    $"{Shown(ArtifactManifest.FileName)} is of {manifest.Name} {manifest.Version}, not of "
                        + $"{request.Model} {request.Version}."
                );
            }
            var files = new List<RestoredFile>();
            foreach (var file in Chosen(request, manifest))
            {
                var restored = await FileAsync(file.Name, file.Role).ConfigureAwait(false);
                files.Add(
                    restored.Sha256 == file.Digest.Sha256
                        ? restored
                        : throw new ArtifactException(
                            ArtifactFault.File,
                            $"{file.Name} of {source}: SHA256SUMS says {restored.Sha256}, manifest.json {file.Digest.Sha256}. The release "
                                + $"is damaged: tell its publisher."
                        )
                );
            }
            return new RestoredArtifact(manifest, [.. files, manifestFile]);

            string Shown(string name) => HttpSource.Shown(source.File(request.Model, request.Version, name));

            async Task<RestoredFile> FileAsync(string name, PackageRole? role)
            {
                if (!sums.TryGetValue(name, out var sha256))
                    throw new ArtifactException(
                        ArtifactFault.Malformed,
                        $"{Shown(ArtifactManifest.SumsName)} does not cover {name}. The release is damaged: tell its publisher."
                    );
                return new(
                    name,
                    await CachedAsync(source.File(request.Model, request.Version, name), name, sha256, progress, cancellation)
                        .ConfigureAwait(false),
                    sha256,
                    role
                );
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ArtifactException(
                ArtifactFault.Storage,
                $"{fetcher.Cache}: the cache cannot be used: {e.Message} Free space there, or choose another folder for it.",
                e
            );
        }
    }

    /// <summary>The variant's models and what every variant needs, in the manifest's order.</summary>
    private static IEnumerable<PackageFile> Chosen(ArtifactRequest request, ArtifactManifest manifest)
    {
        var models = manifest.Files.Where(file => file.Role == PackageRole.Model).ToList();
        var fitting = models.Where(file => Fits(request.Variant, file.Variant) && Fits(request.Platform, file.Platform)).ToList();
        if (fitting.DistinctBy(file => (file.Variant, file.Platform)).Count() != 1)
        {
            var wanted = string.Join(" for ", new[] { request.Variant, request.Platform }.OfType<string>());
            throw new ArtifactException(
                ArtifactFault.NoSuchVariant,
                $"{request.Model} {request.Version} has {(fitting.Count == 0 ? $"no variant {wanted}" : "several variants")}. Ask for one "
                    + $"of: {string.Join(", ", models.Select(file => $"{file.Variant} for {file.Platform}").Distinct())}."
                    + string.Concat(manifest.Omitted.Select(variant => $" Not released: {variant.Sentence}."))
            );
        }
        return fitting.Find(file => file.Simulated) is { } simulated
            ? throw new ArtifactException(
                ArtifactFault.Malformed,
                $"{simulated.Name} only emulates what an NPU computes; a release must not hold it. Tell its publisher."
            )
            : fitting.Concat(
                manifest.Files.Where(file => file.Role is PackageRole.Vocabulary or PackageRole.Environment or PackageRole.Serving)
            );

        static bool Fits(string? wanted, string? there) =>
            wanted is null || string.Equals(wanted, there, StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>The release's sha256 by name: a folder's as it is now, a URL's from the cache if it was read before.</summary>
    private async Task<Dictionary<string, string>> SumsAsync(ArtifactRequest request, Uri address, CancellationToken cancellation)
    {
        if (address.IsFile)
            return Checked(ExistingFile(address, ArtifactFault.Unreachable));
        var known = Path.Combine(
            fetcher.Cache,
            ContentCache.Releases,
            Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(address.AbsoluteUri)))
        );
        if (!File.Exists(known) || (!fetcher.IsOffline && !IsPinned(known)))
        {
            var text = await OnlineAsync(
                    ArtifactFault.Unreachable,
                    address,
                    () => fetcher.ReadAsync(address, PackageCheck.MaxTextBytes, cancellation)
                )
                .ConfigureAwait(false);
            // What is kept is not asked for again.
            ArtifactException.Because(ArtifactFault.Malformed, () => PackageCheck.ReadSums(text, HttpSource.Shown(address)));
            AtomicFile.Write(known, stream => stream.Write(text));
        }
        return Checked(known);

        bool IsPinned(string path) =>
            request.Sha256 is null || request.Sha256.Equals(FileDigest.Of(path, cancellation).Sha256, StringComparison.OrdinalIgnoreCase);

        Dictionary<string, string> Checked(string path) =>
            IsPinned(path)
                ? ArtifactException.Because(ArtifactFault.Malformed, () => PackageCheck.ReadSums(path))
                : throw new ArtifactException(
                    ArtifactFault.Malformed,
                    $"{HttpSource.Shown(address)}: sha256 is {FileDigest.Of(path, cancellation).Sha256}, but {request.Sha256} is pinned. "
                        + $"Another release is under this name and version, or the pin is another version's."
                );
    }

    private async Task<string> CachedAsync(
        Uri address,
        string name,
        string sha256,
        IProgress<StageProgress>? progress,
        CancellationToken cancellation
    )
    {
        if (await fetcher.FindAsync(sha256, name, progress, cancellation).ConfigureAwait(false) is { } cached)
            return cached.Path;
        var brought = address.IsFile
            ? await ArtifactException
                .Because(ArtifactFault.File, () => fetcher.AddAsync(ExistingFile(address, ArtifactFault.File), name, sha256, cancellation))
                .ConfigureAwait(false)
            : await OnlineAsync(
                    ArtifactFault.File,
                    address,
                    () => fetcher.FetchAsync(new SourceSpec { Url = address, Sha256 = sha256 }, progress, cancellation)
                )
                .ConfigureAwait(false);
        return brought.Path;
    }

    private Task<T> OnlineAsync<T>(ArtifactFault fault, Uri address, Func<Task<T>> download) =>
        fetcher.IsOffline
            ? throw new ArtifactException(
                ArtifactFault.Offline,
                $"{HttpSource.Shown(address)} is not in the cache, and downloads are off. Restore it once online, or allow downloads."
            )
            : ArtifactException.Because(fault, download);

    private static string ExistingFile(Uri address, ArtifactFault fault)
    {
        var path = address.LocalPath;
        if (!File.Exists(path))
            throw new ArtifactException(
                fault,
                $"{path} is missing: there is no such release, or it is incomplete. Check name, version and source."
            );
        try
        {
            using var readable = File.OpenRead(path);
            return path;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ArtifactException(fault, $"{path} of the release cannot be read: {e.Message} Check its permissions.", e);
        }
    }
}
