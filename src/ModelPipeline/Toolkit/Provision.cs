using ModelPipeline.Core;

namespace ModelPipeline.Toolkit;

/// <summary>A package of a provisioned environment.</summary>
/// <param name="Name">With '-' for '_'.</param>
/// <param name="Version">As its wheel says.</param>
/// <param name="Sha256">Of the wheel it was installed from.</param>
public sealed record LockedPackage(string Name, string Version, string Sha256)
{
    /// <summary>By the name of the file: distribution-version-tags.whl.</summary>
    internal static LockedPackage OfWheel(string path, CancellationToken cancellation) => Path.GetFileName(path).Split('-') is [var name, var version, ..]
        ? new(name.Replace('_', '-'), version, FileDigest.Of(path, cancellation).Sha256)
        : throw new PipelineException($"'{path}' is not named as wheels are: expected distribution-version-tags.whl.");
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

    /// <summary>Uses the environment of these requirements, or makes it. It counts as made when its lock is written, at the end; one process at a time makes it.</summary>
    /// <param name="requirements">Path of requirements-VERSION.txt.</param>
    /// <param name="cache">The pipeline's cache folder.</param>
    /// <param name="wheels">Folder of wheels to install from without any index; null uses pip's configuration.</param>
    /// <param name="progress">Steps of the work.</param>
    /// <param name="cancellation">Ends pip; the next run goes on.</param>
    /// <exception cref="PipelineException">No Python serves, or pip failed; says what to do.</exception>
    public static async Task<ProvisionedToolkit> RunAsync(
        string requirements, string cache, string? wheels = null, IProgress<StageProgress>? progress = null, CancellationToken cancellation = default)
    {
        var folder = ToolkitEnvironment.FolderOf(cache, requirements);
        var environment = new ToolkitEnvironment(Path.Combine(folder, "bin", "python"), ToolkitEnvironment.DriverPath);
        var locked = Path.Combine(folder, ToolkitEnvironment.LockFile);
        if (Made(reused: true) is { } there)
            return there;
        if (wheels is not null && !Directory.Exists(wheels))
            throw new PipelineException($"--wheels: there is no folder '{wheels}'. Name a folder that pip download has filled.", PipelineException.ConfigurationError);
        var python = await PythonAsync(cancellation).ConfigureAwait(false);
        Directory.CreateDirectory(Path.GetDirectoryName(folder)!);
        // Environments hold their own path, so it is made in place; by one at a time, also among processes.
        await using var guard = await FileLock.TakeAsync(folder + ".lock", cancellation).ConfigureAwait(false);
        if (Made(reused: true) is { } meanwhile)
            return meanwhile;
        if (!File.Exists(environment.Python))
        {
            progress?.Report(new StageProgress("provision environment", 0, 1));
            await CallAsync(python.Path, ["-I", "-m", "venv", "--clear", folder], cancellation).ConfigureAwait(false);
            progress?.Report(new StageProgress("provision environment", 1, 1));
        }
        // By way of wheels in a folder: an older Python's pip tells no hashes of what it installs.
        var wheelhouse = Path.Combine(folder, "wheels");
        if (Directory.Exists(wheelhouse))
            Directory.Delete(wheelhouse, recursive: true); // an interrupted run's
        Directory.CreateDirectory(wheelhouse);
        try
        {
            foreach (var (index, arguments) in Installs(requirements, wheels).Index())
            {
                progress?.Report(new StageProgress("provision packages", index, 3));
                await PipAsync("wheel", ["--wheel-dir", wheelhouse, .. arguments]).ConfigureAwait(false);
            }
            progress?.Report(new StageProgress("provision packages", 2, 3));
            var files = Directory.GetFiles(wheelhouse, "*.whl");
            await PipAsync("install", ["--no-index", "--no-deps", "--force-reinstall", .. files]).ConfigureAwait(false);
            ReportJson.Write<IReadOnlyList<LockedPackage>>(locked, [.. files.Select(file => LockedPackage.OfWheel(file, cancellation)).OrderBy(package => package.Name, StringComparer.Ordinal)]);
            progress?.Report(new StageProgress("provision packages", 3, 3));
        }
        finally
        {
            Directory.Delete(wheelhouse, recursive: true);
        }
        return Made(reused: false)!;

        Task PipAsync(string command, IReadOnlyList<string> arguments) =>
            CallAsync(environment.Python, ["-I", "-m", "pip", command, "--no-input", "--disable-pip-version-check", .. arguments], cancellation);

        ProvisionedToolkit? Made(bool reused) => File.Exists(locked) && File.Exists(environment.Python)
            ? new ProvisionedToolkit(environment, ReportJson.Read<IReadOnlyList<LockedPackage>>(locked), reused)
            : null;
    }

    /// <summary>Everything but the toolkit with what it depends on, and the toolkit without its dependency list.</summary>
    private static IEnumerable<string[]> Installs(string requirements, string? wheels)
    {
        string[] source = wheels is null ? [] : ["--no-index", "--find-links", Path.GetFullPath(wheels)];
        var lines = File.ReadLines(requirements).Select(line => line.Split('#')[0].Trim()).Where(line => line.Length > 0).ToLookup(line => line.StartsWith(Toolkit, StringComparison.Ordinal));
        if (lines[false].Any())
            yield return [.. source, .. lines[false]];
        yield return [.. source, "--no-deps", .. lines[true]];
    }

    private static async Task<PythonInterpreter> PythonAsync(CancellationToken cancellation)
    {
        var found = await PythonInterpreter.FindAsync(System.Environment.GetEnvironmentVariable("PATH") ?? "", cancellation).ConfigureAwait(false);
        return found.FirstOrDefault(python => python is { IsSupported: true, HasVenv: true })
            ?? throw new PipelineException(found is [{ IsSupported: true } python, ..]
                ? $"{python.Path} makes no virtual environments: install its venv module, on Debian and Ubuntu with 'apt-get install python3-venv'."
                : $"rknn-toolkit2 needs a Python from {PythonInterpreter.Oldest} to {PythonInterpreter.Newest}; found {(found.Count == 0 ? "none" : string.Join(", ", found.Select(other => other.Version)))} on the PATH. Install one, on Debian 12 with 'apt-get install python3 python3-venv'.");
    }

    private static async Task CallAsync(string program, IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var (code, output) = await ToolkitProcess.RunAsync(program, arguments, cancellation: cancellation).ConfigureAwait(false) ?? (-1, "it cannot be started");
        if (code == 0)
            return;
        var reason = output.Split('\n').LastOrDefault(line => line.StartsWith("ERROR:", StringComparison.Ordinal)) ?? output.Split('\n').LastOrDefault(line => line.Length > 0) ?? "it gave no reason";
        throw new PipelineException($"Provision: {Path.GetFileName(program)} {string.Join(' ', arguments.Skip(1).Take(3))} failed: {reason.Replace("ERROR: ", "", StringComparison.Ordinal).TrimEnd('.')}. Check pip's index and find-links (pip config list), or give a folder of wheels.");
    }
}
