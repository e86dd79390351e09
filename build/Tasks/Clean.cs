using Cake.Common.IO;
using Cake.Frosting;

namespace Build.Tasks;

[TaskName("Clean")]
[TaskDescription("Deletes what the pipeline built: models, packages, releases, test results. Downloads stay in the cache")]
public sealed class Clean : FrostingTask<BuildContext>
{
    public override void Run(BuildContext context)
    {
        foreach (var folder in new[] { "models", "packages", "release", "tests" }.Select(name => Path.Combine(context.Artifacts, name)).Where(Directory.Exists))
            context.DeleteDirectory(folder, new DeleteDirectorySettings { Recursive = true, Force = true });
    }
}
