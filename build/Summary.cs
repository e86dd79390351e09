using System.Globalization;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;
using ModelPipeline.Validation;
using Spectre.Console;

namespace Build;

/// <summary>The table at the end of a run, and where things lie.</summary>
internal static class Summary
{
    public static void Print(BuildContext context)
    {
        // Tasks have figures of their own, so each has its table.
        foreach (var task in context.Reports.GroupBy(report => report.Subject.Task))
            Print(context, task.Key, [.. task]);
        foreach (var path in context.Outputs)
            Console.WriteLine($"  {Path.GetRelativePath(Environment.CurrentDirectory, path)}");
    }

    private static void Print(BuildContext context, ModelTask task, IReadOnlyList<ValidationReport> reports)
    {
        var inToolkit = reports.Any(report => report.Subject.InToolkit) ? "tk: scored by the toolkit's simulator. " : "";
        var table = new Table()
            .RoundedBorder()
            .Title("Summary")
            .Caption($"sim: by the simulator, no NPU involved. {inToolkit}open: needs a device.");
        table.AddColumn("Variant", column => column.NoWrap());
        Metric[] headline = [.. task.Headline.Take(2).Select(Metric.Named)];
        foreach (var name in new[] { "MB", "x fp32", headline[0].Brief, headline[1].Brief, "p50 ms" })
            table.AddColumn(name, column => column.RightAligned().NoWrap());
        table.AddColumn("Gates");
        foreach (var model in reports.GroupBy(report => report.Subject.Model))
        {
            var shapes = model.DistinctBy(report => report.Subject.Shape).ToList();
            foreach (var fp32 in shapes)
            {
                Row($"{model.Key} fp32{(shapes.Count > 1 ? " " + fp32.Subject.Shape : "")}", Ranked(fp32), fp32.Reference, "", "");
                Baseline("BM25", fp32.Baselines?.Bm25);
                Baseline("random orders", fp32.Baselines?.RandomOrders);
            }
            foreach (var report in model)
            {
                var subject = report.Subject;
                Row($"  {subject.Variant} {subject.Shape}", report.Figures, report.Reference, Latency(context, report), Gates(report));
            }
        }
        AnsiConsole.Write(table);

        // An embedder's are in the report: its columns compare vectors.
        void Baseline(string name, double? ndcg)
        {
            if (ndcg is { } figure && headline[0].Name == Metric.NdcgAt10)
                table.AddRow($"  {name}", "", "", headline[0].Format(figure), "", "", "");
        }

        void Row(
            string name,
            IReadOnlyDictionary<string, double> figures,
            IReadOnlyDictionary<string, double> reference,
            string latency,
            string gates
        )
        {
            var share = (figures[Metric.SizeMb] / reference[Metric.SizeMb]).ToString("F2", CultureInfo.InvariantCulture);
            table.AddRow(
                name,
                Show(figures, Metric.SizeMb),
                share,
                Show(figures, headline[0].Name),
                Show(figures, headline[1].Name),
                latency,
                gates
            );
        }
    }

    /// <summary>fp32's figures with those of its own ranking, which embedders are not compared by.</summary>
    private static IReadOnlyDictionary<string, double> Ranked(ValidationReport fp32) =>
        fp32.Baselines?.Fp32 is { } ndcg ? new Dictionary<string, double>(fp32.Reference) { [Metric.NdcgAt10] = ndcg } : fp32.Reference;

    private static string Show(IReadOnlyDictionary<string, double> figures, string metric) =>
        figures.TryGetValue(metric, out var figure) ? Metric.Named(metric).Format(figure) : "-";

    /// <summary>Marked with who gave the figures of the row where no device did: our simulator, or the toolkit's, which times
    /// nothing.</summary>
    private static string Latency(BuildContext context, ValidationReport report) =>
        report.Subject.InToolkit ? "tk"
        : context.Runs[report.Subject.Model].Latency?.Of(report.Subject.Variant, report.Subject.Shape) is { Sequential: not null } latency
            ? Show(latency.Figures, Metric.LatencyP50Ms) + (report.Subject.IsStandIn ? " sim" : "")
        : "-";

    /// <summary>How many passed, and the names of those that did not; the sentences are in the report and in the error of a failed
    /// run.</summary>
    private static string Gates(ValidationReport report)
    {
        var passed = report.Gates.Count(gate => gate.Result == GateResult.Passed);
        IEnumerable<string> lines =
        [
            .. passed > 0 ? new[] { $"[green]{passed} passed[/]" } : [],
            .. report.Gates.Where(gate => gate.Result == GateResult.Failed).Select(gate => $"[red]FAILED {gate.Metric}[/]"),
            .. report.Gates.Where(gate => gate.Result == GateResult.Undecided).Select(gate => $"[yellow]UNDECIDED {gate.Metric}[/]"),
            .. report.Gates.Where(gate => gate.Result == GateResult.NotMeasured).Select(gate => $"[yellow]open {gate.Metric}[/]"),
        ];
        return string.Join('\n', lines);
    }
}
