using Cake.Common;
using Cake.Core;
using Cake.Core.Diagnostics;
using ModelPipeline.Core;
using ModelPipeline.Decision;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Publishing;
using ModelPipeline.Stages;
using ModelPipeline.Validation;

namespace Build;

/// <summary>
/// The tasks that models.yaml declares: <c>Stage:model[:variant]</c> for everything in it, and the plain <c>Stage</c>, which depends on those
/// of the selected models and variants.
/// </summary>
internal static class StageTasks
{
    public static void Register(Func<string, CakeTaskBuilder> task, BuildContext context)
    {
        foreach (var build in context.Builds.Values)
            Register(task, context, build);
        Plain("Fetch", "Downloads or verifies sources", model => [$"Fetch:{model.Name}"]);
        if (context.HasArgument("from"))
            task("Plan").Description("Estimates latency and size of a model by its config.json").Does(() => PlanTask.FromConfigAsync(context));
        else
            Plain("Plan", "Finds the shapes that serve the corpus best, estimated before anything is built", model => [$"Plan:{model.Name}"]);
        Plain("Prepare", "Pins shapes and rewrites graphs, each rewrite proved on fp32 scores", model => [$"Prepare:{model.Name}"]);
        Plain("Calibrate", "Writes calibration sets", model => [$"Calibrate:{model.Name}"]);
        Plain("Quantize", "Builds the variants", model => model.Variants.Select(variant => $"Quantize:{model.Name}:{variant.Name}"));
        Plain("Measure", "Times passages and requests on the device", model => [$"Measure:{model.Name}"]);
        Plain("Validate", "Measures variants against fp32 and judges the gates", model => [$"Validate:{model.Name}"]);
        Plain("Decide", "Says which variant production should run", model => [$"Decide:{model.Name}"]);
        Plain("Package", "Packs what passed its gates", model => [$"Package:{model.Name}"]);
        Plain("Release", "Makes release folders of what may be published", model => [$"Release:{model.Name}"]);
        Plain("Publish", "Publishes releases on GitHub, or to a folder", model => [$"Publish:{model.Name}"]);
        task("Default").Description("Releases every model of models.yaml that has default: true, to artifacts/release").IsDependentOn("Release");

        void Plain(string stage, string description, Func<ModelSpec, IEnumerable<string>> tasks) =>
            task(stage).Description(description).IsDependentOn(context.Selected.SelectMany(tasks));
    }

