using System.Globalization;

namespace ModelPipeline.Benchmarks;

/// <summary>One measured figure.</summary>
/// <param name="Target">What it must reach, as written in the issue; empty if nothing is asked.</param>
internal sealed record Row(string What, double Value, string Unit, string Target = "");

internal static class Table
{
    /// <summary>Prints Markdown.</summary>
    public static void Print(IReadOnlyList<Row> rows, TextWriter to)
    {
        string[][] cells =
        [
            ["what", "measured", "target"],
            .. rows.Select(row => new[] { row.What, $"{Format(row.Value)} {row.Unit}".TrimEnd(), row.Target }),
        ];
        var widths = Enumerable.Range(0, 3).Select(column => cells.Max(line => line[column].Length)).ToArray();
        for (var i = 0; i < cells.Length; i++)
        {
            to.WriteLine($"| {string.Join(" | ", cells[i].Select((cell, column) => cell.PadRight(widths[column])))} |");
            if (i == 0)
                to.WriteLine($"| {string.Join(" | ", widths.Select(width => new string('-', width)))} |");
        }
    }

    private static string Format(double value) =>
        value.ToString(
            Math.Abs(value) switch
            {
                >= 100 => "N0",
                >= 10 => "0.00",
                _ => "0.0000",
            },
            CultureInfo.InvariantCulture
        );
}
