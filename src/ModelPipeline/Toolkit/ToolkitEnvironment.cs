using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Toolkit;

/// <summary>A Python that has rknn-toolkit2, and the driver to run with it.</summary>
/// <param name="Python">Absolute path of the interpreter.</param>
/// <param name="Driver">Absolute path of driver.py.</param>
public sealed record ToolkitEnvironment(string Python, string Driver)
{
    /// <summary>Names an interpreter that has the toolkit already, instead of the one that Provision makes.</summary>
    public const string PythonVariable = "RKNN_PYTHON";

    /// <summary>Lists the packages of a finished environment, in its folder.</summary>
    public const string LockFile = "toolkit.lock.json";

    /// <summary>Folder of the driver and the requirements, beside the program.</summary>
    public static string Scripts => Path.Combine(AppContext.BaseDirectory, "rknn");

    /// <summary>The only Python of the pipeline.</summary>
    public static string DriverPath => Path.Combine(Scripts, "driver.py");

    /// <summary>The pinned packages of one version of the toolkit.</summary>
    /// <exception cref="PipelineException">The version has none.</exception>
    public static string Requirements(string version) =>
        Path.Combine(Scripts, $"requirements-{version}.txt") is var path && File.Exists(path) ? path
            : throw new PipelineException($"toolkit '{version}' has no requirements file; known are {string.Join(", ", Versions)}. Set 'toolkit' of the variant to one of them.", PipelineException.ConfigurationError);

    /// <summary>Versions that can be provisioned.</summary>
    public static IReadOnlyList<string> Versions =>
        [.. Directory.EnumerateFiles(Scripts, "requirements-*.txt").Select(path => Path.GetFileNameWithoutExtension(path)["requirements-".Length..]).Order(StringComparer.Ordinal)];

    /// <summary>Versions that variants with backend rknn ask for, sorted.</summary>
    public static IReadOnlyList<string> VersionsOf(ModelsManifest manifest) =>
        [.. manifest.Models.SelectMany(model => model.Variants).Where(variant => variant.Backend == Backend.Rknn).Select(variant => variant.Toolkit).Distinct().Order(StringComparer.Ordinal)];

    /// <summary>Where Provision puts a version: named after its requirements, so that other pins make another environment.</summary>
    public static string FolderOf(string cache, string requirements) =>
        Path.Combine(cache, "toolkit", $"{Path.GetFileNameWithoutExtension(requirements)["requirements-".Length..]}-{FileDigest.Of(requirements).Sha256[..16]}");

    /// <summary>The environment for a version of the toolkit.</summary>
    /// <param name="version">As in models.yaml.</param>
    /// <param name="cache">The pipeline's cache folder.</param>
    /// <param name="variable">Reads the environment.</param>
    /// <exception cref="PipelineException">There is none; says what makes one.</exception>
    public static ToolkitEnvironment Find(string version, string cache, Func<string, string?> variable)
    {
        var own = variable(PythonVariable) is { Length: > 0 } named ? named : null;
        var folder = own is null ? FolderOf(cache, Requirements(version)) : "";
        var python = Path.GetFullPath(own ?? Path.Combine(folder, "bin", "python"));
        if (File.Exists(python) && (own is not null || File.Exists(Path.Combine(folder, LockFile))))
            return new ToolkitEnvironment(python, DriverPath);
        throw new PipelineException(own is null
            ? $"rknn-toolkit2 {version} is not provisioned here: run ./build.sh --target=Provision, or name a Python that has it in {PythonVariable}."
            : $"{PythonVariable} names '{python}', which is not there.");
    }
}
