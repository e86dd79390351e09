using System.Globalization;

namespace ModelPipeline.Toolkit;

/// <summary>What a compile report must keep to; null allows anything.</summary>
/// <param name="CpuOps">Operators that may run on the CPU.</param>
/// <param name="WeightMb">Weight memory, in MB of 1000 KiB as the toolkit's users know them.</param>
/// <param name="InternalMb">Internal memory, likewise.</param>
public sealed record CompileLimits(IReadOnlyList<string>? CpuOps = null, double? WeightMb = null, double? InternalMb = null)
{
    private const double KbPerMb = 1000;

    /// <summary>One sentence for each limit that is not kept, with figure and limit; a figure that a cut log lacks keeps none.</summary>
    public IReadOnlyList<string> Violations(CompileReport report)
    {
        List<string> violations = [];
        if (CpuOps is not null && report.CpuOperators.Except(CpuOps).ToList() is { Count: > 0 } others)
            violations.Add($"compile.cpu_ops: {string.Join(", ", others)} fell back to the CPU; allowed are {string.Join(", ", CpuOps)}");
        Check("weight_mb", report.WeightKb, WeightMb);
        Check("internal_mb", report.InternalKb, InternalMb);
        return violations;

        void Check(string name, double? kb, double? limit)
        {
            if (limit is not null && !(kb / KbPerMb <= limit))
                violations.Add(string.Create(CultureInfo.InvariantCulture, $"compile.{name}: {(kb is null ? "the log does not tell it" : $"{(kb / KbPerMb).Value.ToString("0.###", CultureInfo.InvariantCulture)}")}; at most {limit}"));
        }
    }
}

/// <summary>One figure of two compile reports.</summary>
/// <param name="Name">As in compile.json.</param>
/// <param name="Before">Of the other variant or the last release.</param>
/// <param name="After">Of this one.</param>
public sealed record CompileChange(string Name, string Before, string After)
{
    /// <summary>What differs, in a fixed order; empty for equal figures.</summary>
    public static IReadOnlyList<CompileChange> Between(CompileReport before, CompileReport after) => Between(Figures(before), Figures(after));

    /// <summary>What differs between two sets of <see cref="Figures"/>, of those that both have.</summary>
    public static IReadOnlyList<CompileChange> Between(IReadOnlyDictionary<string, string> before, IReadOnlyDictionary<string, string> after) =>
        [.. after.Where(figure => before.ContainsKey(figure.Key)).Select(figure => new CompileChange(figure.Key, before[figure.Key], figure.Value)).Where(change => change.Before != change.After)];

    /// <summary>What is compared of a report, in a fixed order.</summary>
    public static IReadOnlyDictionary<string, string> Figures(CompileReport report) => new OrderedDictionary<string, string>
    {
        ["compiler"] = report.Compiler ?? "?",
        ["layers"] = Text(report.Layers.Count),
        ["cycles"] = Text(report.Cycles),
        ["traffic_kb"] = Text(report.TrafficKb),
        ["internal_kb"] = Text(report.InternalKb),
        ["weight_kb"] = Text(report.WeightKb),
        ["cpu_operators"] = string.Join(", ", report.CpuOperators),
    };

    private static string Text(double? value) => value?.ToString("0.###", CultureInfo.InvariantCulture) ?? "?";
}
