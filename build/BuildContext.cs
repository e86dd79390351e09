using Cake.Common;
using Cake.Core;
using Cake.Core.Diagnostics;
using Cake.Frosting;
using ModelPipeline.Artifacts;
using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Latency;
using ModelPipeline.Manifest;
using ModelPipeline.Packaging;
using ModelPipeline.Sources;
using ModelPipeline.Stages;
using ModelPipeline.Validation;

namespace Build;

/// <summary>What tasks share: the manifest, the selected models, and the doors to the console and the file system.</summary>
public sealed class BuildContext : FrostingContext
{
    public const string Help = """

        PIPELINE OPTIONS:
            --model=NAME                 Only this model of models.yaml (default: those with default: true)
            --variant=NAME               Only this variant
            --device=NAME                Validate on this device; with --target=Clean: delete what is on it, too
            --manifest=PATH              Another models.yaml
            --artifacts=PATH             Where outputs go (default: artifacts)
            --calibration-samples=N      Instead of models.yaml's number        (CALIBRATION_SAMPLES)
            --quantize=0|1               Only the fp16, or only the int8 variants (QUANTIZE)
            --locked                     Refuse whatever differs from models.lock.json
            --offline                    Use only downloads that the cache has
            --downloads                  With --target=Clean: delete downloads too
            --regenerate-dataset         Make calibration sets again             (REGENERATE_DATASET)
            --force-convert              Build variants again                    (FORCE_CONVERT)
            --measure-again              Measure latency again                   (MEASURE_AGAIN)
            --compare-with=PATH          Package of the last release: reports say what has changed in compile reports since
            --keep-scratch               Leave what rknn-toolkit2 wrote in its scratch folder, beside the artifact
            --to=PATH                    Publish to a folder instead of GitHub
            --draft                      Publish complete and checked, but not shown to readers
            --dry-run                    Only tell what Publish would do
            --wheels=PATH                Provision installs from this folder of wheels, without an index
            --with-torch                 Provision installs torch and OpenCV, too, for which stubs stand else

        TARGETS: Default, Update, Fetch, Prepare, Calibrate, Quantize, Measure, Validate, Decide, Package, Release, Publish, Provision,
            Doctor, Test, Clean, and each stage of one model or variant, such as Quantize:tiny-reranker:int8. --tree shows how they depend
            on each other, --description what they do.
        """;

    private readonly RunState run;

    public BuildContext(ICakeContext context, ICakeEngine engine, RunState run) : this(context, engine.RegisterTask, run)
    {
    }

    /// <param name="context">Cake's.</param>
    /// <param name="task">Makes a task of Cake's engine.</param>
    /// <param name="run">This run.</param>
    internal BuildContext(ICakeContext context, Func<string, CakeTaskBuilder> task, RunState run) : base(context)
    {
        this.run = run;
        Artifacts = Path.GetFullPath(context.Argument("artifacts", "artifacts"));
        run.Artifacts = Artifacts;
        try
        {
            var overrides = ManifestOverrides.FromArguments(name => context.Arguments.GetArguments(name)?.LastOrDefault() is { } value ? value : context.Arguments.HasArgument(name) ? "" : null)
                .Over(ManifestOverrides.FromEnvironment(Environment.GetEnvironmentVariable));
            Manifest = ModelsYaml.Load(context.Argument("manifest", "models.yaml"), overrides, Environment.GetEnvironmentVariable).OnDevice(context.Argument<string?>("device", null));
            Selected = Manifest.Select(context.Argument<string?>("model", null), context.Argument<string?>("variant", null));
            Sources = new ModelSources(
                Manifest, new SourceFetcher(SourceSettings.FromEnvironment(Environment.GetEnvironmentVariable) with { Offline = context.HasArgument("offline") }), context.HasArgument("locked"));
            Declared = context.HasArgument("model") || context.HasArgument("variant")
                ? Manifest with { Models = Selected, Devices = Manifest.Devices.Where(device => Selected.Any(model => model.Validation.Device == device.Key)).ToDictionary() }
                : Manifest;
            LastRelease = context.Argument<string?>("compare-with", null) is { } folder ? PackageCheck.Verify<PackageManifest>(folder) : null;
            Builds = Manifest.Models.ToDictionary(
                model => model.Name, model => new ModelBuild(Manifest, Selected.FirstOrDefault(selected => selected.Name == model.Name) ?? model, Artifacts, Sources) { KeepScratch = context.HasArgument("keep-scratch") });
        }
        catch (PipelineException e)
        {
            throw new CakeException(e.ExitCode, e.Message, e);
        }
        StageTasks.Register(task, this);
    }

    public ModelsManifest Manifest { get; }

    /// <summary>Models and variants that the plain targets build.</summary>
    public IReadOnlyList<ModelSpec> Selected { get; }

    /// <summary>The manifest with the models and variants that were asked for and the devices they are validated on, or with all of them.</summary>
    public ModelsManifest Declared { get; }

    /// <summary>Manifest of the package to compare compile reports with; null if none was named.</summary>
    public PackageManifest? LastRelease { get; }

    /// <summary>Downloads and provisioned tools, shared by all builds of this machine.</summary>
    public string Cache => Sources.Cache;

    /// <summary>By model name; all that models.yaml declares.</summary>
    public IReadOnlyDictionary<string, ModelBuild> Builds { get; }

    /// <summary>Gets source files as models.lock.json has them.</summary>
    public ModelSources Sources { get; }

    public string Artifacts { get; }

    /// <summary>Validated in this run, in order.</summary>
    public List<ValidationReport> Reports { get; } = [];

    /// <summary>Measured or read in this run, by model name.</summary>
    public Dictionary<string, LatencyReport> Latencies { get; } = [];

    /// <summary>What this run made for people to look at, in order.</summary>
    public List<string> Outputs { get; } = [];

    /// <summary>Runs a stage under a progress display.</summary>
    public async Task<T> StageAsync<T>(Func<StageContext, Task<T>> stage)
    {
        var result = default(T)!;
        await ProgressDisplay.RunAsync(this, async progress =>
            result = await Task.Run(() => stage(new StageContext(progress, line => Log.Information("{0}", line), line => Log.Warning("{0}", line), run.Cancellation)), run.Cancellation));
        return result;
    }

    public CancellationToken Cancellation => run.Cancellation;
}
