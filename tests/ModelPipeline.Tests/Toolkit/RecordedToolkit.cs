using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>A virtual environment in which the toolkit is the recorded one of tests/recorded-toolkit.</summary>
internal sealed class RecordedToolkit : IDisposable
{
    private readonly TemporaryFolder folder = new();

    /// <param name="fault">What goes wrong; see recorded-toolkit/rknn/api/__init__.py.</param>
    /// <param name="version">What it says it is, instead of the recorded 2.3.2.</param>
    public RecordedToolkit(string fault = "", string? version = null)
    {
        Programs.Run(SystemPython, "-m", "venv", "--without-pip", folder.Path);
        var packages = Directory.EnumerateDirectories(folder.File("lib"), "python3*").Single();
        if (version is not null)
            File.WriteAllText(
                Path.Combine(
                    Directory.CreateDirectory(Path.Combine(packages, "site-packages", $"rknn_toolkit2-{version}.dist-info")).FullName,
                    "METADATA"
                ),
                $"Metadata-Version: 2.1\nName: rknn-toolkit2\nVersion: {version}\n"
            );
        // Lines of a .pth file that begin with import are run, the others are added to the path.
        File.WriteAllText(
            Path.Combine(packages, "site-packages", "recorded.pth"),
            $"import os; os.environ['RECORDED_TOOLKIT'] = '{fault}'\n{Packages}\n"
        );
    }

    /// <summary>Lets its import fail from now on.</summary>
    public void Break(string reason)
    {
        var api = Path.Combine(Directory.EnumerateDirectories(folder.File("lib"), "python3*").Single(), "site-packages", "rknn", "api");
        File.WriteAllText(
            Path.Combine(Directory.CreateDirectory(api).FullName, "__init__.py"),
            $"raise ModuleNotFoundError(\"{reason}\")\n"
        );
        File.WriteAllText(Path.Combine(api, "..", "__init__.py"), "");
    }

    public static string Packages { get; } = Path.GetFullPath(RepositoryFiles.Fixture("../../recorded-toolkit"));

    public static string SystemPython { get; } =
        (Environment.GetEnvironmentVariable("PATH") ?? "")
            .Split(':')
            .Select(entry => Path.Combine(entry, "python3"))
            .FirstOrDefault(File.Exists)
        ?? "python3";

    public string Python => folder.File("bin/python");

    public ToolkitEnvironment Driver => new(Python, Path.Combine(ToolkitEnvironment.Scripts, "driver.py"));

    /// <summary>A program that answers one line to everything. Another process writes it: none that this one starts meanwhile can hold it
    /// open, which would keep it from being run.</summary>
    public static void Answering(string path, string answer) =>
        Programs.Run("sh", "-c", """printf '#!/bin/sh\necho %s\n' "$2" > "$1" && chmod +x "$1" """, "sh", path, answer);

    /// <summary>Waits until a toolkit that hangs has told its process and its child's, somewhere below a folder.</summary>
    public static async Task<IReadOnlyList<int>> HangingAsync(string folder)
    {
        int[] pids = [];
        await ProcessTable.UntilAsync(
            () =>
                (
                    pids = !Directory.Exists(folder)
                        ? []
                        :
                        [
                            .. Directory
                                .EnumerateFiles(folder, "pids", SearchOption.AllDirectories)
                                .SelectMany(File.ReadAllLines)
                                .Select(int.Parse),
                        ]
                ).Length == 2,
            () => "the toolkit did not start"
        );
        Assert.All(pids, pid => Assert.True(ProcessTable.IsRunning(pid), $"{pid}"));
        return pids;
    }

    /// <summary>Waits until processes that were killed are gone, which the system need not do at once.</summary>
    public static async Task EndedAsync(IReadOnlyList<int> pids)
    {
        foreach (var pid in pids)
            await ProcessTable.EndsAsync(pid);
    }

    public void Dispose() => folder.Dispose();
}
