using Cake.Common;
using Cake.Common.IO;
using Cake.Core.Diagnostics;
using Cake.Frosting;

namespace Build.Tasks;

[TaskName("Clean")]
[TaskDescription("Deletes what the pipeline built: models, packages, releases, test results. Downloads stay in the cache unless --downloads is given")]
public sealed class Clean : FrostingTask<BuildContext>
{
    public override void Run(BuildContext context)
    {
        foreach (var folder in new[] { "models", "packages", "release", "tests" }.Select(name => Path.Combine(context.Artifacts, name)).Where(Directory.Exists))
            context.DeleteDirectory(folder, new DeleteDirectorySettings { Recursive = true, Force = true });
        if (context.HasArgument("downloads"))
            context.Log.Information("{0:N1} MB of downloads deleted from {1}", context.Sources.ClearDownloads() / 1e6, context.Cache);
    }
}
