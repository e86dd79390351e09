using Cake.Core.Diagnostics;
using Cake.Frosting;
using ModelPipeline.Core;
using ModelPipeline.Stages;

namespace Build.Tasks;

[TaskName("Doctor")]
[TaskDescription(
    "Tells what each declared backend, device and release needs here, what is missing and the command that mends it; changes nothing"
)]
public sealed class Doctor : AsyncFrostingTask<BuildContext>
{
    public override async Task RunAsync(BuildContext context)
    {
        var findings = await new ModelPipeline.Stages.Doctor(
            context.Declared,
            context.Cache,
            Environment.GetEnvironmentVariable
        ).ExamineAsync(context.Cancellation);
        foreach (var subject in findings.GroupBy(finding => finding.For))
        {
            context.Log.Information("{0}", subject.Key);
            foreach (var finding in subject)
                context.Log.Information("  {0}", Line(finding));
        }
        var ill = findings.Count(finding => !finding.IsWell);
        if (ill > 0)
            throw new PipelineException(
                $"{ill} of {findings.Count} things are missing: do what stands after -> above, then run Doctor again."
            );
        context.Log.Information("All is well.");
    }

    private static string Line(Finding finding) =>
        finding.IsWell
            ? $"ok       {finding.Need}: {finding.Found}"
            : $"MISSING  {finding.Need}{(finding.Found == "" ? "" : $" ({finding.Found})")} -> {finding.Fix}";
}
