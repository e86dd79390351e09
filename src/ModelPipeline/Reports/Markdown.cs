using System.Text;

namespace ModelPipeline.Reports;

/// <summary>The pieces that the pipeline's Markdown is made of.</summary>
internal static class Markdown
{
    public static string Table(string[] head, IEnumerable<string[]> rows) =>
        string.Join("\n", rows.Prepend([.. head.Select(_ => "---")]).Prepend(head).Select(row => $"| {string.Join(" | ", row)} |"));

    public static string List(IEnumerable<string> items) => string.Join("\n", items.Select(item => $"- {item}"));

    /// <summary>Text that Markdown and its HTML show as it is, on one line.</summary>
    public static string Escape(string text)
    {
        var escaped = new StringBuilder();
        foreach (var letter in text)
            escaped.Append(letter is '\\' or '`' or '*' or '[' or ']' or '<' or '>' or '|' or '#' or '&' ? $"\\{letter}" : char.IsControl(letter) ? " " : letter.ToString());
        return escaped.ToString();
    }
}
