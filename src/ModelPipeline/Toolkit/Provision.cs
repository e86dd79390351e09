using System.Globalization;
using ModelPipeline.Core;

namespace ModelPipeline.Toolkit;

/// <summary>A package of a provisioned environment.</summary>
/// <param name="Name">With '-' for '_'.</param>
/// <param name="Version">As its wheel says.</param>
/// <param name="Sha256">Of the wheel it was installed from.</param>
public sealed record LockedPackage(string Name, string Version, string Sha256)
{
    /// <summary>By the name of the file: distribution-version-tags.whl.</summary>
    internal static LockedPackage OfWheel(string path, CancellationToken cancellation) =>
        Path.GetFileName(path).Split('-') is [var name, var version, ..]
            ? new(name.Replace('_', '-'), version, FileDigest.Of(path, cancellation).Sha256)
            : throw new PipelineException($"'{path}' is not named as wheels are: expected distribution-version-tags.whl.");
}

/// <summary>What is to be made.</summary>
/// <param name="Requirements">Path of requirements-VERSION.txt.</param>
/// <param name="Cache">The pipeline's cache folder.</param>
public sealed record ProvisionRequest(string Requirements, string Cache)
{
    /// <summary>Folder of wheels to install from without any index; null uses pip's configuration.</summary>
    public string? Wheels { get; init; }

    /// <summary>Install torch and OpenCV too, for which stubs stand else: of no use for what the pipeline calls.</summary>
    public bool WithTorch { get; init; }

    /// <summary>One line for each package that comes, with its size.</summary>
    public Action<string>? Tell { get; init; }
}

/// <summary>What Provision made.</summary>
/// <param name="Environment">Ready to use.</param>
/// <param name="Packages">By name: content of the environment's toolkit.lock.json.</param>
/// <param name="Reused">True if it was there already.</param>
public sealed record ProvisionedToolkit(ToolkitEnvironment Environment, IReadOnlyList<LockedPackage> Packages, bool Reused);

/// <summary>Makes a private virtual environment with rknn-toolkit2, once for each set of pins.</summary>
public static class Provision
{
    private const string Toolkit = "rknn-toolkit2";
    private const string Torch = "torch";

    /// <summary>Uses the environment of these requirements, or makes it. It counts as made when its lock is written, at the end; one
    /// process at a time makes it.</summary>
    /// <param name="request">What is to be there.</param>
    /// <param name="progress">Steps of the work.</param>
    /// <param name="cancellation">Ends pip; the next run goes on.</param>
    /// <exception cref="PipelineException">No Python serves, or pip failed; says what to do.</exception>
    public static async Task<ProvisionedToolkit> RunAsync(
        ProvisionRequest request,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellation = default
    )
    {
        var folder = ToolkitEnvironment.FolderOf(request.Cache, request.Requirements);
        var environment = new ToolkitEnvironment(Path.Combine(folder, "bin", "python"), ToolkitEnvironment.DriverPath);
        var locked = Path.Combine(folder, ToolkitEnvironment.LockFile);
        if (Made() is { } there && Serves(there))
            return new ProvisionedToolkit(environment, there, Reused: true);
        if (request.Wheels is { } wheels && !Directory.Exists(wheels))
            throw new PipelineException(
                $"--wheels: there is no folder '{wheels}'. Name a folder that pip download has filled.",
                PipelineException.ConfigurationError
            );
        var python = await PythonAsync(cancellation).ConfigureAwait(false);
        Directory.CreateDirectory(Path.GetDirectoryName(folder)!);
        // Environments hold their own path, so it is made in place; by one at a time, also among processes.
        await using var guard = await FileLock.TakeAsync(folder + ".lock", cancellation).ConfigureAwait(false);
        if (Made() is { } meanwhile && Serves(meanwhile))
            return new ProvisionedToolkit(environment, meanwhile, Reused: true);
        if (!File.Exists(environment.Python))
        {
            progress?.Report(new StageProgress("provision environment", 0, 1));
            await new Pip(python.Path, folder, null, cancellation).CallAsync(["-I", "-m", "venv", "--clear", folder]).ConfigureAwait(false);
            progress?.Report(new StageProgress("provision environment", 1, 1));
        }
        var packages = await InstallAsync(request, environment, progress, cancellation).ConfigureAwait(false);
        ReportJson.Write<IReadOnlyList<LockedPackage>>(locked, packages);
        return new ProvisionedToolkit(environment, packages, Reused: false);

        IReadOnlyList<LockedPackage>? Made() =>
            File.Exists(locked) && File.Exists(environment.Python) ? ReportJson.Read<IReadOnlyList<LockedPackage>>(locked) : null;

        bool Serves(IReadOnlyList<LockedPackage> made) => !request.WithTorch || made.Any(package => package.Name == Torch);
    }

