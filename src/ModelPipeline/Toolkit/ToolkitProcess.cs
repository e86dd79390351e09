using System.ComponentModel;
using CliWrap;

namespace ModelPipeline.Toolkit;

/// <summary>Runs small programs to their end: Python, pip and the like.</summary>
internal static class ToolkitProcess
{
    /// <summary>What a program that is told to end may still do.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(5);

    /// <summary>Output and exit code of one run; null if the program cannot be started.</summary>
    /// <param name="program">Name on the PATH, or a path.</param>
    /// <param name="arguments">Given as they are: no shell is between.</param>
    /// <param name="line">Called for each line of output and error.</param>
    /// <param name="variables">Set on top of this process' own.</param>
    /// <param name="cancellation">Interrupts the program as Ctrl-C does; after five seconds it and its children are killed.</param>
    public static async Task<(int ExitCode, string Output)?> RunAsync(
        string program,
        IReadOnlyList<string> arguments,
        Action<string>? line = null,
        IReadOnlyDictionary<string, string>? variables = null,
        CancellationToken cancellation = default
    )
    {
        var output = new List<string>();
        var lines = PipeTarget.ToDelegate(text =>
        {
            lock (output)
                output.Add(text);
            line?.Invoke(text);
        });
        var command = Cli.Wrap(program)
            .WithArguments(arguments)
            .WithValidation(CommandResultValidation.None)
            .WithEnvironmentVariables(set =>
                set.Set((variables ?? new Dictionary<string, string>()).ToDictionary(pair => pair.Key, pair => (string?)pair.Value))
            )
            .WithStandardOutputPipe(lines)
            .WithStandardErrorPipe(lines);
        using var kill = new CancellationTokenSource();
        using var interrupted = cancellation.Register(() => kill.CancelAfter(Grace));
        try
        {
            var result = await command.ExecuteAsync(kill.Token, cancellation).ConfigureAwait(false);
            cancellation.ThrowIfCancellationRequested();
            return (result.ExitCode, string.Join('\n', output));
        }
        catch (Win32Exception)
        {
            return null;
        }
    }
}
