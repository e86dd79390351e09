using System.Text.RegularExpressions;

namespace ModelPipeline.Toolkit;

/// <summary>The text that rknn-toolkit2 prints: colours, progress bars drawn over themselves, and sentences in several
/// severities.</summary>
public static partial class ToolkitLog
{
    /// <summary>Finished lines without colours; of a line drawn over itself the last drawing. A last line without '\n' was cut and is left
    /// out.</summary>
    public static IEnumerable<string> Lines(string text)
    {
        for (int start = 0, end; (end = text.IndexOf('\n', start)) >= 0; start = end + 1)
        {
            var line = text.AsSpan(start, end - start).TrimEnd('\r');
            yield return Plain(line[(line.LastIndexOf('\r') + 1)..].ToString());
        }
    }

    /// <summary>Everything that is not blank, each drawing of a bar for itself and what was cut at the end too, without colours.</summary>
    public static IEnumerable<string> Drawn(string text) => Plain(text).Split('\n', '\r').Where(line => !string.IsNullOrWhiteSpace(line));

    /// <summary>Without ANSI escape sequences.</summary>
    public static string Plain(string text) => text.Contains('\e') ? Escape().Replace(text, "") : text;

    [GeneratedRegex(@"\e\[[0-9;?]*[ -/]*[@-~]")]
    private static partial Regex Escape();
}
