using Cake.Common;
using Cake.Core;
using Cake.Core.Diagnostics;
using Cake.Frosting;
using ModelPipeline.Artifacts;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Packaging;
using ModelPipeline.Sources;
using ModelPipeline.Stages;
using ModelPipeline.Validation;

namespace Build;

/// <summary>What tasks share: the manifest, the selected models, and the doors to the console and the file system.</summary>
public sealed class BuildContext : FrostingContext
{
    private readonly RunState run;

    public BuildContext(ICakeContext context, ICakeEngine engine, RunState run)
        : this(context, engine.RegisterTask, run) { }

    /// <param name="context">Cake's.</param>
    /// <param name="task">Makes a task of Cake's engine.</param>
    /// <param name="run">This run.</param>
    internal BuildContext(ICakeContext context, Func<string, CakeTaskBuilder> task, RunState run)
        : base(context)
    {
        this.run = run;
        try
        {
            Artifacts = ArtifactsFolder.PathOf(context.Argument("artifacts", "artifacts"));
            run.Artifacts = Artifacts;
            var overrides = ManifestOverrides
                .FromArguments(name =>
                    context.Arguments.GetArguments(name)?.LastOrDefault() ?? (context.Arguments.HasArgument(name) ? "" : null)
                )
                .Over(ManifestOverrides.FromEnvironment(Environment.GetEnvironmentVariable));
            var path = context.Argument("manifest", "models.yaml");
            var isNew = context.Argument("target", "").Equals("New", StringComparison.OrdinalIgnoreCase);
            Manifest =
                isNew && !File.Exists(path)
                    ? ModelsManifest.Empty(path)
                    : FrozenRecipe.Applied(
                        FrozenPlan.Applied(
                            ModelsYaml
                                .Load(path, overrides, Environment.GetEnvironmentVariable)
                                .OnDevice(context.Argument<string?>("device", null))
                        )
                    );
            // The model that --model names there is none yet.
            Selected = isNew ? [] : Manifest.Select(context.Argument<string?>("model", null), context.Argument<string?>("variant", null));
            Sources = new ModelSources(
                Manifest,
                new SourceFetcher(
                    SourceSettings.FromEnvironment(Environment.GetEnvironmentVariable) with
                    {
                        Offline = context.HasArgument("offline"),
                    }
                ),
                context.HasArgument("locked")
            );
            Declared =
                context.HasArgument("model") || context.HasArgument("variant")
                    ? Manifest with
                    {
                        Models = Selected,
                        Devices = Manifest
                            .Devices.Where(device => Selected.Any(model => model.Validation.Device == device.Key))
                            .ToDictionary(),
                    }
                    : Manifest;
            LastRelease = context.Argument<string?>("compare-with", null) is { } folder
                ? PackageCheck.Verify<PackageManifest>(folder)
                : null;
            Runs = Manifest.Models.ToDictionary(
                model => model.Name,
                model => new ModelRun(
                    new ModelBuild(Manifest, Selected.FirstOrDefault(selected => selected.Name == model.Name) ?? model, Artifacts, Sources)
                    {
                        KeepScratch = context.HasArgument("keep-scratch"),
                    }
                )
            );
            var targets = TargetNames.OfClasses().ToList();
            StageTasks.Register(
                name =>
                {
                    targets.Add(name);
                    return task(name);
                },
                this
            );
            TargetNames.Require(context.Arguments.GetArguments("target") ?? [], targets);
        }
        catch (PipelineException e)
        {
            throw new CakeException(e.ExitCode, e.Message, e);
        }
    }

    public ModelsManifest Manifest { get; }

    /// <summary>Models and variants that the plain targets build.</summary>
    public IReadOnlyList<ModelSpec> Selected { get; }

    /// <summary>The manifest with the models and variants that were asked for and the devices they are validated on, or with all of
    /// them.</summary>
    public ModelsManifest Declared { get; }

    /// <summary>Manifest of the package to compare compile reports with; null if none was named.</summary>
    public PackageManifest? LastRelease { get; }

    /// <summary>Downloads and provisioned tools, shared by all builds of this machine.</summary>
    public string Cache => Sources.Cache;

    /// <summary>By model name; all that models.yaml declares.</summary>
    public IReadOnlyDictionary<string, ModelRun> Runs { get; }

    /// <summary>Gets source files as models.lock.json has them.</summary>
    public ModelSources Sources { get; }

    public string Artifacts { get; }

    /// <summary>Validated in this run, model by model.</summary>
    public IEnumerable<ValidationReport> Reports => Runs.Values.SelectMany(run => run.Reports);

    /// <summary>What this run made for people to look at, in order.</summary>
    public List<string> Outputs { get; } = [];

    /// <summary>Runs a stage under a progress display.</summary>
    public Task StageAsync(Func<StageContext, Task> stage) =>
        StageAsync(async context =>
        {
            await stage(context);
            return true;
        });

    /// <inheritdoc cref="StageAsync(Func{StageContext, Task})"/>
    public async Task<T> StageAsync<T>(Func<StageContext, Task<T>> stage)
    {
        await run.EnterAsync(Artifacts);
        var result = default(T)!;
        await ProgressDisplay.RunAsync(
            this,
            async progress =>
                result = await Task.Run(
                    () =>
                        stage(
                            new StageContext(
                                progress,
                                line => Log.Information("{0}", line),
                                line => Log.Warning("{0}", line),
                                run.Cancellation
                            )
                        ),
                    run.Cancellation
                )
        );
        return result;
    }

    public CancellationToken Cancellation => run.Cancellation;
}
