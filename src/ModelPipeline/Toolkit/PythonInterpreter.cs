using System.Globalization;

namespace ModelPipeline.Toolkit;

/// <summary>A Python on this machine.</summary>
/// <param name="Path">Of the program.</param>
/// <param name="Version">Major and minor.</param>
/// <param name="HasVenv">Whether it makes virtual environments with pip.</param>
public sealed record PythonInterpreter(string Path, Version Version, bool HasVenv)
{
    /// <summary>Oldest that there are pins for; the toolkit's own wheels begin earlier.</summary>
    public static readonly Version Oldest = new(3, 8);

    /// <summary>Newest that the toolkit has wheels for.</summary>
    public static readonly Version Newest = new(3, 12);

    public bool IsSupported => Version >= Oldest && Version <= Newest;

    /// <summary>The Pythons on the PATH, best first: supported ones that make environments, 3.11 before others, as the pins were seen to
    /// work there.</summary>
    /// <param name="searchPath">Folders to look in, as in PATH.</param>
    /// <param name="cancellation">Ends the search.</param>
    public static async Task<IReadOnlyList<PythonInterpreter>> FindAsync(string searchPath, CancellationToken cancellation = default)
    {
        string[] names = ["python3.11", "python3.12", "python3.10", "python3.9", "python3.8", "python3", "python"];
        var paths =
            from name in names
            let path = searchPath
                .Split(':')
                .Where(folder => folder.Length > 0)
                .Select(folder => System.IO.Path.Combine(folder, name))
                .FirstOrDefault(File.Exists)
            where path is not null
            select path;
        List<PythonInterpreter> found = [];
        foreach (var path in paths)
        {
            if (await ProbeAsync(path, cancellation).ConfigureAwait(false) is { } python)
                found.Add(python);
        }
        return [.. found.OrderByDescending(python => python.IsSupported).ThenByDescending(python => python.HasVenv)];
    }

    private static async Task<PythonInterpreter?> ProbeAsync(string path, CancellationToken cancellation)
    {
        const string Question = """
            import importlib.util as u, sys
            print(sys.version_info[0], sys.version_info[1], int(all(u.find_spec(m) for m in ("venv", "ensurepip"))))
            """;
        return
            await ToolkitProcess.RunAsync(path, ["-I", "-c", Question], cancellation: cancellation).ConfigureAwait(false) is (0, var answer)
            && answer.Split(' ', '\n') is [var major, var minor, var venv]
            && int.TryParse(major, CultureInfo.InvariantCulture, out var first)
            && int.TryParse(minor, CultureInfo.InvariantCulture, out var second)
            ? new PythonInterpreter(path, new Version(first, second), venv == "1")
            : null;
    }
}
