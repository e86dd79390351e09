using ModelPipeline.Artifacts;
using ModelPipeline.Chips;
using ModelPipeline.Decision;
using ModelPipeline.Manifest;

namespace ModelPipeline.Packaging;

/// <summary>How a package's variants are to be served, as <see cref="ServeFile"/> says it.</summary>
internal static class Serving
{
    /// <summary>How the manifest's files are served.</summary>
    /// <param name="manifest">With a routing for each variant to serve.</param>
    /// <param name="decided">File that the decision names; null for none.</param>
    public static ServeFile Of(PackageManifest manifest, string? decided) =>
        new(
            ServeFile.CurrentFormat,
            manifest.Name,
            manifest.Version,
            manifest.Files.FirstOrDefault(file => file.Role == PackageRole.Model && file.Name == decided)?.Variant,
            Router.Rule,
            manifest.Routings.ToDictionary(
                routing => routing.Variant,
                routing =>
                    Of(routing, manifest.Files.First(file => file.Role == PackageRole.Model && file.Variant == routing.Variant).Platform!)
            )
        );

    /// <summary>The core plan with the most contexts.</summary>
    private static Devices.CorePlan Widest(string platform) =>
        platform == VariantSpec.Cpu
            ? Devices.CorePlan.Sequence
            : Devices.CorePlan.Of(Chip.Named(platform)).MaxBy(each => each.Contexts.Count)!;

    private static ServedVariant Of(VariantRouting routing, string platform)
    {
        var plan = routing.CorePlan is { } fastest ? Devices.CorePlan.Named(fastest) : Widest(platform);
        var measured = routing.Buckets.All(bucket => bucket.RunMs is not null);
        return new(
            platform,
            plan.Name,
            [.. plan.Contexts.Select(cores => (int)cores)],
            measured ? CostUnit.Ms : CostUnit.Tokens,
            [
                .. routing.Buckets.Select(bucket => new ServedShape(
                    bucket.Batch,
                    bucket.MaxTokens,
                    bucket.Artifact,
                    measured ? bucket.RunMs!.Value : bucket.Batch * bucket.MaxTokens
                )),
            ]
        );
    }
}
