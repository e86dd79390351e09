using System.ComponentModel;
using CliWrap;
using CliWrap.Buffered;

namespace ModelPipeline.Tests;

/// <summary>Other programs, run to their end.</summary>
internal static class Programs
{
    /// <summary>Exit code and all that it printed, errors last.</summary>
    /// <exception cref="Win32Exception">There is no such program.</exception>
    public static Task<(int ExitCode, string Output)> RunAsync(string folder, string program, params IEnumerable<string> arguments) =>
        RunAsync(Cli.Wrap(program).WithArguments(arguments).WithWorkingDirectory(folder), TestContext.Current.CancellationToken);

    /// <summary>Whether there is such a program and it ends well.</summary>
    public static bool EndsWell(string program, params IEnumerable<string> arguments)
    {
        try
        {
            return RunToEnd(program, arguments).ExitCode == 0;
        }
        catch (Win32Exception)
        {
            return false;
        }
    }

    /// <summary>Fails the test unless the program ends well.</summary>
    public static void Run(string program, params IEnumerable<string> arguments)
    {
        var (exitCode, output) = RunToEnd(program, arguments);
        Assert.True(exitCode == 0, $"{program} {string.Join(' ', arguments)}: {output}");
    }

    /// <summary>Also when the test is cancelled, for what cleans up.</summary>
    private static (int ExitCode, string Output) RunToEnd(string program, IEnumerable<string> arguments) =>
        RunAsync(Cli.Wrap(program).WithArguments(arguments), CancellationToken.None).GetAwaiter().GetResult();

    private static async Task<(int ExitCode, string Output)> RunAsync(Command command, CancellationToken cancellation)
    {
        var run = await command.WithValidation(CommandResultValidation.None).ExecuteBufferedAsync(cancellation);
        return (run.ExitCode, run.StandardOutput + run.StandardError);
    }
}
