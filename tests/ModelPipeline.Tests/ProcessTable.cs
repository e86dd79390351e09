using System.Diagnostics;
using System.Globalization;

namespace ModelPipeline.Tests;

/// <summary>Processes of this machine, as proc(5) tells of them.</summary>
internal static class ProcessTable
{
    /// <summary>Far longer than anything takes here to begin or to end, on a busy machine too.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    /// <summary>Numbers and command lines, words divided by spaces, of what runs now. A zombie has none, and does not run.</summary>
    public static IEnumerable<(int Id, string CommandLine)> Running() =>
        from folder in Directory.EnumerateDirectories("/proc")
        where char.IsAsciiDigit(Path.GetFileName(folder)[0])
        let line = Read(Path.Combine(folder, "cmdline"))
        where line.Length > 0
        select (int.Parse(Path.GetFileName(folder), CultureInfo.InvariantCulture), line.Replace('\0', ' ').TrimEnd());

    /// <summary>The process that started this one; 0 if it is gone.</summary>
    public static int Parent(int process) => int.Parse(Stat(process)[1], CultureInfo.InvariantCulture);

    public static bool IsRunning(int process) => Stat(process)[0] is not ("Z" or "X");

    /// <summary>Waits until a process is gone, or fails.</summary>
    public static Task EndsAsync(int process) =>
        UntilAsync(
            () => !IsRunning(process),
            () => $"process {process} is still there: {Read($"/proc/{process}/cmdline").Replace('\0', ' ')}"
        );

    /// <summary>Waits until something holds, or fails.</summary>
    public static async Task UntilAsync(Func<bool> condition, Func<string> otherwise)
    {
        for (var waited = Stopwatch.StartNew(); !condition(); await Task.Delay(20, TestContext.Current.CancellationToken))
            Assert.True(waited.Elapsed < Patience, otherwise());
    }

    /// <summary>Fields of proc(5)'s stat from the state on.</summary>
    private static string[] Stat(int process) =>
        Read($"/proc/{process}/stat") is { Length: > 0 } text ? text[(text.LastIndexOf(')') + 2)..].Split(' ') : ["X", "0"];

    /// <summary>Empty for a process that is gone, be it between two looks.</summary>
    private static string Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
