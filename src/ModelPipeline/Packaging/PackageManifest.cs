using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using ModelPipeline.Latency;
using ModelPipeline.Manifest;
using ModelPipeline.Toolkit;
using ModelPipeline.Validation;

namespace ModelPipeline.Packaging;

public enum PackageRole { Model, Vocabulary, Report, Environment, Decision, Compile, Sbom }

/// <summary>A file of a package.</summary>
/// <param name="Name">In the package's folder; letters, digits and . _ - only.</param>
/// <param name="Role">What it is for.</param>
/// <param name="Variant">Models and compile reports: the variant it is of; else null.</param>
/// <param name="Simulated">Stands in for an .rknn file.</param>
/// <param name="Digest">Of its bytes.</param>
/// <param name="Platform">Models: what runs it, such as rk3588, or cpu; else null.</param>
public sealed record PackageFile(string Name, PackageRole Role, string? Variant, bool Simulated, FileDigest Digest, string? Platform = null);

/// <summary>A variant at one shape that a release leaves out.</summary>
/// <param name="Variant">Its name in models.yaml.</param>
/// <param name="Shape">As in file names: 1x128.</param>
/// <param name="Reason">A sentence without its full stop.</param>
public sealed record OmittedVariant(string Variant, string Shape, string Reason)
{
    [JsonIgnore]
    public string Sentence => $"{Variant} at {Shape}: {Reason}";
}

/// <summary>A variant at one shape, as validated.</summary>
public sealed record PackageVariant(
    ValidationSubject Subject,
    IReadOnlyDictionary<string, double> Reference,
    IReadOnlyDictionary<string, double> Figures,
    IReadOnlyList<GateOutcome> Gates)
{
    /// <summary>Artifacts of rknn-toolkit2: what it says of them.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ToolkitFindings? Toolkit { get; init; }
}

/// <summary>manifest.json: what a package is and how it came to be.</summary>
public sealed partial record PackageManifest
{
    /// <summary>Raised when readers of older manifests could go wrong.</summary>
    public const int CurrentFormat = 1;

    public const string FileName = "manifest.json";
    public const string SumsName = "SHA256SUMS";
    public const string CardName = "README.md";
    /// <summary>Releases only: names all files but itself and SHA256SUMS.</summary>
    public const string ProvenanceName = "provenance.intoto.json";

    public int Format { get; init; } = CurrentFormat;
    public required string Name { get; init; }
    public required string Version { get; init; }
    public required ModelTask Task { get; init; }
    public string? Licence { get; init; }
    /// <summary>Where the fp32 model came from, without local paths.</summary>
    public required string Origin { get; init; }
    /// <summary>At least one file stands in for an .rknn file.</summary>
    public required bool Simulated { get; init; }
    /// <summary>All files but manifest.json, SHA256SUMS, README.md and the provenance, sorted by name.</summary>
    public required IReadOnlyList<PackageFile> Files { get; init; }
    public required IReadOnlyList<PackageVariant> Variants { get; init; }
    /// <summary>Which of a variant's files takes which lengths, one a variant.</summary>
    public IReadOnlyList<VariantRouting> Routings { get; init; } = [];
    /// <summary>Releases only: variants of the package that are not published.</summary>
    public IReadOnlyList<OmittedVariant> Omitted { get; init; } = [];
    /// <summary>sha256 by logical name, sorted.</summary>
    public required IReadOnlyDictionary<string, string> Inputs { get; init; }
    /// <summary>As resolved from models.yaml.</summary>
    public required JsonObject Settings { get; init; }
    /// <summary>Versions of the tools that made the files, sorted by tool.</summary>
    public required IReadOnlyDictionary<string, string> Tools { get; init; }

    /// <summary>Name of an artifact's compile report.</summary>
    public static string CompileName(string artifact) => System.IO.Path.ChangeExtension(artifact, ".compile.json");

    /// <summary>Name of the folder, and of the archive before .tar.gz.</summary>
    public static string FolderName(string model, string version) => $"{model}-{version}";

    /// <summary>Whether a name is safe in a folder, an archive, SHA256SUMS and a release alike.</summary>
    internal static bool IsPlain(string name) => name.Length <= 200 && PlainName().IsMatch(name);

    /// <summary>Origin of a model for readers elsewhere: a local file is known by its name alone.</summary>
    public static string OriginOf(SourceSpec source) => source switch
    {
        { HuggingFace: { } hub } => $"Hugging Face {hub.Repo}, {hub.File} at {hub.Revision}",
        // Credentials and signatures of a link are no origin.
        { Url: { } url } => url.GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped),
        _ => Path.GetFileName(source.File) ?? "unknown",
    };

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9._+-]*\z")]
    private static partial Regex PlainName();
}