    /// <summary>By way of wheels in a folder: an older Python's pip tells no hashes of what it installs.</summary>
    private static async Task<IReadOnlyList<LockedPackage>> InstallAsync(
        ProvisionRequest request,
        ToolkitEnvironment environment,
        IProgress<StageProgress>? progress,
        CancellationToken cancellation
    )
    {
        var folder = Path.GetFullPath(Path.Combine(environment.Python, "..", ".."));
        var wheelhouse = Path.Combine(folder, "wheels");
        AtomicFile.DeleteFolder(wheelhouse); // an interrupted run's
        Directory.CreateDirectory(wheelhouse);
        var pip = new Pip(environment.Python, wheelhouse, request.Tell, cancellation);
        try
        {
            var installs = Installs(request).ToList();
            foreach (var (index, arguments) in installs.Index())
            {
                progress?.Report(new StageProgress("provision packages", index, installs.Count + 1));
                await pip.RunAsync("wheel", ["--wheel-dir", wheelhouse, .. arguments]).ConfigureAwait(false);
            }
            progress?.Report(new StageProgress("provision packages", installs.Count, installs.Count + 1));
            var files = Directory.GetFiles(wheelhouse, "*.whl");
            request.Tell?.Invoke(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"installing {files.Length} packages, {files.Sum(file => new FileInfo(file).Length) / 1e6:0.#} MB packed"
                )
            );
            await pip.RunAsync("install", ["--no-index", "--no-deps", "--force-reinstall", .. files]).ConfigureAwait(false);
            progress?.Report(new StageProgress("provision packages", installs.Count + 1, installs.Count + 1));
            return
            [
                .. files.Select(file => LockedPackage.OfWheel(file, cancellation)).OrderBy(package => package.Name, StringComparer.Ordinal),
            ];
        }
        finally
        {
            AtomicFile.DeleteFolder(wheelhouse);
        }
    }

    /// <summary>Everything but the toolkit with what it depends on, and the toolkit without its dependency list.</summary>
    private static IEnumerable<string[]> Installs(ProvisionRequest request)
    {
        string[] source = request.Wheels is null ? [] : ["--no-index", "--find-links", Path.GetFullPath(request.Wheels)];
        string[] files = request.WithTorch ? [request.Requirements, ToolkitEnvironment.TorchRequirements] : [request.Requirements];
        var lines = files
            .SelectMany(File.ReadLines)
            .Select(line => line.Split('#')[0].Trim())
            .Where(line => line.Length > 0)
            .ToLookup(line => line.StartsWith(Toolkit, StringComparison.Ordinal));
        if (lines[false].Any())
            yield return [.. source, .. lines[false]];
        yield return [.. source, "--no-deps", .. lines[true]];
    }

    private static async Task<PythonInterpreter> PythonAsync(CancellationToken cancellation)
    {
        var found = await PythonInterpreter
            .FindAsync(System.Environment.GetEnvironmentVariable("PATH") ?? "", cancellation)
            .ConfigureAwait(false);
        return found.FirstOrDefault(python => python is { IsSupported: true, HasVenv: true })
            ?? throw new PipelineException(
                found is [{ IsSupported: true } python, ..]
                    ? $"{python.Path} makes no virtual environments: install its venv module, on Debian and Ubuntu with 'apt-get install "
                        + $"python3-venv'."
                    : $"rknn-toolkit2 needs a Python from {PythonInterpreter.Oldest} to {PythonInterpreter.Newest}; found "
                        + $"{(found.Count == 0 ? "none" : string.Join(", ", found.Select(other => other.Version)))} on the PATH. Install "
                        + $"one, on Debian 12 with 'apt-get install python3 python3-venv'."
            );
    }
}
