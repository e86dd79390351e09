using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Packaging;
using ModelPipeline.Publishing;

namespace ModelPipeline.Stages;

/// <summary>A published release on this machine, whose files stand in the place of what would be built.</summary>
/// <param name="Folder">Its files, checked.</param>
/// <param name="Manifest">Of the release.</param>
public sealed record RestoredRelease(string Folder, PackageManifest Manifest)
{
    /// <summary>What the release says of a variant at a shape; null if it has none.</summary>
    public PackageVariant? Of(VariantSpec variant, InputShape shape) =>
        Manifest.Variants.FirstOrDefault(each => each.Subject.Variant == variant.Name && each.Subject.Shape == shape.ToString());
}

/// <summary>A published release to a build that runs it as it is.</summary>
public static class RestoreStage
{
    /// <summary>Brings the first of the versions that is published, checks every file against SHA256SUMS and manifest.json, and lets the
    /// build run them instead of making its own.</summary>
    /// <param name="build">Of the model; its variants are from now on those of the release that the device can run.</param>
    /// <param name="place">Where the release is published.</param>
    /// <param name="versions">Those that will do.</param>
    /// <param name="context">Of the run.</param>
    /// <exception cref="PipelineException">None of them is published there, or the release is damaged or not of this model.</exception>
    public static async Task<RestoredRelease> RunAsync(
        ModelBuild build,
        ReleasePlace place,
        IReadOnlyList<string> versions,
        StageContext context
    )
    {
        var version = await FirstAsync(build.Model.Name, place, versions, context).ConfigureAwait(false);
        var tag = Release.TagOf(build.Model.Name, version);
        context.Info($"{tag}: restored from {place}");
        var folder = Path.Combine(build.Folder, "released", $"v{version}");
        await AtomicFile.WriteFolderAsync(folder, temporary => place.RestoreAsync(tag, temporary, context)).ConfigureAwait(false);
        var manifest = PackageCheck.Verify<PackageManifest>(folder, context.Cancellation);
        if ((manifest.Name, manifest.Version) != (build.Model.Name, version))
            throw new PipelineException($"{tag} on {place} says that it is {manifest.Name} {manifest.Version}: tell its publisher.");
        var fetched = await build.FetchAsync(context).ConfigureAwait(false);
        // Releases of older versions say nothing of weights in files of their own.
        foreach (var (name, sha256) in fetched.Digests().Where(file => file.Key == "model" || manifest.Inputs.ContainsKey(file.Key)))
        {
            if (manifest.Inputs.GetValueOrDefault(name) is var source && source != sha256)
                throw new PipelineException(
                    $"{tag} was built from a source whose {name} has sha256 {source}, but that of models.yaml has {sha256}: its figures "
                        + $"would be compared with another model's. Take the models.yaml that it was built by."
                );
        }
        var restored = new RestoredRelease(folder, manifest);
        build.Adopt(restored);
        return restored;
    }

    private static async Task<string> FirstAsync(string model, ReleasePlace place, IReadOnlyList<string> versions, StageContext context)
    {
        foreach (var version in versions)
        {
            if (await place.HasAsync(Release.TagOf(model, version), context).ConfigureAwait(false))
                return version;
        }
        throw new PipelineException(
            $"{string.Join(" or ", versions.Select(version => Release.TagOf(model, version)))} is not published on {place}. Publish it "
                + $"first, or name the place by --to."
        );
    }
}
