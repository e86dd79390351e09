namespace ModelPipeline.Packaging;

/// <summary>What packages and releases say to people; the words are made elsewhere, of manifests.</summary>
/// <param name="Card">README.md of a package.</param>
/// <param name="Notes">Notes of a release, beside the manifest of the one before it; null if there was none.</param>
public sealed record PackageText(Func<PackageManifest, string> Card, Func<PackageManifest, PackageManifest?, string> Notes);
