using NuGet.Versioning;

namespace ModelPipeline.Publishing;

/// <summary>The order of versions: semantic versioning 2.0.0.</summary>
internal static class ReleaseVersion
{
    /// <summary>The prerelease under which a version is published until a device has run it: 1.0.0-rc of 1.0.0.</summary>
    public static string Candidate(string version)
    {
        var own = SemanticVersion.Parse(version);
        return new SemanticVersion(own.Major, own.Minor, own.Patch, [.. own.ReleaseLabels, "rc"], own.Metadata).ToFullString();
    }

    public static bool IsPrerelease(string version) => SemanticVersion.Parse(version).IsPrerelease;

    /// <summary>The highest of <paramref name="others"/> that is lower than <paramref name="version"/>; what is no version is passed
    /// over.</summary>
    public static string? LastBefore(string version, IEnumerable<string> others)
    {
        var limit = SemanticVersion.Parse(version);
        return others
            .Select(text => (Text: text, Version: SemanticVersion.TryParse(text, out var parsed) ? parsed : null))
            .Where(other => other.Version is not null && other.Version < limit)
            .OrderBy(other => other.Version)
            .LastOrDefault()
            .Text;
    }
}
