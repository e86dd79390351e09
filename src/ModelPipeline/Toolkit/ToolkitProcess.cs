using System.Diagnostics;

namespace ModelPipeline.Toolkit;

/// <summary>Runs small programs to their end: Python, pip, ssh and the like.</summary>
internal static class ToolkitProcess
{
    /// <summary>Output and exit code of one run; null if the program cannot be started.</summary>
    /// <param name="program">Name on the PATH, or a path.</param>
    /// <param name="arguments">Given as they are: no shell is between.</param>
    /// <param name="line">Called for each line of output and error.</param>
    /// <param name="variables">Set on top of this process' own.</param>
    /// <param name="cancellation">Ends the program and its children.</param>
    public static async Task<(int ExitCode, string Output)?> RunAsync(
        string program, IReadOnlyList<string> arguments, Action<string>? line = null, IReadOnlyDictionary<string, string>? variables = null, CancellationToken cancellation = default)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var (name, value) in variables ?? new Dictionary<string, string>())
            start.Environment[name] = value;
        using var process = new Process { StartInfo = start };
        var output = new List<string>();
        void Take(string? text)
        {
            if (text is null)
                return;
            lock (output)
                output.Add(text);
            line?.Invoke(text);
        }
        process.OutputDataReceived += (_, data) => Take(data.Data);
        process.ErrorDataReceived += (_, data) => Take(data.Data);
        try
        {
            process.Start();
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null;
        }
        process.StandardInput.Close();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        try
        {
            await process.WaitForExitAsync(cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
        lock (output)
            return (process.ExitCode, string.Join('\n', output));
    }
}
