using Cake.Common;
using Cake.Core.Diagnostics;
using Cake.Frosting;
using ModelPipeline.Core;
using ModelPipeline.Stages;

namespace Build.Tasks;

[TaskName("New")]
[TaskDescription(
    "Writes an entry of models.yaml for --from=hf:OWNER/NAME, a folder or an ONNX file, proposed by what its files say; --corpus=PATH is "
        + "what it is calibrated and judged on"
)]
public sealed class New : AsyncFrostingTask<BuildContext>
{
    public override async Task RunAsync(BuildContext context)
    {
        var from =
            context.Argument<string?>("from", null)
            ?? throw new PipelineException(
                "--target=New needs --from=hf:OWNER/NAME, --from=FOLDER or --from=FILE.onnx.",
                PipelineException.ConfigurationError
            );
        var request = new NewRequest(from, Environment.GetEnvironmentVariable)
        {
            Corpus = context.Argument<string?>("corpus", null),
            Name = context.Argument<string?>("model", null),
        };
        var made = await context.StageAsync(stage => NewStage.RunAsync(request, context.Manifest, context.Sources, stage));
        foreach (var line in made.Lines)
            context.Log.Information("{0}", line);
        var manifest = Path.GetRelativePath(Environment.CurrentDirectory, context.Manifest.Path);
        context.Log.Information("{0} has {1} now: read it, then build it with --model={1}", manifest, made.Name);
    }
}
