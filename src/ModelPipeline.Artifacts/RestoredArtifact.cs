namespace ModelPipeline.Artifacts;

/// <summary>What to restore from a release.</summary>
public sealed record ArtifactRequest
{
    /// <summary>Name of the model in models.yaml.</summary>
    public required string Model { get; init; }

    /// <summary>Of the release, without a leading v.</summary>
    public required string Version { get; init; }

    /// <summary>Variant of the model; null if the release has one only.</summary>
    public string? Variant { get; init; }

    /// <summary>cpu, rk3588 ...; null if the release has the variant for one only.</summary>
    public string? Platform { get; init; }

    /// <summary>sha256 of the release's SHA256SUMS, 64 hex digits: pins every byte; null trusts the source.</summary>
    public string? Sha256 { get; init; }

    /// <exception cref="ArtifactException">A name, the version or the pin cannot be one.</exception>
    internal void RequireSound()
    {
        if (!ArtifactManifest.IsPlain(Model))
            throw new ArtifactException(
                ArtifactFault.Request,
                $"'{Model}' cannot be the name of a model: expected letters, digits and . _ + - only."
            );
        if (!ArtifactManifest.IsPlain(Version) || Version[0] is 'v')
            throw new ArtifactException(
                ArtifactFault.Request,
                $"{Model}: Version '{Version}' is no version. Expected one such as 1.2.0, without a leading v."
            );
        if (Sha256 is not null && (Sha256.Length != 64 || !Sha256.All(char.IsAsciiHexDigit)))
            throw new ArtifactException(
                ArtifactFault.Request,
                $"{Model}: Sha256 '{Sha256}' is no digest. Expected the 64 hex digits that 'sha256sum SHA256SUMS' prints for the release."
            );
    }
}

/// <summary>A file of a release on this machine.</summary>
/// <param name="Name">In the release.</param>
/// <param name="Path">In the cache, absolute; not to be written to.</param>
/// <param name="Sha256">Lower-case hex, checked.</param>
/// <param name="Role">Null for manifest.json.</param>
public sealed record RestoredFile(string Name, string Path, string Sha256, PackageRole? Role);

/// <summary>An artifact with what is needed to use it.</summary>
/// <param name="Manifest">Of the release.</param>
/// <param name="Files">The variant's model files, the vocabulary, production.env and serve.json where there are some, and
/// manifest.json.</param>
public sealed record RestoredArtifact(ArtifactManifest Manifest, IReadOnlyList<RestoredFile> Files);
