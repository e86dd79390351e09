using Cake.Common;
using Cake.Core;
using Cake.Core.Diagnostics;
using Cake.Frosting;
using ModelPipeline.Core;
using ModelPipeline.Latency;
using ModelPipeline.Stages;

namespace Build;

/// <summary>Begins a run: builds learn what will be validated. Ends it: the summary, and the exit code where an error or a gate decides
/// it.</summary>
public sealed class BuildLifetime(RunState run) : FrostingLifetime<BuildContext>
{
    public override void Setup(BuildContext context, ISetupContext info)
    {
        var tasks = info.TasksToExecute.Select(task => task.Name).ToHashSet(StringComparer.OrdinalIgnoreCase);
        foreach (var build in context.Runs.Values.Select(each => each.Build))
            build.ToValidate = build
                .Model.Variants.Select(variant => variant.Name)
                .Where(name => tasks.Contains($"Validate:{build.Model.Name}:{name}"))
                .ToHashSet();
    }

    public override void Teardown(BuildContext context, ITeardownContext info)
    {
        foreach (var latency in context.Runs.Values.Select(each => each.Latency).OfType<LatencyReport>())
            LatencyTable.Print(latency);
        if (context.Reports.Any())
            Summary.Print(context);
        var allowed = context.HasArgument("allow-failed-variants");
        if (info.ThrownException is null && ModelRun.Failures(context.Reports) is { } failures)
            context.Log.Write(Verbosity.Quiet, allowed ? LogLevel.Warning : LogLevel.Error, "{0}", failures);
        run.ExitCode ??= info.ThrownException switch
        {
            null when !allowed && context.Reports.Any(report => !report.Holds) => 1,
            PipelineException e => e.ExitCode,
            _ => null,
        };
    }
}
