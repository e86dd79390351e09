using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Decision;
using ModelPipeline.Manifest;
using ModelPipeline.Packaging;
using ModelPipeline.Publishing;
using ModelPipeline.Reports;

namespace ModelPipeline.Stages;

/// <summary>A package to a release folder, and from there to its readers.</summary>
public static class ReleaseStage
{
    /// <summary>Writes the release of the model's package below <see cref="ModelBuild.Releases"/>, in the place of an older build of this
    /// version.</summary>
    /// <returns>The release; if it is refused, nothing of this version is left there.</returns>
    /// <exception cref="PipelineException">There is no package, or it is not what was built.</exception>
    public static Release Run(ModelBuild build, StageContext context)
    {
        var package = Path.Combine(build.Packages, PackageManifest.FolderName(build.Model.Name, build.Model.Version));
        var manifest = PackageCheck.Verify<PackageManifest>(package, context.Cancellation);
        var release = Release.Of(
            ReleaseText.Of(build.Model),
            manifest,
            ReportJson.Read<ProductionDecision>(Path.Combine(package, DecideStage.DecisionName)),
            build.Model.Release.WithoutDevice
        );
        ReleaseFolder.Delete(build.Releases, build.Model.Name, build.Model.Version, but: release.Refusal is null ? release.Tag : null);
        if (release.Refusal is { } refusal)
        {
            context.Warning(refusal);
            return release;
        }
        foreach (var variant in release.Manifest.Omitted)
            context.Info($"{release.Tag} leaves out {variant.Sentence}");
        foreach (var variant in release.Manifest.Open)
            context.Info($"{release.Tag} is a candidate: {variant.Sentence}");
        ReleaseFolder.Write(release, package, build.Releases, replace: true, context.Progress, context.Cancellation);
        return release;
    }

    /// <summary>Refuses to publish what may not be, or a part of what models.yaml declares: the version could never get the rest.</summary>
    /// <param name="release">To be published.</param>
    /// <param name="declared">The model with all its variants.</param>
    /// <exception cref="PipelineException">Says what is missing or refused.</exception>
    public static void RequirePublishable(Release release, ModelSpec declared)
    {
        if (release.Refusal is { } refusal)
            throw new PipelineException(refusal);
        var missing = declared
            .Variants.Select(variant => variant.Name)
            .Except(release.Manifest.Variants.Select(variant => variant.Subject.Variant))
            .Except(release.Manifest.Omitted.Select(variant => variant.Variant))
            .ToList();
        if (missing.Count > 0)
            throw new PipelineException(
                $"{release.Tag}: {string.Join(", ", missing)} was not built, and a published version never changes. Publish without "
                    + $"--variant and QUANTIZE.",
                PipelineException.ConfigurationError
            );
    }
}
