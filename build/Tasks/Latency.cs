using Cake.Frosting;
using ModelPipeline.Planning;

namespace Build.Tasks;

[TaskName("Latency")]
[TaskDescription(
    "Shows what boards took beside what is estimated, each point once without itself, and the rates that estimates are made of; measures "
        + "nothing"
)]
public sealed class Latency : FrostingTask<BuildContext>
{
    public override void Run(BuildContext context)
    {
        var (model, check) = LatencyModel.Checked(LatencyData.Load(LatencyData.PathFor(context.Manifest)));
        EstimateTables.Print(model, check);
    }
}
