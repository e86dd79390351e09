using System.Text.RegularExpressions;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;

namespace ModelPipeline.Sources;

/// <summary>A file of a repository, here and verified.</summary>
/// <param name="Name">In the repository, with slashes.</param>
/// <param name="File">On this machine.</param>
/// <param name="Source">How models.yaml declares it: pinned to a commit, with its sha256.</param>
internal sealed record RepositoryFile(string Name, FetchedFile File, SourceSpec Source);

/// <summary>Where a new model comes from: a repository of the hub at one commit, a folder, or a folder with one ONNX file that was
/// named.</summary>
internal sealed partial class ModelRepository
{
    /// <summary>How a repository of the hub is named: hf:owner/name, with @revision perhaps.</summary>
    public const string Hub = "hf:";

    private readonly SourceFetcher _fetcher;
    private readonly HuggingFaceSource? _hub;
    private readonly IReadOnlyList<string> _folders;
    private readonly HashSet<string>? _listed;
    private string? _commit;

    private ModelRepository(SourceFetcher fetcher, HuggingFaceSource? hub, IReadOnlyList<string> folders, HubListing? listing)
    {
        (_fetcher, _hub, _folders) = (fetcher, hub, folders);
        (_commit, _listed) = (listing?.Commit, listing?.Files.ToHashSet(StringComparer.Ordinal));
    }

    /// <summary>For people: hf:owner/name at a commit, or a path.</summary>
    public string Shown => _hub is null ? _folders[0] : $"{Hub}{_hub.Repo}{(_commit is null ? "" : $" at commit {_commit[..8]}")}";

    /// <summary>The last part of what it is called.</summary>
    public required string Name { get; init; }

    /// <summary>The ONNX file that was named; null if a folder or repository was.</summary>
    public string? Named { get; private init; }

    public bool IsHub => _hub is not null;

    /// <summary>All ONNX files; null where the hub does not list its files.</summary>
    public IReadOnlyList<string>? Models =>
        _hub is not null
            ? _listed?.Where(IsModel).Order(StringComparer.Ordinal).ToList()
            :
            [
                .. Directory
                    .EnumerateFiles(_folders[0], "*", SearchOption.AllDirectories)
                    .Select(path => Path.GetRelativePath(_folders[0], path).Replace('\\', '/'))
                    .Where(name => IsModel(name) && name.Count(letter => letter == '/') <= 1)
                    .Order(StringComparer.Ordinal),
            ];

    /// <summary>Looks a name up.</summary>
    /// <param name="from">hf:owner/name, a folder, or an ONNX file.</param>
    /// <param name="fetcher">Asks the hub.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <exception cref="PipelineException">There is no such thing, or the hub cannot be asked.</exception>
    public static async Task<ModelRepository> OpenAsync(string from, SourceFetcher fetcher, CancellationToken cancellation)
    {
        if (from.StartsWith(Hub, StringComparison.Ordinal))
        {
            if (HubName().Match(from[Hub.Length..]) is not { Success: true } named)
                throw Wrong(from, "is no hf:OWNER/NAME, nor one with @REVISION behind it");
            var hub = new HuggingFaceSource(
                named.Groups["repo"].Value,
                named.Groups["revision"].Value is "" ? "main" : named.Groups["revision"].Value,
                ""
            );
            if (fetcher.IsOffline)
                throw Wrong(from, "asks the hub, which --offline forbids: leave that out once, or give a folder with the files");
            var listing = await fetcher.ListAsync(hub, cancellation).ConfigureAwait(false);
            return new ModelRepository(fetcher, hub, [], listing) { Name = hub.Repo.Split('/')[^1] };
        }
        var path = Path.GetFullPath(from);
        if (Directory.Exists(path))
            return new ModelRepository(fetcher, null, [path], null) { Name = NameOf(path) };
        if (!File.Exists(path))
        {
            var hint = HubName().IsMatch(from) ? $"; did you mean {Hub}{from}?" : ", which is hf:OWNER/NAME";
            throw Wrong(from, $"is neither there nor a repository's name{hint}");
        }
        if (!IsModel(path))
            throw Wrong(from, "is no ONNX file; give a file that ends in .onnx, or the folder that it is in");
        var folder = Path.GetDirectoryName(path)!;
        var stem = Path.GetFileNameWithoutExtension(path);
        return new ModelRepository(fetcher, null, IsOnnxFolder(folder) ? [folder, Path.GetDirectoryName(folder)!] : [folder], null)
        {
            Named = Path.GetFileName(path),
            Name = stem == "model" ? NameOf(folder) : stem,
        };
    }

    /// <summary>A file by its name in the repository; null if there is none.</summary>
    /// <param name="name">With slashes; never one that leads out of the repository.</param>
    /// <param name="maxBytes">A longer one is refused.</param>
    /// <param name="context">Told bytes.</param>
    /// <exception cref="PipelineException">It cannot be had.</exception>
    public async Task<RepositoryFile?> FindAsync(string name, long maxBytes, StageContext context)
    {
        if (_hub is null)
        {
            var path = _folders.Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists);
            if (path is null)
                return null;
            var local = new SourceSpec { File = path, MaxBytes = maxBytes };
            var read = await _fetcher.FetchAsync(local, null, context.Progress, context.Cancellation).ConfigureAwait(false);
            return new RepositoryFile(name, read, local with { Sha256 = read.Sha256 });
        }
        if (_listed?.Contains(name) == false)
            return null;
        var source = new SourceSpec { HuggingFace = _hub with { File = name, Revision = _commit ?? _hub.Revision }, MaxBytes = maxBytes };
        try
        {
            var fetched = await _fetcher.FetchAsync(source, null, context.Progress, context.Cancellation).ConfigureAwait(false);
            // All files are of the commit that the first one was of.
            _commit ??= fetched.Commit;
            return new RepositoryFile(
                name,
                fetched,
                source with
                {
                    HuggingFace = source.HuggingFace with { Revision = _commit ?? _hub.Revision },
                    Sha256 = fetched.Sha256,
                }
            );
        }
        catch (PipelineException e) when (HttpSource.IsMissing(e))
        {
            return null;
        }
    }

    private static bool IsModel(string name) => name.EndsWith(".onnx", StringComparison.OrdinalIgnoreCase);

    private static bool IsOnnxFolder(string folder) => Path.GetFileName(folder) == "onnx";

    private static string NameOf(string folder) =>
        Path.GetFileName(Path.TrimEndingDirectorySeparator(IsOnnxFolder(folder) ? Path.GetDirectoryName(folder)! : folder));

    private static PipelineException Wrong(string from, string what) =>
        new($"--from={from}: {what}.", PipelineException.ConfigurationError);

    [GeneratedRegex(@"^(?<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?<revision>[\w./-]+))?$")]
    private static partial Regex HubName();
}
