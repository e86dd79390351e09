using Cake.Core;
using Cake.Core.Diagnostics;
using Cake.Frosting;
using ModelPipeline.Core;

namespace Build;

/// <summary>Begins a run: builds learn what will be validated. Ends it: the summary, and the exit code where an error or a gate decides it.</summary>
public sealed class BuildLifetime(RunState run) : FrostingLifetime<BuildContext>
{
    public override void Setup(BuildContext context, ISetupContext info)
    {
        var tasks = info.TasksToExecute.Select(task => task.Name).ToHashSet(StringComparer.OrdinalIgnoreCase);
        foreach (var build in context.Builds.Values)
            build.ToValidate = build.Model.Variants.Select(variant => variant.Name).Where(name => tasks.Contains($"Validate:{build.Model.Name}:{name}")).ToHashSet();
    }

    public override void Teardown(BuildContext context, ITeardownContext info)
    {
        foreach (var latency in context.Latencies.Values)
            LatencyTable.Print(latency);
        if (context.Reports.Count > 0)
            Summary.Print(context);
        // A variant validated alone: no task judges the model's gates, and no exception has named them.
        if (info.ThrownException is null && StageTasks.Failures(context.Reports) is { } failures)
            context.Log.Error("{0}", failures);
        run.ExitCode ??= info.ThrownException switch
        {
            null when context.Reports.Any(report => !report.Holds) => 1,
            PipelineException e => e.ExitCode,
            _ => null,
        };
    }
}
