using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Npu;

namespace ModelPipeline.Toolkit;

/// <summary>A Python that has rknn-toolkit2, and the driver to run with it.</summary>
/// <param name="Python">Absolute path of the interpreter.</param>
/// <param name="Driver">Absolute path of driver.py.</param>
public sealed record ToolkitEnvironment(string Python, string Driver)
{
    /// <summary>Names interpreters that have the toolkit already, instead of those that Provision makes: paths separated by ':', for each
    /// version one.</summary>
    public const string PythonVariable = "MODELPIPELINE_TOOLKIT_PYTHON";

    /// <summary>Lists the packages of a finished environment, in its folder.</summary>
    public const string LockFile = "toolkit.lock.json";

    /// <summary>Folder of the driver, the requirements, the stubs and the table of versions, beside the program.</summary>
    public static string Scripts => Path.Combine(AppContext.BaseDirectory, "rknn");

    /// <summary>The only Python of the pipeline, but for the stubs beside it.</summary>
    public static string DriverPath => Path.Combine(Scripts, "driver.py");

    /// <summary>The pinned packages of one version of the toolkit.</summary>
    /// <exception cref="PipelineException">The version has none.</exception>
    public static string Requirements(string version) =>
        Path.Combine(Scripts, $"requirements-{version}.txt") is var path && File.Exists(path)
            ? path
            : throw new PipelineException(
                $"toolkit '{version}' has no requirements file; known are {string.Join(", ", Versions)}. Set 'toolkit' of the variant to "
                    + $"one of them.",
                PipelineException.ConfigurationError
            );

    /// <summary>What the toolkit imports and does not use for ONNX models.</summary>
    public static string TorchRequirements => Path.Combine(Scripts, "torch.txt");

    /// <summary>Versions that can be provisioned, ascending.</summary>
    public static IReadOnlyList<string> Versions => [.. ToolkitVersions.All.Keys.OrderBy(Version.Parse)];

    /// <summary>Versions that variants with backend rknn ask for, sorted.</summary>
    public static IReadOnlyList<string> VersionsOf(ModelsManifest manifest) =>
        [.. VariantsOf(manifest).Select(variant => variant.Toolkit).Distinct().Order(StringComparer.Ordinal)];

    /// <summary>Variants with backend rknn.</summary>
    public static IEnumerable<VariantSpec> VariantsOf(ModelsManifest manifest) =>
        manifest.Models.SelectMany(model => model.Variants).Where(variant => variant.Backend == Backend.Rknn);

    /// <summary>Where Provision puts a version: named after its requirements, so that other pins make another environment.</summary>
    public static string FolderOf(string cache, string requirements) =>
        Path.Combine(
            cache,
            "toolkit",
            $"{Path.GetFileNameWithoutExtension(requirements)["requirements-".Length..]}-{FileDigest.Of(requirements).Sha256[..16]}"
        );

    /// <summary>
    /// The environment for a variant: the first Python of <see cref="PythonVariable"/> that has the variant's version, else the one that
    /// models.yaml names, else the one that Provision made.
    /// </summary>
    /// <param name="variant">Its version of the toolkit, and perhaps a Python.</param>
    /// <param name="cache">The pipeline's cache folder.</param>
    /// <param name="variable">Reads the environment.</param>
    /// <param name="cancellation">Ends the questions to interpreters.</param>
    /// <exception cref="PipelineException">There is none; says what makes one.</exception>
    public static async Task<ToolkitEnvironment> FindAsync(
        VariantSpec variant,
        string cache,
        Func<string, string?> variable,
        CancellationToken cancellation = default
    )
    {
        List<string> others = [];
        foreach (var (python, source) in NamedBy(variant, variable))
        {
            if (!File.Exists(python))
                throw new PipelineException($"{source} names '{python}', which is not there.", PipelineException.ConfigurationError);
            var version = (await InstalledToolkit.OfAsync(python, import: false, cancellation).ConfigureAwait(false))?.Version;
            if (version == variant.Toolkit)
                return new ToolkitEnvironment(python, DriverPath);
            others.Add($"{python} of {source} has {(version is null ? "no rknn-toolkit2" : version)}");
        }
        var folder = FolderOf(cache, Requirements(variant.Toolkit));
        var provisioned = Path.GetFullPath(Path.Combine(folder, "bin", "python"));
        return File.Exists(provisioned) && File.Exists(Path.Combine(folder, LockFile))
            ? new ToolkitEnvironment(provisioned, DriverPath)
            : throw new PipelineException(
                $"rknn-toolkit2 {variant.Toolkit} is not here{(others.Count == 0 ? "" : $" ({string.Join("; ", others)})")}: "
                    + $"run ./build.sh --target=Provision, or name a Python that has it in {PythonVariable} or as 'toolkit_python' in "
                    + $"models.yaml."
            );
    }

    /// <summary>Interpreters that somebody named, with who did, in the order in which they are tried.</summary>
    public static IEnumerable<(string Python, string Source)> NamedBy(VariantSpec variant, Func<string, string?> variable) =>
        [
            .. (variable(PythonVariable) ?? "")
                .Split(':', StringSplitOptions.RemoveEmptyEntries)
                .Select(path => (Path.GetFullPath(path), PythonVariable)),
            .. variant.ToolkitPython is { } python ? new[] { (python, "toolkit_python") } : [],
        ];
}
