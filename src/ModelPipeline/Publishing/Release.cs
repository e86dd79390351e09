using System.Security.Cryptography;
using System.Text;
using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Decision;
using ModelPipeline.Manifest;
using ModelPipeline.Packaging;

namespace ModelPipeline.Publishing;

/// <summary>A file of a release.</summary>
/// <param name="Name">Its name there.</param>
/// <param name="Digest">Of its bytes.</param>
/// <param name="Text">Its content if it was made for the release, in UTF-8; null for a file of the package, which has the same name
/// there.</param>
public sealed record ReleaseFile(string Name, FileDigest Digest, string? Text = null)
{
    /// <summary>Media type for those who serve it.</summary>
    public string MediaType =>
        Path.GetExtension(Name) switch
        {
            ".json" => "application/json",
            ".html" => "text/html",
            ".md" => "text/markdown",
            ".onnx" or ".rknn" => "application/octet-stream",
            _ => "text/plain",
        };

    internal static ReleaseFile Of(string name, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        return new(name, new(bytes.Length, Convert.ToHexStringLower(SHA256.HashData(bytes))), text);
    }
}

/// <summary>
/// What is published of a package: the artifacts that passed their gates on what they are made for, and all that vouches for them. A value,
/// made from the package's manifest alone; the same package gives the same bytes. What may not be published is left out and named in the
/// manifest. Where only a device can decide about something yet, the release is a candidate: its version is a prerelease, and the manifest
/// says what is open.
/// </summary>
/// <param name="Manifest">Of the released files only.</param>
/// <param name="Files">Sorted by name, with unlike names; SHA256SUMS covers all others.</param>
/// <param name="Refusal">Why this must not be published at all; null if it may.</param>
public sealed record Release(PackageManifest Manifest, IReadOnlyList<ReleaseFile> Files, string? Refusal)
{
    public const string BillOfMaterialsName = "sbom.cdx.json";

    /// <summary>The text that it is announced with, beside the manifest of the last version; null if there was none.</summary>
    public required Func<PackageManifest?, string> Notes { get; init; }

    public string Model => Manifest.Name;

    public string Version => Manifest.Version;

    /// <summary>No device has decided about all of it yet.</summary>
    public bool IsCandidate => Manifest.Open.Count > 0;

    /// <summary><c>model/vVersion</c>: the git tag, and the folder of a folder release.</summary>
    public string Tag => TagOf(Model, Version);

    /// <summary>Digest of SHA256SUMS: releases with the same one have the same bytes throughout.</summary>
    public string Content => Files.Single(file => file.Name == PackageManifest.SumsName).Digest.Sha256;

    public static string TagOf(string model, string version) => $"{model}/v{version}";

    /// <summary>The release of a package.</summary>
    /// <param name="text">Writes card and notes.</param>
    /// <param name="package">Its verified manifest.</param>
    /// <param name="decision">Its decision.json.</param>
    /// <param name="withoutDevice">What becomes of variants about which only a device can decide.</param>
    public static Release Of(
        PackageText text,
        PackageManifest package,
        ProductionDecision decision,
        WithoutDevice withoutDevice = WithoutDevice.Prerelease
    )
    {
        VariantRemark[] omitted = [.. package.Omitted, .. ReleaseGuard.Omitted(package.Variants, package.Routings, withoutDevice)];
        var refused = omitted.Select(variant => variant.Variant).ToHashSet();

        PackageVariant[] variants = [.. package.Variants.Where(variant => !refused.Contains(variant.Subject.Variant))];
        VariantRemark[] open =
        [
            .. variants.SelectMany(variant =>
                ReleaseGuard.Open(variant).Select(what => new VariantRemark(variant.Subject.Variant, variant.Subject.Shape, what))
            ),
        ];
        var kept = package with
        {
            Version = open.Length == 0 ? package.Version : ReleaseVersion.Candidate(package.Version),
            Simulated = false,
            Files =
            [
                .. package.Files.Where(file =>
                    file.Role != PackageRole.Serving && (file.Variant is null || !refused.Contains(file.Variant))
                ),
            ],
            Variants = variants,
            Routings = [.. package.Routings.Where(routing => !refused.Contains(routing.Variant))],
            Omitted = omitted,
            Open = open,
        };
        // The package's own names variants that are left out here.
        var serving = ReleaseFile.Of(ServeFile.FileName, ReportJson.Text(Serving.Of(kept, decision.Serve)));
        kept = kept with { Files = [.. kept.Files, new(serving.Name, PackageRole.Serving, null, false, serving.Digest)] };
        var materials = ReleaseFile.Of(BillOfMaterialsName, BillOfMaterials.Text(kept));
        var manifest = kept with
        {
            Files =
            [
                .. kept
                    .Files.Append(new(materials.Name, PackageRole.Sbom, null, false, materials.Digest))
                    .OrderBy(file => file.Name, StringComparer.Ordinal),
            ],
        };
        ReleaseFile[] files =
        [
            .. kept.Files.Where(file => file.Role != PackageRole.Serving).Select(file => new ReleaseFile(file.Name, file.Digest)),
            serving,
            materials,
            ReleaseFile.Of(PackageManifest.FileName, ReportJson.Text(manifest)),
            ReleaseFile.Of(PackageManifest.CardName, text.Card(manifest)),
        ];
        files = [.. files, ReleaseFile.Of(PackageManifest.ProvenanceName, Provenance.Text(manifest, files))];
        files = [.. files.OrderBy(file => file.Name, StringComparer.Ordinal)];
        var sums = ReleaseFile.Of(PackageManifest.SumsName, string.Concat(files.Select(file => $"{file.Digest.Sha256}  {file.Name}\n")));
        return new(manifest, [.. files.Append(sums).OrderBy(file => file.Name, StringComparer.Ordinal)], RefusalOf(kept, decision))
        {
            Notes = previous => text.Notes(manifest, previous),
        };
    }

    private static string? RefusalOf(PackageManifest kept, ProductionDecision decision)
    {
        if (kept.Variants.Count == 0)
            return Refused("no variant may be released");
        return decision.Winner is { } winner && kept.Files.All(file => file.Name != winner)
            ? Refused($"production.env runs {winner}, which may not be released")
            : null;

        string Refused(string what) =>
            $"{TagOf(kept.Name, kept.Version)} is not released: {what}\n  "
            + $"{string.Join("\n  ", kept.Omitted.Select(variant => variant.Sentence))}";
    }
}
