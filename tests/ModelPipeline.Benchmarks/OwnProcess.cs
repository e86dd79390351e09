using System.Diagnostics;

namespace ModelPipeline.Benchmarks;

/// <summary>This program again, in a process of its own. Not CliWrap's, which would be timed with what it does, and is read only when it
/// has ended.</summary>
internal static class OwnProcess
{
    /// <summary>Starts it. It ends with its standard input at the latest, and what it prints is the caller's.</summary>
    public static Process Start(params ReadOnlySpan<string> arguments)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardInput = true, RedirectStandardOutput = true };
        // Started as `dotnet X.dll`, the process path is the host's.
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
            start.ArgumentList.Add(typeof(OwnProcess).Assembly.Location);
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }
}
