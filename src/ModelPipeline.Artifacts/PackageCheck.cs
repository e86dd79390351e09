using System.Text.RegularExpressions;
using ModelPipeline.Core;

namespace ModelPipeline.Artifacts;

/// <summary>Checks a package that came from elsewhere.</summary>
public static partial class PackageCheck
{
    /// <summary>More than any SHA256SUMS or manifest needs; longer ones are refused unread.</summary>
    internal const int MaxTextBytes = 16 << 20;

    /// <summary>Checks every file of a package folder against its SHA256SUMS and its manifest, and that there are no others.</summary>
    /// <returns>The manifest, to be trusted as much as the SHA256SUMS.</returns>
    /// <exception cref="PipelineException">All that is wrong, a line each.</exception>
    public static T Verify<T>(string folder, CancellationToken cancellation = default)
        where T : ArtifactManifest
    {
        if (!Directory.Exists(folder))
            throw new PipelineException($"{folder}: there is no such package folder.");
        var sums = ReadSums(Path.Combine(folder, ArtifactManifest.SumsName));
        var faults = new List<string>();
        var actual = new Dictionary<string, FileDigest>();
        foreach (var (name, sha256) in sums)
        {
            var path = new FileInfo(Path.Combine(folder, name));
            if (!path.Exists || path.LinkTarget is not null)
                faults.Add($"{name} is missing or no regular file");
            else if ((actual[name] = FileDigest.Of(path.FullName, cancellation)).Sha256 != sha256)
                faults.Add($"{name} has sha256 {actual[name].Sha256}, SHA256SUMS says {sha256}");
        }
        faults.AddRange(
            Directory
                .EnumerateFileSystemEntries(folder)
                .Select(path => Path.GetFileName(path))
                .Where(name => name != ArtifactManifest.SumsName && !sums.ContainsKey(name))
                .Order(StringComparer.Ordinal)
                .Select(name => $"{name} is not in SHA256SUMS")
        );
        if (!sums.ContainsKey(ArtifactManifest.FileName))
            faults.Add($"SHA256SUMS does not cover {ArtifactManifest.FileName}");
        Report(folder, faults);

        var manifest = ReadManifest<T>(Path.Combine(folder, ArtifactManifest.FileName));
        string[] unlisted = [ArtifactManifest.FileName, ArtifactManifest.CardName, ArtifactManifest.ProvenanceName];
        faults.AddRange(
            manifest
                .Files.Where(file => actual.GetValueOrDefault(file.Name) != file.Digest)
                .Select(file => $"{file.Name} is not the file that manifest.json describes")
        );
        faults.AddRange(
            actual.Keys.Except(unlisted).Except(manifest.Files.Select(file => file.Name)).Select(name => $"{name} is not in manifest.json")
        );
        faults.AddRange(
            manifest
                .Files.Where(file => file.Simulated && file.Name.EndsWith(".rknn", StringComparison.OrdinalIgnoreCase))
                .Select(file => $"{file.Name} is simulated but named .rknn")
        );
        Report(folder, faults);
        return manifest;
    }

    /// <summary>A manifest.json of this version's format; whether its bytes are the right ones is not checked here.</summary>
    /// <exception cref="PipelineException">It cannot be read, or has another format.</exception>
    internal static T ReadManifest<T>(string path)
        where T : ArtifactManifest
    {
        var manifest = ReportJson.Read<T>(RequireShort(path), "Download the package again.");
        if (manifest.Format != ArtifactManifest.CurrentFormat)
        {
            throw new PipelineException(
                $"{path}: the manifest has format {manifest.Format}, this version reads {ArtifactManifest.CurrentFormat}. Use the version "
                    + $"of ModelPipeline that made it."
            );
        }
        return manifest.Files.Contains(null!) || manifest.Omitted.Contains(null!) || manifest.Open.Contains(null!)
            ? throw new PipelineException($"{path}: the manifest has null among its files or variants. Download the package again.")
            : manifest;
    }

    /// <summary>sha256 by file name, of a SHA256SUMS file.</summary>
    /// <exception cref="PipelineException">A line is malformed, or names a file that no package can have.</exception>
    internal static Dictionary<string, string> ReadSums(string path)
    {
        using var lines = File.OpenText(RequireShort(path));
        return ReadSums(lines, path, "Download the package again.");
    }

    /// <summary>sha256 by file name, of a release's SHA256SUMS that was received.</summary>
    /// <param name="text">Of at most <see cref="MaxTextBytes"/>.</param>
    /// <param name="name">For errors.</param>
    /// <exception cref="PipelineException">A line is malformed, or it covers no manifest.json.</exception>
    internal static Dictionary<string, string> ReadSums(byte[] text, string name)
    {
        const string Advice = "The release is damaged: tell its publisher.";
        using var lines = new StreamReader(new MemoryStream(text));
        var sums = ReadSums(lines, name, Advice);
        return sums.ContainsKey(ArtifactManifest.FileName)
            ? sums
            : throw new PipelineException($"{name} does not cover {ArtifactManifest.FileName}. {Advice}");
    }

    private static Dictionary<string, string> ReadSums(TextReader lines, string name, string advice)
    {
        var sums = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var number = 1; lines.ReadLine() is { } line; number++)
        {
            var match = SumLine().Match(line);
            if (
                !match.Success
                || !ArtifactManifest.IsPlain(match.Groups[2].Value)
                || !sums.TryAdd(match.Groups[2].Value, match.Groups[1].Value)
            )
                throw new PipelineException(
                    $"{name}:{number}: expected 64 lower-case hex digits, two spaces and a file name that is not there yet. {advice}"
                );
        }
        return sums;
    }

    private static string RequireShort(string path) =>
        new FileInfo(path) switch
        {
            { Exists: false } => throw new PipelineException(
                $"{path} is missing: the folder is no package or an incomplete one. Download it again."
            ),
            { Length: > MaxTextBytes } file => throw new PipelineException(
                $"{path} has {file.Length} bytes, more than the {MaxTextBytes} a package may have there. Download it again."
            ),
            _ => path,
        };

    private static void Report(string folder, IReadOnlyList<string> faults)
    {
        if (faults.Count > 0)
            throw new PipelineException($"{folder}: the package is not what was built: {string.Join("; ", faults)}. Download it again.");
    }

    [GeneratedRegex(@"\A([0-9a-f]{64})  (.+)\z")]
    private static partial Regex SumLine();
}
