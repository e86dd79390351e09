using System.Diagnostics;
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
        Run(SystemPython, "-m", "venv", "--without-pip", folder.Path);
        var packages = Directory.EnumerateDirectories(folder.File("lib"), "python3*").Single();
        if (version is not null)
            File.WriteAllText(Path.Combine(Directory.CreateDirectory(Path.Combine(packages, "site-packages", $"rknn_toolkit2-{version}.dist-info")).FullName, "METADATA"), $"Metadata-Version: 2.1\nName: rknn-toolkit2\nVersion: {version}\n");
        // Lines of a .pth file that begin with import are run, the others are added to the path.
        File.WriteAllText(Path.Combine(packages, "site-packages", "recorded.pth"), $"import os; os.environ['RECORDED_TOOLKIT'] = '{fault}'\n{Packages}\n");
    }

    public static string Packages { get; } = Path.GetFullPath(RepositoryFiles.Fixture("../../recorded-toolkit"));

    public static string SystemPython { get; } =
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Select(entry => Path.Combine(entry, "python3")).FirstOrDefault(File.Exists) ?? "python3";

    public string Python => folder.File("bin/python");

    public ToolkitEnvironment Driver => new(Python, Path.Combine(ToolkitEnvironment.Scripts, "driver.py"));

    /// <summary>A program that answers one line to everything.</summary>
    public static void Answering(string path, string answer)
    {
        File.WriteAllText(path, $"#!/bin/sh\necho {answer}\n");
        Run("chmod", "+x", path);
    }

    public static void Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {output.Result}{errors}");
    }

    public void Dispose() => folder.Dispose();
}
