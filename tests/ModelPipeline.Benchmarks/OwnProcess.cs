using System.Diagnostics;

namespace ModelPipeline.Benchmarks;

/// <summary>This program again, in a process of its own.</summary>
internal static class OwnProcess
{
    /// <summary>Its standard output is redirected.</summary>
    public static ProcessStartInfo Start(params ReadOnlySpan<string> arguments)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true };
        // Started as `dotnet X.dll`, the process path is the host's.
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
            start.ArgumentList.Add(typeof(OwnProcess).Assembly.Location);
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        return start;
    }
}
