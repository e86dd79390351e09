using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using ModelPipeline.Artifacts;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Decision;
using ModelPipeline.Inspection;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;
using ModelPipeline.Toolkit;
using ModelPipeline.Validation;

namespace ModelPipeline.Packaging;

/// <summary>A variant at one shape, as validated.</summary>
public sealed record PackageVariant(
    ValidationSubject Subject,
    IReadOnlyDictionary<string, double> Reference,
    IReadOnlyDictionary<string, double> Figures,
    IReadOnlyList<GateOutcome> Gates
)
{
    /// <summary>Of the figures on accuracy; none in manifests of versions that had none.</summary>
    public Intervals Intervals { get; init; } = Intervals.None;

    /// <summary>Artifacts of rknn-toolkit2: what it says of them.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ToolkitFindings? Toolkit { get; init; }
}

/// <summary>manifest.json: what a package is and how it came to be.</summary>
public sealed record PackageManifest : ArtifactManifest
{
    [JsonPropertyOrder(3)]
    public required ModelTask Task { get; init; }

    [JsonPropertyOrder(3)]
    public string? Licence { get; init; }

    /// <summary>Which output is read, and how: for whoever runs the files.</summary>
    [JsonPropertyOrder(3)]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public Answer? Answer { get; init; }

    /// <summary>The paragraph of the decision; empty in manifests of versions that had none.</summary>
    [JsonPropertyOrder(3)]
    public string Advice { get; init; } = "";

    /// <summary>Where the fp32 model came from, without local paths.</summary>
    [JsonPropertyOrder(3)]
    public required string Origin { get; init; }

    /// <summary>At least one file stands in for an .rknn file.</summary>
    [JsonPropertyOrder(3)]
    public required bool Simulated { get; init; }

    [JsonPropertyOrder(5)]
    public required IReadOnlyList<PackageVariant> Variants { get; init; }

    /// <summary>Which of a variant's files takes which lengths, one a variant.</summary>
    [JsonPropertyOrder(5)]
    public IReadOnlyList<VariantRouting> Routings { get; init; } = [];

    /// <summary>sha256 by logical name, sorted.</summary>
    [JsonPropertyOrder(7)]
    public required IReadOnlyDictionary<string, string> Inputs { get; init; }

    /// <summary>As resolved from models.yaml.</summary>
    [JsonPropertyOrder(7)]
    public required JsonObject Settings { get; init; }

    /// <summary>Versions of the tools that made the files, sorted by tool.</summary>
    [JsonPropertyOrder(7)]
    public required IReadOnlyDictionary<string, string> Tools { get; init; }

    /// <summary>Name of an artifact's compile report.</summary>
    public static string CompileName(string artifact) => Path.ChangeExtension(artifact, ".compile.json");

    /// <summary>Name of the folder, and of the archive before .tar.gz.</summary>
    public static string FolderName(string model, string version) => $"{model}-{version}";

    /// <summary>Origin of a model for readers elsewhere: a local file is known by its name alone.</summary>
    public static string OriginOf(SourceSpec source) =>
        source switch
        {
            { HuggingFace: { } hub } => $"Hugging Face {hub.Repo}, {hub.File} at {hub.Revision}",
            // Credentials and signatures of a link are no origin.
            { Url: { } url } => url.GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped),
            _ => Path.GetFileName(source.File) ?? "unknown",
        };
}
