using System.Formats.Tar;
using System.IO.Compression;
using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Packaging;

/// <summary>A finished package.</summary>
/// <param name="Folder">Its files.</param>
/// <param name="Archive">The same as .tar.gz, beside the folder.</param>
/// <param name="Manifest">Content of its manifest.json.</param>
public sealed record Package(string Folder, string Archive, PackageManifest Manifest)
{
    /// <summary>
    /// Writes <c>model-version/</c> and then <c>model-version.tar.gz</c> into <paramref name="parent"/>, each at once or not at all,
    /// in the place of what was there. The same content makes the same bytes.
    /// </summary>
    /// <param name="content">What to package.</param>
    /// <param name="parent">A folder; made if missing.</param>
    /// <param name="progress">Bytes written, copy and archive together.</param>
    /// <param name="cancellation">Takes effect within a block of 1 MiB.</param>
    /// <exception cref="PipelineException">The content is not sound, a file is missing or not what was validated.</exception>
    public static async Task<Package> WriteAsync(
        PackageContent content,
        string parent,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellation = default
    )
    {
        content.RequireSound();
        var folder = Path.Combine(parent, PackageManifest.FolderName(content.Model.Name, content.Model.Version));
        var archive = folder + ".tar.gz";
        var total = content.Files.Sum(file =>
            new FileInfo(file.Path) is { Exists: true } info
                ? info.Length * 2
                : throw new PipelineException($"package: {file.Path} is missing. Run the stage that makes {file.Name} again.")
        );
        long done = 0;
        PackageManifest? manifest = null;
        AtomicFile.WriteFolder(folder, temporary => manifest = Fill(temporary, content, Advance, cancellation));
        await AtomicFile.WriteAsync(archive, stream => ArchiveAsync(folder, stream, Advance, cancellation)).ConfigureAwait(false);
        return new(folder, archive, manifest!);

        void Advance(long bytes) => progress?.Report(new("package", Math.Min(done += bytes, total), total));
    }

    /// <summary>Removes folder and archive of the model's version, if there are any.</summary>
    public static void Delete(ModelSpec model, string parent)
    {
        var folder = Path.Combine(parent, PackageManifest.FolderName(model.Name, model.Version));
        if (!Directory.Exists(parent))
            return;
        File.Delete(folder + ".tar.gz");
        AtomicFile.DeleteFolder(folder);
    }

    private static PackageManifest Fill(string folder, PackageContent content, Action<long> advance, CancellationToken cancellation)
    {
        var files = new List<PackageFile>();
        foreach (var file in content.Files.OrderBy(file => file.Name, StringComparer.Ordinal))
        {
            using var source = File.OpenRead(file.Path);
            using var copy = new FileStream(Path.Combine(folder, file.Name), FileMode.CreateNew);
            var digest = FileDigest.Copy(source, copy, cancellation);
            copy.Flush(flushToDisk: true);
            var subject = content.Reports.FirstOrDefault(report => report.Subject.Artifact == file.Name)?.Subject;
            if (subject is not null && subject.ArtifactDigest != digest)
                throw new PipelineException(
                    $"package: {file.Path} has sha256 {digest.Sha256}, but {subject.ArtifactDigest.Sha256} was validated. Validate it "
                        + $"again."
                );
            files.Add(
                new(
                    file.Name,
                    file.Role,
                    file.Variant,
                    subject?.IsStandIn ?? false,
                    digest,
                    subject is null ? null : content.Model.Variants.Single(variant => variant.Name == subject.Variant).Platform
                )
            );
            advance(digest.Size);
        }
        var serving = Path.Combine(folder, ServeFile.FileName);
        ReportJson.Write(serving, Serving.Of(content.Manifest(files), content.Decided));
        files.Add(new(ServeFile.FileName, PackageRole.Serving, null, false, FileDigest.Of(serving, cancellation)));
        var manifest = content.Manifest([.. files.OrderBy(file => file.Name, StringComparer.Ordinal)]);
        ReportJson.Write(Path.Combine(folder, PackageManifest.FileName), manifest);
        AtomicFile.WriteText(Path.Combine(folder, PackageManifest.CardName), content.Text.Card(manifest));
        var sums = Names(folder).Select(name => $"{FileDigest.Of(Path.Combine(folder, name), cancellation).Sha256}  {name}\n");
        AtomicFile.WriteText(Path.Combine(folder, PackageManifest.SumsName), string.Concat(sums.ToArray()));
        return manifest;
    }

    /// <summary>A tar in POSIX ustar format, compressed: sorted entries, owner 0, mode 644, time 0.</summary>
    private static async Task ArchiveAsync(string folder, Stream stream, Action<long> advance, CancellationToken cancellation)
    {
        await using var gzip = new GZipStream(stream, CompressionLevel.Optimal, leaveOpen: true);
        await using var tar = new TarWriter(gzip, TarEntryFormat.Ustar, leaveOpen: true);
        foreach (var name in Names(folder))
        {
            await using var file = File.OpenRead(Path.Combine(folder, name));
            var entry = new UstarTarEntry(TarEntryType.RegularFile, $"{Path.GetFileName(folder)}/{name}")
            {
                DataStream = file,
                Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead,
                ModificationTime = DateTimeOffset.UnixEpoch,
                Uid = 0,
                Gid = 0,
            };
            await tar.WriteEntryAsync(entry, cancellation).ConfigureAwait(false);
            advance(file.Length);
        }
    }

    private static IEnumerable<string> Names(string folder) =>
        Directory.EnumerateFiles(folder).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal);
}
