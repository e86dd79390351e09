using ModelPipeline.Artifacts.Downloads;

namespace ModelPipeline.Artifacts;

/// <summary>Where releases lie: each file at <c>base/model/vVERSION/name</c>.</summary>
/// <param name="Base">An absolute file, http or https URL that ends in '/'.</param>
public sealed record ReleaseSource(Uri Base)
{
    private const string GitHub = "github:";

    /// <summary>Reads a folder, an http or https URL, or <c>github:owner/repository</c>.</summary>
    /// <param name="text">As the user wrote it.</param>
    /// <param name="folder">What relative folders are relative to.</param>
    /// <exception cref="ArtifactException">It is none of these.</exception>
    public static ReleaseSource Parse(string text, string folder)
    {
        if (text.StartsWith(GitHub, StringComparison.OrdinalIgnoreCase))
        {
            return text[GitHub.Length..].Split('/') is [{ Length: > 0 } owner, { Length: > 0 } repository]
                ? new(new Uri($"https://github.com/{Uri.EscapeDataString(owner)}/{Uri.EscapeDataString(repository)}/releases/download/"))
                : throw new ArtifactException(ArtifactFault.Request, $"Source '{text}': expected github:owner/repository.");
        }
        if (!text.Contains("://", StringComparison.Ordinal))
            return new(new Uri(Path.GetFullPath(Path.Combine(folder, text)) + "/"));
        return
            Uri.TryCreate(text.TrimEnd('/') + "/", UriKind.Absolute, out var url)
            && url is { Scheme: "http" or "https", Query: "", Fragment: "" }
            ? new(url)
            : throw new ArtifactException(
                ArtifactFault.Request,
                $"Source '{text}': expected a folder, an http or https URL without a query, or github:owner/repository."
            );
    }

    /// <summary>Address of one file of a release.</summary>
    public Uri File(string model, string version, string name) => new(Base, $"{model}/v{version}/{name}");

    public override string ToString() => Base.IsFile ? Base.LocalPath : HttpSource.Shown(Base);
}