    private static void Register(Func<string, CakeTaskBuilder> task, BuildContext context, ModelBuild build)
    {
        var model = build.Model;
        var reports = new Dictionary<string, IReadOnlyList<ValidationReport>>();
        IReadOnlyList<VariantRouting> routings = [];

        Task("Fetch", $"Source and vocabulary of {model.Name}")
            .Does(() => context.StageAsync(build.FetchAsync));
        Task("Plan", $"Shapes for the corpus of {model.Name}").IsDependentOn($"Fetch:{model.Name}")
            .Does(() => PlanTask.RunAsync(context, build));
        Task("Prepare", $"Static graphs of {model.Name}").IsDependentOn($"Fetch:{model.Name}")
            .Does(() => context.StageAsync(build.SourceAsync))
            .Does(() => Each(build.Artifacts.Where(each => each.Variant.Backend != Backend.Onnx).DistinctBy(each => build.PreparedFolder(each.Shape, each.Variant)), (each, stage) => PrepareStage.RunAsync(build, each.Variant, each.Shape, stage)));
        Task("Calibrate", $"Calibration sets of {model.Name}").IsDependentOn($"Prepare:{model.Name}")
            .Does(() => Each(model.Shapes, (shape, stage) => CalibrateStage.RunAsync(build, shape, stage)));
        foreach (var variant in model.Variants)
        {
            Task("Quantize", $"{variant.Precision} by {variant.Backend} for {(variant.Backend == Backend.Onnx ? "any cpu" : variant.Target)}".ToLowerInvariant(), variant).IsDependentOn($"Calibrate:{model.Name}")
                .Does(() => Each(model.Shapes, (shape, stage) => QuantizeStage.RunAsync(build, variant, shape, stage)));
            Task("Validate", $"Figures and gates of {variant.Name}", variant).IsDependentOn($"Quantize:{model.Name}:{variant.Name}")
                .Does(async () =>
                {
                    reports[variant.Name] = await Each(model.Shapes, (shape, stage) => ValidateStage.RunAsync(build, variant, shape, stage));
                    context.Reports.AddRange(reports[variant.Name]);
                });
        }
        Task("Measure", $"Latency of {model.Name} on {model.Validation.Device}").IsDependentOn(model.Variants.Select(variant => $"Quantize:{model.Name}:{variant.Name}"))
            .Does(async () => context.Latencies[model.Name] = await context.StageAsync(stage => MeasureStage.RunAsync(build, stage)));
        Task("Validate", $"Judges the gates of {model.Name}").IsDependentOn([.. model.Variants.Select(variant => $"Validate:{model.Name}:{variant.Name}"), $"Measure:{model.Name}"])
            .Does(async () =>
            {
                var latency = context.Latencies.GetValueOrDefault(model.Name) ?? throw Missing("measured");
                var judged = await context.StageAsync(stage => ToolkitStage.CompareAsync(build, ValidateStage.Judge(build, All(), latency), context.LastRelease, stage));
                routings = await context.StageAsync(stage => RouteStage.RunAsync(build, judged, latency, stage));
                reports = judged.GroupBy(report => report.Subject.Variant).ToDictionary(variant => variant.Key, variant => (IReadOnlyList<ValidationReport>)[.. variant]);
                context.Reports.RemoveAll(report => report.Subject.Model == model.Name);
                context.Reports.AddRange(judged);
                context.Outputs.Add(ValidateStage.WriteReport(build, judged, latency, routings));
                RequireGates(judged);
            });
        Task("Decide", $"production.env and decision.json of {model.Name}").IsDependentOn($"Validate:{model.Name}")
            .Does(() => Log(context, DecideStage.Run(build, All(), routings)));
        Task("Package", $"Folder and archive of {model.Name}").IsDependentOn($"Decide:{model.Name}")
            .Does(async () =>
            {
                RequireGates(All());
                var folder = await context.StageAsync(stage => PackageStage.RunAsync(build, All(), routings, stage));
                context.Outputs.AddRange([folder, folder + ".tar.gz"]);
            });
        Task("Release", $"Release folder of {model.Name}").IsDependentOn($"Package:{model.Name}")
            .Does(async () =>
            {
                var release = await context.StageAsync(stage => System.Threading.Tasks.Task.FromResult(ReleaseStage.Run(build, stage)));
                if (release.Refusal is null)
                    context.Outputs.Add(ReleaseFolder.PathOf(build.Releases, release.Tag));
            });
        Task("Publish", $"Publishes {model.Name}").IsDependentOn($"Release:{model.Name}")
            .Does(() => PublishTask.RunAsync(context, build));

        IReadOnlyList<ValidationReport> All() => model.Variants.All(variant => reports.ContainsKey(variant.Name))
            ? [.. model.Variants.SelectMany(variant => reports[variant.Name])]
            : throw Missing("validated");

        PipelineException Missing(string done) => new($"{model.Name} was not {done} in this run. Run this target without --exclusive.");

        CakeTaskBuilder Task(string stage, string description, VariantSpec? variant = null) =>
            task(variant is null ? $"{stage}:{model.Name}" : $"{stage}:{model.Name}:{variant.Name}").Description(description);

        Task<List<TResult>> Each<TItem, TResult>(IEnumerable<TItem> items, Func<TItem, StageContext, Task<TResult>> stage) => context.StageAsync(async progress =>
        {
            var results = new List<TResult>();
            foreach (var item in items)
                results.Add(await stage(item, progress));
            return results;
        });
    }

    private static void RequireGates(IEnumerable<ValidationReport> reports)
    {
        if (Failures(reports) is { } failures)
            throw new PipelineException(failures);
    }

    /// <summary>One sentence for every failed gate, with figure and limit; null if none failed.</summary>
    public static string? Failures(IEnumerable<ValidationReport> reports)
    {
        var failures = reports.SelectMany(report => report.Gates
            .Where(gate => gate.Result == GateResult.Failed)
            .Select(gate => $"{report.Subject.Model}:{report.Subject.Variant} at {report.Subject.Shape}: {gate.Statement}")).ToList();
        return failures.Count == 0 ? null : $"{failures.Count} gate{(failures.Count == 1 ? "" : "s")} failed:\n  {string.Join("\n  ", failures)}";
    }

    private static void Log(BuildContext context, ProductionDecision decision)
    {
        context.Outputs.Add(Path.Combine(context.Builds[decision.Model].Folder, DecideStage.EnvironmentName));
        context.Log.Information("{0}: {1}", decision.Model, decision.Winner ?? "the CPU serves");
        foreach (var verdict in decision.Variants)
            context.Log.Information("  {0} {1}: {2}", verdict.Variant, verdict.Shape, string.Join("; ", verdict.Reasons));
    }
}
