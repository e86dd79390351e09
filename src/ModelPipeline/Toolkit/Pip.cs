using System.Globalization;
using System.Text.RegularExpressions;
using ModelPipeline.Core;

namespace ModelPipeline.Toolkit;

/// <summary>Runs pip of one environment and says in one sentence why it fails.</summary>
/// <param name="python">Interpreter of the environment.</param>
/// <param name="temporary">Folder for what pip unpacks meanwhile, whose owner deletes it.</param>
/// <param name="tell">Gets one line for each package that comes, with its size.</param>
/// <param name="cancellation">Ends pip.</param>
internal sealed partial class Pip(string python, string temporary, Action<string>? tell, CancellationToken cancellation)
{
    /// <summary>One command of pip.</summary>
    /// <exception cref="PipelineException">It failed.</exception>
    public Task RunAsync(string command, IReadOnlyList<string> arguments) =>
        CallAsync(["-I", "-m", "pip", command, "--no-input", "--disable-pip-version-check", .. arguments]);

    /// <summary>Python with any arguments.</summary>
    /// <exception cref="PipelineException">It failed.</exception>
    public async Task CallAsync(IReadOnlyList<string> arguments)
    {
        var (code, output) =
            await ToolkitProcess
                .RunAsync(python, arguments, line => Tell(line), new Dictionary<string, string> { ["TMPDIR"] = temporary }, cancellation)
                .ConfigureAwait(false)
            ?? (-1, "it cannot be started");
        if (code != 0)
            throw new PipelineException(
                $"Provision: {Path.GetFileName(python)} {string.Join(' ', arguments.Skip(1).Take(3))} failed: {Reason(output)}"
            );
    }

    /// <summary>Why pip failed, and what to do. Of a conflict the two lines that disagree, which stand before pip's last words.</summary>
    internal static string Reason(string output)
    {
        if (Conflict().Match(output) is { Success: true } conflict)
        {
            string[] lines = [.. conflict.Groups["line"].Captures.Select(line => $"'{line.Value.Trim()}'")];
            return $"{string.Join(" and ", lines.Take(lines.Length - 1))}, but {lines[^1]}. Set other pins in the requirements, or give a "
                + $"folder of wheels that agree.";
        }
        var last =
            output.Split('\n').LastOrDefault(line => line.StartsWith("ERROR:", StringComparison.Ordinal))
            ?? output.Split('\n').LastOrDefault(line => line.Length > 0)
            ?? "it gave no reason";
        return $"{last.Replace("ERROR: ", "", StringComparison.Ordinal).TrimEnd('.')}. Check pip's index and find-links (pip config "
            + $"list), or give a folder of wheels.";
    }

    /// <summary>'Downloading URL (1.2 MB)' of an index, 'Processing PATH' of a folder.</summary>
    private void Tell(string line)
    {
        if (Coming().Match(line) is not { Success: true } coming)
            return;
        var path = coming.Groups["path"].Value;
        var size = coming.Groups["size"] is { Success: true } said ? said.Value : SizeOf(path);
        if (size is not null && Path.GetFileName(path).Split('-') is [var name, var version, ..])
            tell?.Invoke($"{name.Replace('_', '-')} {version}, {size}");
    }

    private static string? SizeOf(string path) =>
        File.Exists(path) ? string.Create(CultureInfo.InvariantCulture, $"{new FileInfo(path).Length / 1e6:0.#} MB") : null;

    [GeneratedRegex(@"^\s*(?:Downloading|Processing|Using cached) (?<path>\S+\.whl)(?!\.metadata)(?: \((?<size>[\d.]+ [kMG]?B)\))?")]
    private static partial Regex Coming();

    [GeneratedRegex(@"The conflict is caused by:\n(?: +(?<line>\S[^\n]*)\n?)+")]
    private static partial Regex Conflict();
}
