using Cake.Core.Diagnostics;
using ModelPipeline.Core;
using ModelPipeline.Metrics;
using ModelPipeline.Publishing;
using ModelPipeline.Stages;
using Spectre.Console;

namespace Build;

/// <summary>What --target=Drift prints: each figure of the release with its interval, and what it is now.</summary>
internal static class DriftTask
{
    /// <exception cref="PipelineException">A figure has left its interval.</exception>
    public static async Task RunAsync(BuildContext context, ModelRun run)
    {
        var place = PublishTask.Place(context, run.Build);
        var report = await context.StageAsync(stage => DriftStage.RunAsync(run, place, stage));
        if (report.OtherTexts is { } reason)
            context.Log.Warning("{0}: {1}", report.Model, reason);
        var table = new Table().RoundedBorder().Title($"{report.Model} {report.Version} on {report.Device}, corpus {report.Corpus}");
        foreach (var name in new[] { "Variant", "Figure" })
            table.AddColumn(name, column => column.NoWrap());
        foreach (var name in new[] { "Released", "Interval", "Now", "" })
            table.AddColumn(name, column => column.RightAligned().NoWrap());
        foreach (var figure in report.Figures)
        {
            var metric = Metric.Named(figure.Metric);
            table.AddRow(
                Markup.Escape($"{figure.Variant} {figure.Shape}"),
                Markup.Escape(metric.Brief),
                metric.Format(figure.Released),
                figure.Interval is { } interval ? $"{metric.Format(interval.Low)} to {metric.Format(interval.High)}" : "",
                figure.Now is { } now ? metric.Format(now) : "-",
                figure.HasLeft ? "[red]left[/]" : ""
            );
        }
        AnsiConsole.Write(table);
        context.Outputs.Add(Path.Combine(run.Build.Folder, DriftReport.FileName));
        string[] left = [.. report.Left.Select(figure => figure.Sentence)];
        if (left.Length > 0)
            throw new PipelineException(
                string.Join(
                    '\n',
                    new[]
                    {
                        $"{report.Model} {report.Version}: {left.Length} figure{(left.Length == 1 ? " has" : "s have")} left the recorded "
                            + $"interval:\n  {string.Join("\n  ", left)}",
                        ModelRun.Failures(run.Reports),
                    }.OfType<string>()
                )
            );
    }
}
