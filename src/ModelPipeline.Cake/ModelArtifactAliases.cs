using Cake.Core;
using Cake.Core.Annotations;
using Cake.Core.Diagnostics;
using Cake.Core.IO;
using ModelPipeline.Artifacts;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;

namespace ModelPipeline.Cake;

/// <summary>Restores released models in Cake scripts and Frosting hosts.</summary>
[CakeAliasCategory("ModelPipeline")]
[CakeNamespaceImport("ModelPipeline.Artifacts")]
public static class ModelArtifactAliases
{
    /// <summary>
    /// Restores one variant of a release, with its vocabulary, production.env and manifest.json, checks all of it, and copies it to a
    /// folder. A cache, which builds share, keeps what was downloaded.
    /// </summary>
    /// <example><code>RestoreModelArtifact(new ArtifactRequest { Model = "tiny-reranker", Version = "0.1.0", Variant = "cpu-int8" },
    /// "artifacts/release", "models/tiny-reranker");</code></example>
    /// <param name="context">Cake's.</param>
    /// <param name="request">What to restore.</param>
    /// <param name="source">A folder, an http or https URL, or github:owner/repository.</param>
    /// <param name="folder">Where the files go; made if missing.</param>
    /// <returns>The files there, the model first.</returns>
    /// <exception cref="CakeException">It cannot be restored; the message begins with a code, MP1001 and so on.</exception>
    [CakeMethodAlias]
    public static IReadOnlyList<FilePath> RestoreModelArtifact(
        this ICakeContext context,
        ArtifactRequest request,
        string source,
        DirectoryPath folder
    )
    {
        var target = folder.MakeAbsolute(context.Environment);
        try
        {
            using var fetcher = new SourceFetcher(SourceSettings.FromEnvironment(context.Environment.GetEnvironmentVariable));
            var origin = ReleaseSource.Parse(source, context.Environment.WorkingDirectory.FullPath);
            context.Log.Information("Restoring {0} {1} from {2}", request.Model, request.Version, origin);
            var restored = new ArtifactRestore(fetcher).RunAsync(request, origin).GetAwaiter().GetResult();
            return [.. restored.Files.Select(file => Copy(file, target.CombineWithFilePath(file.Name)))];
        }
        catch (ArtifactException e)
        {
            throw new CakeException(e.ExitCode, $"{e.Code}: {e.Message}", e);
        }
        catch (PipelineException e)
        {
            throw new CakeException(e.ExitCode, e.Message, e);
        }
    }

    private static FilePath Copy(RestoredFile file, FilePath target)
    {
        AtomicFile.Write(
            target.FullPath,
            stream =>
            {
                using var cached = File.OpenRead(file.Path);
                cached.CopyTo(stream);
            }
        );
        return target;
    }
}
