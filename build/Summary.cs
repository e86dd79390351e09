using System.Text;
using ModelPipeline.Metrics;
using ModelPipeline.Stages;
using ModelPipeline.Tasks;
using ModelPipeline.Validation;
using Spectre.Console;

namespace Build;

/// <summary>The end of a run: what to run, and the table that says so. It fits 80 columns.</summary>
internal static class Summary
{
    private const int Width = 80;

    public static void Print(BuildContext context)
    {
        foreach (var model in context.Reports.GroupBy(report => report.Subject.Model))
            Print(context.Runs[model.Key], [.. model]);
    }

    private static void Print(ModelRun run, IReadOnlyList<ValidationReport> reports)
    {
        var (subject, task) = (reports[0].Subject, reports[0].Subject.Task);
        var table = new Table().RoundedBorder().Title($"{subject.Model} {subject.Version}");
        table.AddColumn("Variant", column => column.NoWrap());
        table.AddColumn("By", column => column.NoWrap());
        Metric[] headline = [.. task.Headline.Take(2).Select(Metric.Named)];
        foreach (var name in new[] { "MB", headline[0].Brief, headline[1].Brief, "p50 ms" })
            table.AddColumn(name, column => column.RightAligned().NoWrap());
        table.AddColumn("Gates");
        var shapes = reports.DistinctBy(report => report.Subject.Shape).ToList();
        foreach (var fp32 in shapes)
        {
            var figures = Ranked(fp32);
            table.AddRow(
                shapes.Count > 1 ? $"fp32 {fp32.Subject.Shape}" : "fp32",
                "",
                Show(figures, Metric.SizeMb),
                Show(figures, headline[0].Name),
                Show(figures, headline[1].Name),
                "",
                ""
            );
            Baseline("BM25", fp32.Baselines?.Bm25);
            Baseline("random orders", fp32.Baselines?.RandomOrders);
        }
        foreach (var report in reports)
        {
            table.AddRow(
                $"{report.Subject.Variant} {report.Subject.Shape}",
                By(report),
                Show(report.Figures, Metric.SizeMb),
                Doubted(report, headline[0]),
                Doubted(report, headline[1]),
                Latency(run, report),
                Gates(report)
            );
        }
        if (run.Advice.Length > 0)
            Console.WriteLine($"\n{Wrapped(run.Advice)}");
        AnsiConsole.Write(table);
        if (Legend(reports, task) is { Length: > 0 } legend)
            Console.WriteLine(Wrapped(legend));
        foreach (var report in reports)
        {
            foreach (var gate in report.Gates.Where(gate => gate.Result != GateResult.Passed))
                Console.WriteLine($"  {report.Subject.Variant} {report.Subject.Shape}: {Word(gate.Result)} {gate.Metric}");
        }

        // An embedder's are in the report: its columns compare vectors.
        void Baseline(string name, double? ndcg)
        {
            if (ndcg is { } figure && headline[0].Name == Metric.NdcgAt10)
                table.AddRow(name, "", "", headline[0].Format(figure), "", "", "");
        }
    }

    private static string Legend(IReadOnlyList<ValidationReport> reports, ModelTask task)
    {
        var first = Metric.Named(task.Headline[0]);
        var dropped =
            first.ComparesWithFp32 || reports.All(report => !report.Figures.ContainsKey(first.Name))
                ? ""
                : $", of {first.Brief}'s drop from fp32";
        (bool Is, string Words)[] legend =
        [
            (reports.Any(report => report.Intervals.Figures.Count > 0), $"±: 95 % interval over the {first.Units}{dropped}."),
            (reports.Any(report => By(report) == "sim"), "sim: figures of the simulator, no NPU involved."),
            (reports.Any(report => By(report) == "tk"), "tk: of the toolkit's simulator."),
            (reports.Any(report => report.Gates.Any(gate => gate.Result == GateResult.NotMeasured)), "open: needs a device."),
        ];
        return string.Join(' ', legend.Where(line => line.Is).Select(line => line.Words));
    }

    /// <summary>Who gave all figures of the row.</summary>
    private static string By(ValidationReport report) =>
        report.Subject switch
        {
            { InToolkit: true } => "tk",
            { Simulated: true } => "sim",
            { Backend: ModelPipeline.Manifest.Backend.Onnx } => "cpu",
            _ => "npu",
        };

    /// <summary>The figure, and by how much it may be off on the worse side.</summary>
    private static string Doubted(ValidationReport report, Metric metric)
    {
        var intervals = metric.ComparesWithFp32 ? report.Intervals.Figures : report.Intervals.Drops;
        if (!report.Figures.TryGetValue(metric.Name, out var figure) || !intervals.TryGetValue(metric.Name, out var interval))
            return Show(report.Figures, metric.Name);
        var middle = metric.ComparesWithFp32 ? figure : report.Reference[metric.Name] - figure;
        var half = Math.Max(middle - interval.Low, interval.High - middle);
        return $"{metric.Format(figure)}±{metric.Format(half).TrimStart('0')}";
    }

    /// <summary>fp32's figures with those of its own ranking, which embedders are not compared by.</summary>
    private static IReadOnlyDictionary<string, double> Ranked(ValidationReport fp32) =>
        fp32.Baselines?.Fp32 is { } ndcg ? new Dictionary<string, double>(fp32.Reference) { [Metric.NdcgAt10] = ndcg } : fp32.Reference;

    private static string Show(IReadOnlyDictionary<string, double> figures, string metric) =>
        figures.TryGetValue(metric, out var figure) ? Metric.Named(metric).Format(figure) : "-";

    /// <summary>The toolkit's simulator times nothing.</summary>
    private static string Latency(ModelRun run, ValidationReport report) =>
        !report.Subject.InToolkit && run.Latency?.Of(report.Subject.Variant, report.Subject.Shape) is { Sequential: not null } latency
            ? Show(latency.Figures, Metric.LatencyP50Ms)
            : "-";

    /// <summary>How many have which result; the sentences are in the report and in the error of a failed run.</summary>
    private static string Gates(ValidationReport report) =>
        string.Join(
            '\n',
            report
                .Gates.GroupBy(gate => gate.Result)
                .OrderBy(group => group.Key)
                .Select(group => $"[{Colour(group.Key)}]{group.Count()} {Word(group.Key)}[/]")
        );

    private static string Word(GateResult result) =>
        result switch
        {
            GateResult.Passed => "passed",
            GateResult.Failed => "FAILED",
            GateResult.Undecided => "UNDECIDED",
            GateResult.NotMeasured => "open",
        };

    private static string Colour(GateResult result) =>
        result switch
        {
            GateResult.Passed => "green",
            GateResult.Failed => "red",
            GateResult.Undecided or GateResult.NotMeasured => "yellow",
        };

    /// <summary>The text in lines of less than <see cref="Width"/>, broken at blanks.</summary>
    internal static string Wrapped(string text)
    {
        var lines = new StringBuilder();
        var column = 0;
        foreach (var word in text.Split(' '))
        {
            var fits = column + 1 + word.Length < Width;
            if (column > 0)
                lines.Append(fits ? ' ' : '\n');
            lines.Append(word);
            column = (column > 0 && fits ? column + 1 : 0) + word.Length;
        }
        return lines.ToString();
    }
}
