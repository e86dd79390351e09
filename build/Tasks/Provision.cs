using Cake.Common;
using Cake.Core.Diagnostics;
using Cake.Frosting;
using ModelPipeline.Toolkit;

namespace Build.Tasks;

[TaskName("Provision")]
[TaskDescription(
    "Makes a private Python environment with the rknn-toolkit2 of every variant with backend rknn, once; --wheels=FOLDER needs no "
        + "network, --with-torch brings what stubs stand for else"
)]
public sealed class Provision : AsyncFrostingTask<BuildContext>
{
    public override async Task RunAsync(BuildContext context)
    {
        var versions = ToolkitEnvironment.VersionsOf(context.Declared);
        if (versions.Count == 0)
            context.Log.Information("No variant has backend rknn: there is nothing to provision.");
        foreach (var version in versions)
        {
            var made = await context.StageAsync(stage =>
                ModelPipeline.Toolkit.Provision.RunAsync(
                    new ProvisionRequest(ToolkitEnvironment.Requirements(version), context.Cache)
                    {
                        Wheels = context.Argument<string?>("wheels", null),
                        WithTorch = context.HasArgument("with-torch"),
                        Tell = stage.Info,
                    },
                    stage.Progress,
                    stage.Cancellation
                )
            );
            context.Log.Information(
                "rknn-toolkit2 {0}: {1} packages {2} {3}",
                version,
                made.Packages.Count,
                made.Reused ? "are there already:" : "installed:",
                made.Environment.Python
            );
            foreach (var package in made.Packages)
                context.Log.Verbose("  {0} {1} {2}", package.Name, package.Version, package.Sha256);
        }
        if (Environment.GetEnvironmentVariable(ToolkitEnvironment.PythonVariable) is { Length: > 0 } own)
            context.Log.Warning("{0} is set: conversions use {1} instead, if it has the version.", ToolkitEnvironment.PythonVariable, own);
    }
}
