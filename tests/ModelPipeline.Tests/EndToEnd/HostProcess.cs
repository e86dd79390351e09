using System.Diagnostics;
using System.Reflection;
using System.Text;

namespace ModelPipeline.Tests.EndToEnd;

/// <summary>How a run of the build host ended.</summary>
internal sealed record HostRun(int ExitCode, string Output, string Error)
{
    /// <summary>This run, if it ended well.</summary>
    public HostRun Succeeded()
    {
        Assert.True(ExitCode == 0, $"exit code {ExitCode}\n{Output}\n{Error}");
        return this;
    }
}

/// <summary>The build host as its users have it: a process of its own, known by what it prints, leaves and returns.</summary>
internal sealed class HostProcess : IDisposable
{
    /// <summary>Far longer than any run here takes on a busy machine.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    private static readonly string Assembly = Path.Combine(
        RepositoryFiles.Root,
        typeof(HostProcess).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(entry => entry.Key == "Host").Value!
    );

    /// <summary>Variables that change what the host does.</summary>
    private static readonly string[] Variables =
    [
        "QUANTIZE",
        "CALIBRATION_SAMPLES",
        "REGENERATE_DATASET",
        "FORCE_CONVERT",
        "MODELPIPELINE_CACHE",
        "MODELPIPELINE_CACHE_LIMIT",
        "HF_ENDPOINT",
        "HF_TOKEN",
        "NO_COLOR",
        "MODELPIPELINE_TOOLKIT_PYTHON",
        "GITHUB_TOKEN",
        "GH_TOKEN",
        "GITHUB_REPOSITORY",
        "GITHUB_API_URL",
        "GITHUB_SHA",
    ];

    // Not CliWrap: tests send it signals of their choice and look whether it runs.
    private readonly Process process;
    private readonly StringBuilder output = new();
    private readonly StringBuilder error = new();

    /// <summary>Starts <c>Build.dll</c> in <paramref name="folder"/> with the arguments and, on top of a clean environment, the variables
    /// given.</summary>
    public HostProcess(string folder, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null)
    {
        // A shell's background job ignores SIGINT, and so would its children: env puts back the default, then becomes the host.
        var start = new ProcessStartInfo("env", ["--default-signal=INT", "dotnet", Assembly, .. arguments])
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var name in Variables)
            start.Environment.Remove(name);
        start.Environment["CI"] = "true";
        foreach (var (name, value) in environment ?? new Dictionary<string, string>())
            start.Environment[name] = value;
        process = new Process { StartInfo = start };
        process.OutputDataReceived += (_, line) => Take(output, line.Data);
        process.ErrorDataReceived += (_, line) => Take(error, line.Data);
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>Runs the host to its end.</summary>
    public static async Task<HostRun> RunAsync(
        string folder,
        IEnumerable<string> arguments,
        IReadOnlyDictionary<string, string>? environment = null,
        TimeSpan? patience = null
    )
    {
        using var host = new HostProcess(folder, arguments, environment);
        return await host.EndAsync(patience);
    }

    /// <summary>Waits until the host has printed <paramref name="text"/>.</summary>
    public Task PrintsAsync(string text) => UntilAsync(() => Text(output).Contains(text, StringComparison.Ordinal), $"printing '{text}'");

    /// <summary>Waits until something holds while the host runs.</summary>
    public async Task UntilAsync(Func<bool> condition, string what)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (!condition())
        {
            Assert.False(process.HasExited, $"The host ended without {what}:\n{Text(output)}\n{Text(error)}");
            await Task.Delay(5, patience.Token);
        }
    }

    /// <summary>What Ctrl-C does.</summary>
    public void Interrupt() => Signal("INT");

    /// <summary>Ends the host alone, at once; what it started is left to itself.</summary>
    public void Kill() => Signal("KILL");

    private void Signal(string name)
    {
        Programs.Run("kill", $"-{name}", $"{process.Id}");
    }

    public async Task<HostRun> EndAsync(TimeSpan? patience = null)
    {
        using var end = new CancellationTokenSource(patience ?? Patience);
        await process.WaitForExitAsync(end.Token);
        return new HostRun(process.ExitCode, Text(output), Text(error));
    }

    public void Dispose()
    {
        if (!process.HasExited)
            process.Kill(entireProcessTree: true);
        process.WaitForExit(); // a killed process may still write
        process.Dispose();
    }

    private static void Take(StringBuilder text, string? line)
    {
        if (line is not null)
            lock (text)
                text.Append(line).Append('\n');
    }

    private static string Text(StringBuilder text)
    {
        lock (text)
            return text.ToString();
    }
}
