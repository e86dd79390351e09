using ModelPipeline.Artifacts;
using ModelPipeline.Chips;
using ModelPipeline.Core;
using ModelPipeline.Decision;
using ModelPipeline.Manifest;
using ModelPipeline.Planning;

namespace ModelPipeline.Packaging;

/// <summary>What the costs of runs are.</summary>
public enum CostUnit
{
    /// <summary>Milliseconds that a device took.</summary>
    Ms,

    /// <summary>Batch times tokens: nothing was measured.</summary>
    Tokens,
}

/// <summary>One shape of a file.</summary>
/// <param name="Batch">Passages that one run takes.</param>
/// <param name="Tokens">Of a passage with its query.</param>
/// <param name="File">Name in the package; files for several shapes are named by each.</param>
/// <param name="Cost">Of one run.</param>
[OneLine]
public sealed record ServedShape(int Batch, int Tokens, string File, double Cost);

/// <summary>How one variant is served.</summary>
/// <param name="Platform">What runs it, such as rk3588, or cpu.</param>
/// <param name="CorePlan">Name of the core plan: what a device was fastest with, else a context for each core.</param>
/// <param name="Contexts">Cores of each context to open, as rknn_set_core_mask takes them: 0 lets the driver choose; 1, 2 and 4 are the
/// cores.</param>
/// <param name="Unit">Of the costs.</param>
/// <param name="Shapes">By their tokens, ascending.</param>
public sealed record ServedVariant(
    string Platform,
    string CorePlan,
    IReadOnlyList<int> Contexts,
    CostUnit Unit,
    IReadOnlyList<ServedShape> Shapes
);

/// <summary>serve.json: how to serve what a package holds, in a form that a few lines of any language can follow. Its schema is
/// pipeline/schema/serve.schema.json.</summary>
/// <param name="Format">Raised when readers of older files could go wrong.</param>
/// <param name="Model">Its name in models.yaml.</param>
/// <param name="Version">Of the package.</param>
/// <param name="Serve">The variant that was decided for; null if none of the package's.</param>
/// <param name="Rule">The routing rule, for people.</param>
/// <param name="Variants">By name.</param>
public sealed record ServeFile(
    int Format,
    string Model,
    string Version,
    string? Serve,
    string Rule,
    IReadOnlyDictionary<string, ServedVariant> Variants
)
{
    public const string FileName = "serve.json";

    public const int CurrentFormat = 1;

    /// <summary>How the manifest's files are served.</summary>
    /// <param name="manifest">With a routing for each variant to serve.</param>
    /// <param name="decided">File that the decision names; null for none.</param>
    public static ServeFile Of(PackageManifest manifest, string? decided) =>
        new(
            CurrentFormat,
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
