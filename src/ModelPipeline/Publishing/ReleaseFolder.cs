using ModelPipeline.Core;
using ModelPipeline.Packaging;

namespace ModelPipeline.Publishing;

/// <summary>Releases as folders <c>root/model/vVersion</c>, the notes of each beside it as <c>vVersion.md</c>: the layout that download
/// URLs of GitHub releases have too.</summary>
public static class ReleaseFolder
{
    public static string PathOf(string root, string tag) => Path.Combine([root, .. tag.Split('/')]);

    /// <summary>Writes a release, or nothing at all.</summary>
    /// <param name="release">What to write.</param>
    /// <param name="source">Folder with the files of the package; a release folder will do.</param>
    /// <param name="root">Made if missing.</param>
    /// <param name="replace">Puts the release in the place of other bytes of the same version; without it a version is written
    /// once.</param>
    /// <param name="progress">Bytes written.</param>
    /// <param name="cancellation">Takes effect within a block of 1 MiB.</param>
    /// <returns>False if just these bytes were there already.</returns>
    /// <exception cref="PipelineException">Other bytes are there under this version, or a file of the package is not what its manifest
    /// says.</exception>
    public static bool Write(
        Release release,
        string source,
        string root,
        bool replace = false,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellation = default
    )
    {
        var folder = PathOf(root, release.Tag);
        var notes = folder + ".md";
        AtomicFile.DeleteRemains(folder);
        AtomicFile.DeleteRemains(notes);
        var isThere = replace ? IsWhole(folder, release, cancellation) : Holds(release, root, cancellation);
        if (isThere && File.Exists(notes))
            return false;
        var total = release.Files.Sum(file => file.Digest.Size);
        long done = 0;
        if (!isThere)
        {
            AtomicFile.WriteFolder(
                folder,
                temporary =>
                {
                    foreach (var file in release.Files)
                    {
                        Fill(file, Path.Combine(source, file.Name), Path.Combine(temporary, file.Name), cancellation);
                        progress?.Report(new("release", done += file.Digest.Size, total));
                    }
                }
            );
        }
        AtomicFile.WriteText(notes, release.Notes(LastBefore(root, release.Model, release.Version)));
        return true;
    }

    /// <summary>Whether just the bytes of a release are there.</summary>
    /// <exception cref="PipelineException">Other bytes are there under this version.</exception>
    public static bool Holds(Release release, string root, CancellationToken cancellation)
    {
        var folder = PathOf(root, release.Tag);
        if (!Directory.Exists(folder))
            return false;
        return IsWhole(folder, release, cancellation)
            ? true
            : throw new PipelineException(
                $"{folder} holds other bytes than this build's {release.Tag}, and a published version never changes. Raise version: of "
                    + $"{release.Model} in models.yaml."
            );
    }

    /// <summary>Takes the release of a version and its candidate away, notes included, where they are there.</summary>
    /// <param name="root">With folders of all models.</param>
    /// <param name="model">Its name.</param>
    /// <param name="version">As models.yaml has it.</param>
    /// <param name="but">A tag that stays; null for none.</param>
    public static void Delete(string root, string model, string version, string? but = null)
    {
        foreach (var tag in new[] { version, ReleaseVersion.Candidate(version) }.Select(each => Release.TagOf(model, each)))
        {
            var folder = PathOf(root, tag);
            if (tag == but)
                continue;
            AtomicFile.DeleteFolder(folder);
            if (File.Exists(folder + ".md"))
                File.Delete(folder + ".md");
        }
    }

    private static void Fill(ReleaseFile file, string source, string target, CancellationToken cancellation)
    {
        if (file.Text is not null)
        {
            AtomicFile.WriteText(target, file.Text);
            return;
        }
        using var from = File.OpenRead(source);
        using var to = new FileStream(target, FileMode.CreateNew);
        var copied = FileDigest.Copy(from, to, cancellation);
        to.Flush(flushToDisk: true);
        if (copied != file.Digest)
            throw new PipelineException(
                $"{source} has sha256 {copied.Sha256}, but the package's manifest says {file.Digest.Sha256}. Package it again."
            );
    }

    /// <summary>Manifest of a model's highest lower version there; null if there is none.</summary>
    public static PackageManifest? LastBefore(string root, string model, string version)
    {
        var folder = Path.Combine(root, model);
        if (!Directory.Exists(folder))
            return null;
        var last = ReleaseVersion.LastBefore(version, Directory.EnumerateDirectories(folder).Select(path => Path.GetFileName(path)[1..]));
        var manifest = last is null ? null : Path.Combine(PathOf(root, Release.TagOf(model, last)), PackageManifest.FileName);
        return File.Exists(manifest) ? ReportJson.Read<PackageManifest>(manifest) : null;
    }

    private static bool IsWhole(string folder, Release release, CancellationToken cancellation) =>
        Directory.Exists(folder)
        && Directory.EnumerateFileSystemEntries(folder).Count() == release.Files.Count
        && release.Files.All(file =>
            new FileInfo(Path.Combine(folder, file.Name)) is { Exists: true } info
            && info.Length == file.Digest.Size
            && FileDigest.Of(info.FullName, cancellation) == file.Digest
        );
}
