using Cake.Core;
using Cake.Frosting;
using ModelPipeline;

namespace Build;

/// <summary>Ends a run: the summary, and the exit code where an error or a gate decides it.</summary>
public sealed class BuildLifetime(RunState run) : FrostingLifetime<BuildContext>
{
    public override void Setup(BuildContext context, ISetupContext info)
    {
    }

    public override void Teardown(BuildContext context, ITeardownContext info)
    {
        if (context.Reports.Count > 0)
            Summary.Print(context);
        run.ExitCode ??= info.ThrownException switch
        {
            null when context.Reports.Any(report => !report.Holds) => 1,
            PipelineException e => e.ExitCode,
            _ => null,
        };
    }
}
