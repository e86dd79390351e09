using Cake.Core.Diagnostics;
using Cake.Frosting;

namespace Build.Tasks;

[TaskName("Update")]
[TaskDescription("Looks the selected models' sources up anew, writes them to models.lock.json, and says what changed")]
public sealed class Update : AsyncFrostingTask<BuildContext>
{
    public override async Task RunAsync(BuildContext context)
    {
        foreach (var model in context.Selected)
        {
            var changes = await context.StageAsync(stage => context.Sources.UpdateAsync(model.Name, stage.Progress, stage.Cancellation));
            foreach (var change in changes)
                context.Log.Information("{0}", change);
            if (changes.Count == 0)
                context.Log.Information("{0}: unchanged", model.Name);
        }
    }
}
