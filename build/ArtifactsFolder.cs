using ModelPipeline.Core;

namespace Build;

/// <summary>The folder that --artifacts names.</summary>
internal static class ArtifactsFolder
{
    /// <summary>What the pipeline writes there.</summary>
    public static IReadOnlyList<string> Parts { get; } = ["models", "packages", "release"];

    /// <summary>Absolute path of the folder, which need not exist.</summary>
    /// <exception cref="PipelineException">A file is in its place, or in that of a folder above.</exception>
    public static string PathOf(string option)
    {
        var folder = Path.GetFullPath(option);
        for (var part = folder; part is not null; part = Path.GetDirectoryName(part))
        {
            if (File.Exists(part))
            {
                throw new PipelineException(
                    $"--artifacts={option}: {part} is a file, where a folder is expected; name another place",
                    PipelineException.ConfigurationError
                );
            }
        }
        return folder;
    }
}
