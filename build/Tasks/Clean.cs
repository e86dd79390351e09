using Cake.Common;
using Cake.Common.IO;
using Cake.Core.Diagnostics;
using Cake.Frosting;
using ModelPipeline.Devices;

namespace Build.Tasks;

[TaskName("Clean")]
[TaskDescription(
    "Deletes what the pipeline built: models, packages, releases, test results. Downloads stay in the cache unless --downloads is given, "
        + "what is on a device unless it is named by --device"
)]
public sealed class Clean : AsyncFrostingTask<BuildContext>
{
    public override async Task RunAsync(BuildContext context)
    {
        foreach (
            var folder in ArtifactsFolder
                .Parts.Append("tests")
                .Select(name => Path.Combine(context.Artifacts, name))
                .Where(Directory.Exists)
        )
            context.DeleteDirectory(folder, new DeleteDirectorySettings { Recursive = true, Force = true });
        if (context.HasArgument("downloads"))
            context.Log.Information("{0:N1} MB of downloads deleted from {1}", context.Sources.ClearDownloads() / 1e6, context.Cache);
        if (context.Argument<string?>("device", null) is { } name)
        {
            await using var device = await Device.OpenAsync(context.Manifest.Devices[name], cancellation: context.Cancellation);
            context.Log.Information("{0} files deleted from {1}", await device.CleanAsync(context.Cancellation), name);
        }
    }
}
