using System.Text.Json;

namespace ModelPipeline.Toolkit;

/// <summary>A package of a provisioned environment.</summary>
/// <param name="Name">As its wheel says.</param>
/// <param name="Version">As its wheel says.</param>
/// <param name="Sha256">Of the file it was installed from; null if the index gave none.</param>
public sealed record LockedPackage(string Name, string Version, string? Sha256);

/// <summary>What Provision made.</summary>
/// <param name="Environment">Ready to use.</param>
/// <param name="Packages">By name: content of the environment's toolkit.lock.json.</param>
/// <param name="Reused">True if it was there already.</param>
public sealed record ProvisionedToolkit(ToolkitEnvironment Environment, IReadOnlyList<LockedPackage> Packages, bool Reused);

/// <summary>Makes a private virtual environment with rknn-toolkit2, once for each set of pins.</summary>
public static class Provision
{
    private const string LockFile = "toolkit.lock.json";
    private const string Toolkit = "rknn-toolkit2";

    /// <summary>Uses the environment of these requirements, or makes it; another process' half-made one is never seen.</summary>
    /// <param name="requirements">Path of requirements-VERSION.txt.</param>
    /// <param name="cache">The pipeline's cache folder.</param>
    /// <param name="wheels">Folder of wheels to install from without any index; null uses pip's configuration.</param>
    /// <param name="progress">Steps of the work.</param>
    /// <param name="cancellation">Ends pip; nothing half-made stays.</param>
    /// <exception cref="PipelineException">No Python serves, or pip failed; says what to do.</exception>
    public static async Task<ProvisionedToolkit> RunAsync(
        string requirements, string cache, string? wheels = null, IProgress<StageProgress>? progress = null, CancellationToken cancellation = default)
    {
        var folder = ToolkitEnvironment.FolderOf(cache, requirements);
        var driver = Path.Combine(ToolkitEnvironment.Scripts, "driver.py");
        var environment = new ToolkitEnvironment(Path.Combine(folder, "bin", "python"), driver);
        var locked = Path.Combine(folder, LockFile);
        if (File.Exists(locked) && File.Exists(environment.Python))
            return new ProvisionedToolkit(environment, ReportJson.Read<IReadOnlyList<LockedPackage>>(locked), Reused: true);

        var python = await PythonAsync(cancellation).ConfigureAwait(false);
        Directory.CreateDirectory(Path.GetDirectoryName(folder)!);
        // Environments hold their own path, so it is made in place; the lock, written last, makes it valid.
        await using var guard = await LockAsync(folder + ".lock", cancellation).ConfigureAwait(false);
        if (File.Exists(locked))
            return new ProvisionedToolkit(environment, ReportJson.Read<IReadOnlyList<LockedPackage>>(locked), Reused: true);
        try
        {
            if (Directory.Exists(folder))
                Directory.Delete(folder, recursive: true);
            progress?.Report(new StageProgress("provision environment", 0, 3));
            await CallAsync(python.Path, ["-I", "-m", "venv", folder], cancellation).ConfigureAwait(false);
            var packages = new List<LockedPackage>();
            foreach (var (index, arguments) in Installs(requirements, wheels).Index())
            {
                progress?.Report(new StageProgress("provision packages", index + 1, 3));
                var report = Path.Combine(folder, "pip-report.json");
                await CallAsync(environment.Python, ["-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--report", report, .. arguments], cancellation).ConfigureAwait(false);
                packages.AddRange(Installed(report));
                File.Delete(report);
            }
            progress?.Report(new StageProgress("provision packages", 3, 3));
            packages.Sort((a, b) => string.CompareOrdinal(a.Name, b.Name));
            ReportJson.Write<IReadOnlyList<LockedPackage>>(locked, packages);
            return new ProvisionedToolkit(environment, packages, Reused: false);
        }
        catch
        {
            if (Directory.Exists(folder))
                Directory.Delete(folder, recursive: true);
            throw;
        }
    }

    /// <summary>The toolkit alone without its dependency list, then everything else with theirs.</summary>
    private static IEnumerable<string[]> Installs(string requirements, string? wheels)
    {
        string[] source = wheels is null ? [] : ["--no-index", "--find-links", Path.GetFullPath(wheels)];
        var lines = File.ReadLines(requirements).Select(line => line.Split('#')[0].Trim()).Where(line => line.Length > 0).ToLookup(line => line.StartsWith(Toolkit, StringComparison.Ordinal));
        if (lines[false].Any())
            yield return [.. source, .. lines[false]];
        yield return [.. source, "--no-deps", .. lines[true]];
    }

    private static IEnumerable<LockedPackage> Installed(string report)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(report));
        return [.. document.RootElement.GetProperty("install").EnumerateArray().Select(package =>
        {
            var metadata = package.GetProperty("metadata");
            var hash = package.GetProperty("download_info").TryGetProperty("archive_info", out var archive)
                && archive.TryGetProperty("hashes", out var hashes) && hashes.TryGetProperty("sha256", out var sha256) ? sha256.GetString() : null;
            return new LockedPackage(metadata.GetProperty("name").GetString()!, metadata.GetProperty("version").GetString()!, hash);
        })];
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
        throw new PipelineException($"Provision: {Path.GetFileName(program)} {string.Join(' ', arguments.Skip(1).Take(3))} failed: {reason.Replace("ERROR: ", "", StringComparison.Ordinal)} Check pip's index and find-links (pip config list), or give a folder of wheels.");
    }

    /// <summary>One provisioning at a time, also among processes.</summary>
    private static async Task<FileStream> LockAsync(string path, CancellationToken cancellation)
    {
        while (true)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose);
            }
            catch (IOException) when (File.Exists(path))
            {
                await Task.Delay(200, cancellation).ConfigureAwait(false);
            }
        }
    }
}
