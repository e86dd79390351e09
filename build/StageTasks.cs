using Cake.Common;
using Cake.Core;
using Cake.Core.Diagnostics;
using ModelPipeline.Decision;
using ModelPipeline.Manifest;
using ModelPipeline.Publishing;
using ModelPipeline.Stages;

namespace Build;

/// <summary>
/// The tasks that models.yaml declares: <c>Stage:model[:variant]</c> for everything in it, and the plain <c>Stage</c>, which depends on
/// those of the selected models and variants.
/// </summary>
internal static class StageTasks
{
    public static void Register(Func<string, CakeTaskBuilder> task, BuildContext context)
    {
        foreach (var run in context.Runs.Values)
            Register(task, context, run);
        Plain("Fetch", "Downloads or verifies sources", model => [$"Fetch:{model.Name}"]);
        if (context.HasArgument("from"))
            task("Plan")
                .Description("Estimates latency and size of a model by its config.json")
                .Does(() => PlanTask.FromConfigAsync(context));
        else
            Plain(
                "Plan",
                "Finds the shapes that serve the corpus best, estimated before anything is built",
                model => [$"Plan:{model.Name}"]
            );
        Plain(
            "Search",
            "Finds the int8 that comes closest to fp32 within limits",
            model => SearchTask.Variants(model).Select(variant => $"Search:{model.Name}:{variant.Name}")
        );
        Plain("Prepare", "Pins shapes and rewrites graphs, each rewrite proved on fp32 scores", model => [$"Prepare:{model.Name}"]);
        Plain("Calibrate", "Writes calibration sets", model => [$"Calibrate:{model.Name}"]);
        Plain("Quantize", "Builds the variants", model => model.Variants.Select(variant => $"Quantize:{model.Name}:{variant.Name}"));
        Plain("Measure", "Times passages and requests on the device", model => [$"Measure:{model.Name}"]);
        Plain("Validate", "Measures variants against fp32 and judges the gates", model => [$"Validate:{model.Name}"]);
        Plain("Decide", "Says which variant production should run", model => [$"Decide:{model.Name}"]);
        Plain("Package", "Packs what passed its gates", model => [$"Package:{model.Name}"]);
        Plain("Release", "Makes release folders of what may be published", model => [$"Release:{model.Name}"]);
        Plain("Publish", "Publishes releases on GitHub, or to a folder", model => [$"Publish:{model.Name}"]);
        Plain(
            "Promote",
            "Runs published candidates on a board (--device=NAME), and publishes what passes as full releases",
            model => [$"Promote:{model.Name}"]
        );
        Plain(
            "Drift",
            "Runs published releases again, and says which figures have left the intervals that their manifests record",
            model => [$"Drift:{model.Name}"]
        );
        task("Default")
            .Description("Releases every model of models.yaml that has default: true, to artifacts/release")
            .IsDependentOn("Release");

        void Plain(string stage, string description, Func<ModelSpec, IEnumerable<string>> tasks) =>
            task(stage).Description(description).IsDependentOn(context.Selected.SelectMany(tasks));
    }

    private static void Register(Func<string, CakeTaskBuilder> task, BuildContext context, ModelRun run)
    {
        var model = run.Build.Model;
        Task("Fetch", $"Source and vocabulary of {model.Name}").Does(() => context.StageAsync(run.FetchAsync));
        Task("Plan", $"Shapes for the corpus of {model.Name}")
            .IsDependentOn($"Fetch:{model.Name}")
            .Does(() => PlanTask.RunAsync(context, run.Build));
        Task("Prepare", $"Static graphs of {model.Name}")
            .IsDependentOn($"Fetch:{model.Name}")
            .Does(() => context.StageAsync(run.PrepareAsync));
        Task("Calibrate", $"Calibration sets of {model.Name}")
            .IsDependentOn($"Prepare:{model.Name}")
            .Does(() => context.StageAsync(run.CalibrateAsync));
        foreach (var variant in SearchTask.Variants(model))
            Task("Search", $"The int8 that {variant.Name} is to be", variant)
                .IsDependentOn($"Fetch:{model.Name}")
                .Does(() => SearchTask.RunAsync(context, run.Build, variant));
        foreach (var variant in model.Variants)
        {
            Task("Quantize", $"{variant.Precision} by {variant.Backend} for {variant.Platform}".ToLowerInvariant(), variant)
                .IsDependentOn($"Calibrate:{model.Name}")
                .Does(() => context.StageAsync(stage => run.QuantizeAsync(variant, stage)));
            Task("Validate", $"Figures and gates of {variant.Name}", variant)
                .IsDependentOn($"Quantize:{model.Name}:{variant.Name}")
                .Does(() => context.StageAsync(stage => run.ValidateAsync(variant, stage)));
        }
        Task("Measure", $"Latency of {model.Name} on {model.Validation.Device}")
            .IsDependentOn(model.Variants.Select(variant => $"Quantize:{model.Name}:{variant.Name}"))
            .Does(() => context.StageAsync(run.MeasureAsync));
        Task("Validate", $"Judges the gates of {model.Name}")
            .IsDependentOn([.. model.Variants.Select(variant => $"Validate:{model.Name}:{variant.Name}"), $"Measure:{model.Name}"])
            .Does(async () => context.Outputs.Add(await context.StageAsync(stage => run.ValidateAsync(context.LastRelease, stage))));
        Task("Decide", $"production.env and decision.json of {model.Name}")
            .IsDependentOn($"Validate:{model.Name}")
            .Does(() => Log(context, run.Build, run.Decide()));
        Task("Package", $"Folder and archive of {model.Name}")
            .IsDependentOn($"Decide:{model.Name}")
            .Does(async () =>
            {
                if (await context.StageAsync(run.PackageAsync) is { } folder)
                    context.Outputs.AddRange([folder, folder + ".tar.gz"]);
            });
        Task("Release", $"Release folder of {model.Name}")
            .IsDependentOn($"Package:{model.Name}")
            .Does(async () =>
            {
                if (
                    await context.StageAsync(stage => System.Threading.Tasks.Task.FromResult(run.Release(stage))) is
                    { Refusal: null } release
                )
                    context.Outputs.Add(ReleaseFolder.PathOf(run.Build.Releases, release.Tag));
            });
        Task("Promote", $"Runs the candidate of {model.Name} on a board, and releases it")
            .Does(() => PublishTask.PromoteAsync(context, run));
        Task("Drift", $"Runs the release of {model.Name} again").Does(() => DriftTask.RunAsync(context, run));
        Task("Publish", $"Publishes {model.Name}").IsDependentOn($"Release:{model.Name}").Does(() => PublishTask.RunAsync(context, run));

        CakeTaskBuilder Task(string stage, string description, VariantSpec? variant = null) =>
            task(variant is null ? $"{stage}:{model.Name}" : $"{stage}:{model.Name}:{variant.Name}").Description(description);
    }

    private static void Log(BuildContext context, ModelBuild build, ProductionDecision decision)
    {
        context.Outputs.Add(Path.Combine(build.Folder, DecideStage.EnvironmentName));
        context.Log.Information(
            "{0}: {1}",
            decision.Model,
            decision.Winner ?? $"the CPU serves{(decision.Serve is null ? "" : $" {decision.Serve}")}"
        );
        foreach (var verdict in decision.Variants)
            context.Log.Information("  {0} {1}: {2}", verdict.Variant, verdict.Shape, string.Join("; ", verdict.Reasons));
    }
}
