using System.Text.RegularExpressions;
using ModelPipeline.Core;

namespace ModelPipeline.Proposals;

/// <summary>Puts entries into the text of a models.yaml. All that stands there stays as it is, comments and line ends included.</summary>
internal static partial class ManifestText
{
    /// <summary>A file with nothing in it yet.</summary>
    public const string Empty =
        "# What to build. Made by --target=New; --target=Doctor tells what is missing here, and README.md explains the keys.\n"
        + "corpora:\n"
        + "models:\n";

    /// <summary>The text with an entry at the end of a section.</summary>
    /// <param name="text">Of a models.yaml.</param>
    /// <param name="section">corpora or models.</param>
    /// <param name="entry">Its lines end with \n; two spaces stand for the section's indentation.</param>
    /// <exception cref="PipelineException">The section is missing or written on one line.</exception>
    public static string With(string text, string section, string entry)
    {
        var lineEnd = text.Contains("\r\n", StringComparison.Ordinal) ? "\r\n" : "\n";
        List<string> lines = [.. text.Split(lineEnd)];
        var head = lines.FindIndex(line => Regex.IsMatch(line, $@"^{section}\s*:\s*(\{{\s*\}})?\s*(#.*)?$"));
        if (head < 0)
            throw new PipelineException(
                $"models.yaml: '{section}:' does not stand on a line of its own with its entries below, so nothing can be added there; "
                    + $"write it so.",
                PipelineException.ConfigurationError
            );
        lines[head] = EmptyMap().Replace(lines[head], ":");
        var end = lines.FindIndex(head + 1, line => line.Length > 0 && line[0] is not (' ' or '#' or '\t'));
        end = end < 0 ? lines.Count : end;
        var first = lines.FindIndex(head + 1, end - head - 1, IsContent);
        var indent = first < 0 ? 2 : lines[first].Length - lines[first].TrimStart(' ').Length;
        // Behind the last line of the section; what follows it without indentation belongs to the next.
        var last = lines.FindLastIndex(end - 1, end - head, line => line.TrimStart(' ').Length < line.Length && line.Trim().Length > 0);
        var at = Math.Max(last, head) + 1;
        IEnumerable<string> added = entry
            .TrimEnd('\n')
            .Split('\n')
            .Select(line => line.StartsWith("  ", StringComparison.Ordinal) ? new string(' ', indent) + line[2..] : line);
        lines.InsertRange(at, first < 0 || section == "corpora" ? added : added.Prepend(""));
        if (lines[^1].Length > 0)
            lines.Add("");
        return string.Join(lineEnd, lines);
    }

    private static bool IsContent(string line) => line.TrimStart(' ') is [not '#', ..];

    [GeneratedRegex(@":\s*\{\s*\}")]
    private static partial Regex EmptyMap();
}
