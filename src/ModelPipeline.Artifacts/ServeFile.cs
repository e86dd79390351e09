using ModelPipeline.Core;

namespace ModelPipeline.Artifacts;

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
)
{
    /// <summary>Which context runs which passages of a request, and at which shape, by the rule of serve.json.</summary>
    /// <param name="tokens">Of each passage with its query and the special tokens; none makes no runs.</param>
    public Routing Route(IReadOnlyList<int> tokens) =>
        Router.Route([.. Shapes.Select(shape => new Bucket(shape.Tokens, shape.Batch, shape.Cost))], tokens, Contexts.Count);

    internal bool IsWhole =>
        Contexts.Count > 0
        && Contexts.All(cores => cores >= 0)
        && Shapes.Count > 0
        && Shapes.All(shape => shape is { Batch: > 0, Tokens: > 0, Cost: > 0 } && ArtifactManifest.IsPlain(shape.File))
        && Shapes.Zip(Shapes.Skip(1)).All(pair => pair.First.Tokens < pair.Second.Tokens);
}

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

    /// <summary>That of a folder with a release's files.</summary>
    /// <exception cref="PipelineException">It is missing, damaged, or of a newer format.</exception>
    public static ServeFile Read(string folder)
    {
        var path = Path.Combine(folder, FileName);
        var file = ReportJson.Read<ServeFile>(path, "Restore the release again.");
        if (file.Format != CurrentFormat)
            throw new PipelineException($"{path}: format {file.Format} is not {CurrentFormat}, which is all that this version reads.");
        return file.Variants.FirstOrDefault(variant => variant.Value is not { IsWhole: true }).Key is { } damaged
            ? throw new PipelineException(
                $"{path}: variant '{damaged}' needs contexts, and shapes with tokens that rise and a batch, a file and a cost each. "
                    + "Restore the release again."
            )
            : file;
    }
}
