using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using ModelPipeline.Core;

namespace ModelPipeline.Artifacts;

public enum PackageRole
{
    Model,
    Vocabulary,
    Report,
    Environment,
    Decision,
    Compile,
    Sbom,
    Serving,
    Device,
}

/// <summary>A file of a package.</summary>
/// <param name="Name">In the package's folder; letters, digits and . _ - only.</param>
/// <param name="Role">What it is for.</param>
/// <param name="Variant">Models and compile reports: the variant it is of; else null.</param>
/// <param name="Simulated">Stands in for an .rknn file.</param>
/// <param name="Digest">Of its bytes.</param>
/// <param name="Platform">Models: what runs it, such as rk3588, or cpu; else null.</param>
public sealed record PackageFile(
    string Name,
    PackageRole Role,
    string? Variant,
    bool Simulated,
    FileDigest Digest,
    string? Platform = null
);

/// <summary>What a release says of a variant at one shape: why it leaves it out, or what is open of it.</summary>
/// <param name="Variant">Its name in models.yaml.</param>
/// <param name="Shape">As in file names: 1x128.</param>
/// <param name="Reason">A sentence without its full stop.</param>
public sealed record VariantRemark(string Variant, string Shape, string Reason)
{
    [JsonIgnore]
    public string Sentence => $"{Variant} at {Shape}: {Reason}";
}

/// <summary>What manifest.json tells whoever restores a release; the pipeline's own manifest says more.</summary>
public partial record ArtifactManifest
{
    /// <summary>Raised when readers of older manifests could go wrong.</summary>
    public const int CurrentFormat = 1;

    public const string FileName = "manifest.json";
    public const string SumsName = "SHA256SUMS";
    public const string CardName = "README.md";

    /// <summary>Releases only: names all files but itself and SHA256SUMS.</summary>
    public const string ProvenanceName = "provenance.intoto.json";

    [JsonPropertyOrder(0)]
    public int Format { get; init; } = CurrentFormat;

    [JsonPropertyOrder(1)]
    public required string Name { get; init; }

    [JsonPropertyOrder(2)]
    public required string Version { get; init; }

    /// <summary>All files but manifest.json, SHA256SUMS, README.md and the provenance, sorted by name.</summary>
    [JsonPropertyOrder(4)]
    public required IReadOnlyList<PackageFile> Files { get; init; }

    /// <summary>Releases only: variants of the package that are not published.</summary>
    [JsonPropertyOrder(6)]
    public IReadOnlyList<VariantRemark> Omitted { get; init; } = [];

    /// <summary>Release candidates only: what no device has decided yet. The version is a prerelease for that.</summary>
    [JsonPropertyOrder(6)]
    public IReadOnlyList<VariantRemark> Open { get; init; } = [];

    /// <summary>Whether a name is safe in a folder, an archive, SHA256SUMS and a release alike.</summary>
    internal static bool IsPlain(string name) => name.Length <= 200 && PlainName().IsMatch(name);

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9._+-]*\z")]
    private static partial Regex PlainName();
}
