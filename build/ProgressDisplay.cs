using Cake.Core.Diagnostics;
using ModelPipeline.Core;
using Spectre.Console;

namespace Build;

/// <summary>Draws progress: bars on a terminal, a plain line now and then elsewhere.</summary>
internal static class ProgressDisplay
{
    private static readonly TimeSpan PlainInterval = TimeSpan.FromSeconds(5);

    public static Task RunAsync(BuildContext context, Func<IProgress<StageProgress>, Task> work) =>
        AnsiConsole.Profile.Capabilities.Interactive && !Console.IsOutputRedirected && Environment.GetEnvironmentVariable("CI") != "true"
            ? BarsAsync(work)
            : work(new Lines(context));

    private static Task BarsAsync(Func<IProgress<StageProgress>, Task> work) =>
        AnsiConsole
            .Progress()
            .AutoClear(true)
            .Columns(
                new TaskDescriptionColumn { Alignment = Justify.Left },
                new ProgressBarColumn(),
                new PercentageColumn(),
                new RemainingTimeColumn(),
                new SpinnerColumn()
            )
            .StartAsync(display => work(new Bars(display)));

    private sealed class Bars(ProgressContext display) : IProgress<StageProgress>
    {
        private readonly Dictionary<string, ProgressTask> bars = [];

        public void Report(StageProgress value)
        {
            lock (bars)
            {
                if (!bars.TryGetValue(value.Activity, out var bar))
                    bars[value.Activity] = bar = display.AddTask(Markup.Escape(value.Activity));
                bar.IsIndeterminate = value.Total == 0;
                bar.MaxValue = Math.Max(value.Total, 1);
                bar.Value = value.Done;
            }
        }
    }

    private sealed class Lines(BuildContext context) : IProgress<StageProgress>
    {
        private readonly Lock guard = new();
        private DateTime last = DateTime.UtcNow;

        public void Report(StageProgress value)
        {
            lock (guard)
            {
                if (value.Total == 0 || DateTime.UtcNow - last < PlainInterval)
                    return;
                last = DateTime.UtcNow;
                context.Log.Information(
                    "{0}: {1} of {2} ({3:P0})",
                    value.Activity,
                    value.Done,
                    value.Total,
                    (double)value.Done / value.Total
                );
            }
        }
    }
}
