using Microsoft.Build.Framework;
using ModelPipeline.Artifacts;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;

namespace ModelPipeline.MSBuild;

/// <summary>Restores ModelArtifact items into the cache and writes the list of their files, a line each: path in the cache, '|', path in
/// the output.</summary>
public sealed class RestoreModelArtifacts : Microsoft.Build.Utilities.Task, ICancelableTask
{
    private readonly CancellationTokenSource cancellation = new();

    /// <summary>Model names, with the metadata Version, Variant, Platform, Source, Sha256 and OutputFolder; DefinedIn is the file that
    /// errors point at.</summary>
    [Required]
    public ITaskItem[] Artifacts { get; set; } = [];

    /// <summary>What relative folders are relative to.</summary>
    [Required]
    public string ProjectFolder { get; set; } = "";

    /// <summary>Folder of the cache; empty for the pipeline's own.</summary>
    public string Cache { get; set; } = "";

    /// <summary>Nothing is downloaded.</summary>
    public bool Offline { get; set; }

    /// <summary>Written last, and only if every artifact is there.</summary>
    [Required]
    public string FileList { get; set; } = "";

    public void Cancel() => cancellation.Cancel();

    public override bool Execute()
    {
        try
        {
            RestoreAsync(cancellation.Token).GetAwaiter().GetResult();
        }
        catch (PipelineException e)
        {
            Log.LogError("{0}", e.Message);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return false;
        }
        return !Log.HasLoggedErrors;
    }

    private async System.Threading.Tasks.Task RestoreAsync(CancellationToken cancelled)
    {
        var settings = SourceSettings.FromEnvironment(name =>
            name == "MODELPIPELINE_CACHE" && Cache.Length > 0
                ? Path.Combine(ProjectFolder, Cache)
                : Environment.GetEnvironmentVariable(name)
        );
        using var fetcher = new SourceFetcher(settings with { Offline = Offline });
        var restore = new ArtifactRestore(fetcher);
        var outputs = new SortedDictionary<string, RestoredFile>(StringComparer.OrdinalIgnoreCase);
        foreach (var item in Artifacts)
        {
            try
            {
                var (request, source) = (Request(item), Source(item));
                Log.LogMessage(MessageImportance.High, "Restoring {0} {1} from {2}", request.Model, request.Version, source);
                var restored = await restore.RunAsync(request, source, cancellation: cancelled).ConfigureAwait(false);
                foreach (var open in restored.Manifest.Open)
                    Log.LogMessage(MessageImportance.High, "{0} {1} is a candidate: {2}", request.Model, request.Version, open.Sentence);
                foreach (var file in restored.Files)
                    Place(outputs, OutputFolder(item), file);
            }
            catch (ArtifactException e)
            {
                Log.LogError(null, e.Code, null, item.GetMetadata("DefinedIn"), 0, 0, 0, 0, "{0}", e.Message);
            }
        }
        if (!Log.HasLoggedErrors)
            AtomicFile.WriteText(FileList, string.Concat(outputs.Select(output => $"{output.Value.Path}|{output.Key}\n")));
    }

    private static ArtifactRequest Request(ITaskItem item) =>
        new()
        {
            Model = item.ItemSpec,
            Version =
                Metadata(item, "Version") ?? throw Malformed(item, "has no Version. Write Version=\"1.2.0\", as the release is named."),
            Variant = Metadata(item, "Variant"),
            Platform = Metadata(item, "Platform"),
            Sha256 = Metadata(item, "Sha256"),
        };

    private ReleaseSource Source(ITaskItem item) =>
        ReleaseSource.Parse(
            Metadata(item, "Source")
                ?? throw Malformed(
                    item,
                    "has no Source. Set the property ModelArtifactSource to a folder, a URL or github:owner/repository."
                ),
            ProjectFolder
        );

    /// <summary>Below the project's output; models/NAME by default.</summary>
    private static string OutputFolder(ITaskItem item)
    {
        var folder = (Metadata(item, "OutputFolder") ?? $"models/{item.ItemSpec}").Replace('\\', '/').TrimEnd('/');
        return Path.IsPathRooted(folder) || folder.Split('/').Any(part => part is "" or "." or "..") || folder.Contains('|')
            ? throw Malformed(item, $"has OutputFolder '{folder}'. Expected a folder below the output, such as models/{item.ItemSpec}.")
            : folder;
    }

    private static void Place(IDictionary<string, RestoredFile> outputs, string folder, RestoredFile file)
    {
        var path = $"{folder}/{file.Name}";
        if (outputs.TryGetValue(path, out var other) && other.Sha256 != file.Sha256)
            throw new ArtifactException(
                ArtifactFault.Collision,
                $"Two artifacts put different files at {path}. Give one of them its own OutputFolder."
            );
        outputs[path] = file;
    }

    private static string? Metadata(ITaskItem item, string name) => item.GetMetadata(name) is { Length: > 0 } value ? value : null;

    private static ArtifactException Malformed(ITaskItem item, string what) =>
        new(ArtifactFault.Request, $"ModelArtifact '{item.ItemSpec}' {what}");
}
