using Cake.Common;
using Cake.Core;
using Cake.Core.Diagnostics;
using Cake.Frosting;
using ModelPipeline.Core;
using ModelPipeline.Latency;
using ModelPipeline.Reports;
using ModelPipeline.Stages;

namespace Build;

/// <summary>Begins a run: builds learn what will be validated. Ends it: the summary, and the exit code where an error or a gate decides
/// it.</summary>
public sealed class BuildLifetime(RunState run) : FrostingLifetime<BuildContext>
{
    public override void Setup(BuildContext context, ISetupContext info)
    {
        var tasks = info.TasksToExecute.Select(task => task.Name).ToHashSet(StringComparer.OrdinalIgnoreCase);
        foreach (var build in context.Runs.Values.Select(each => each.Build))
            build.ToValidate = build
                .Model.Variants.Select(variant => variant.Name)
                .Where(name => tasks.Contains($"Validate:{build.Model.Name}:{name}"))
                .ToHashSet();
    }

    /// <summary>In a job of GitHub Actions, its summary and annotations.</summary>
    private static void TellGitHub(BuildContext context)
    {
        if (Environment.GetEnvironmentVariable("GITHUB_STEP_SUMMARY") is { Length: > 0 } summary)
        {
            foreach (var model in context.Reports.GroupBy(report => report.Subject.Model))
                File.AppendAllText(summary, JobSummary.Render([.. model], context.Runs[model.Key].Advice) + "\n");
        }
        if (Environment.GetEnvironmentVariable("GITHUB_ACTIONS") != "true")
            return;
        var root = Environment.GetEnvironmentVariable("GITHUB_WORKSPACE") ?? Environment.CurrentDirectory;
        var manifest = context.Manifest.Path;
        foreach (var annotation in JobSummary.Annotations(context.Reports, manifest, Path.GetRelativePath(root, manifest)))
            Console.WriteLine(annotation);
    }

    public override void Teardown(BuildContext context, ITeardownContext info)
    {
        foreach (var latency in context.Runs.Values.Select(each => each.Latency).OfType<LatencyReport>())
            LatencyTable.Print(latency);
        if (context.Reports.Any())
        {
            Summary.Print(context);
            TellGitHub(context);
        }
        foreach (var path in context.Outputs)
            Console.WriteLine($"  {Path.GetRelativePath(Environment.CurrentDirectory, path)}");
        var allowed = context.HasArgument("allow-failed-variants");
        if (info.ThrownException is null && ModelRun.Failures(context.Reports) is { } failures)
            context.Log.Write(Verbosity.Quiet, allowed ? LogLevel.Warning : LogLevel.Error, "{0}", failures);
        run.ExitCode ??= info.ThrownException switch
        {
            null when !allowed && context.Reports.Any(report => !report.Holds) => 1,
            PipelineException e => e.ExitCode,
            _ => null,
        };
    }
}
