using ModelPipeline.Artifacts.Downloads;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Sources;
using ModelPipeline.Tasks;
using ModelPipeline.Text;
using ModelPipeline.Text.Tokenization;
using ModelPipeline.Validation;

namespace ModelPipeline.Stages;

/// <summary>
/// One model on its way from source to package: where each stage's outputs lie, and the inputs that several stages share. Stages are in the
/// classes beside this one; each skips its work while the hashes of its inputs, settings and outputs are unchanged
/// (<see cref="StageRecord"/>).
/// </summary>
/// <param name="manifest">Gives corpora and devices.</param>
/// <param name="model">With the variants to build.</param>
/// <param name="artifacts">Folder for everything that is built.</param>
/// <param name="sources">Gets the source files.</param>
public sealed class ModelBuild(ModelsManifest manifest, ModelSpec model, string artifacts, ModelSources sources)
{
    private readonly Dictionary<string, Corpus> corpora = [];
    private readonly Dictionary<string, string> textDigests = [];
    private readonly HashSet<(string Record, string Key)> verified = [];
    private FetchedModel? fetched;
    private InspectedSource? inspected;
    private PairTokenizer? tokenizer;

    public ModelsManifest Manifest => manifest;

    /// <summary>With the variants of this run.</summary>
    public ModelSpec Model { get; private set; } = model;

    /// <summary>A published release whose files are run in the place of what would be built; null where this builds.</summary>
    public RestoredRelease? Restored { get; private set; }

    public ModelTask Task { get; } = ModelTask.Named(model.Task);

    /// <summary>Downloads and provisioned tools, shared by all builds of this machine.</summary>
    public string Cache => sources.Cache;

    /// <summary>Leave the toolkit's scratch folders beside artifacts, for looking at what it wrote.</summary>
    public bool KeepScratch { get; init; }

    /// <summary>Names of the variants that this run validates: those that only their builder can simulate are scored while they are
    /// built.</summary>
    public IReadOnlySet<string> ToValidate { get; set; } = new HashSet<string>();

    public string Folder => Path.Combine(artifacts, "models", Model.Name);

    /// <summary>Where releases of all models lie: the folder to publish from.</summary>
    public string Releases => Path.Combine(artifacts, "release");

    /// <summary>Where finished packages of all models lie.</summary>
    public string Packages => Path.Combine(artifacts, "packages");

    public string PreparedFolder(InputShape shape, VariantSpec variant) =>
        Path.Combine(
            Folder,
            "prepared",
            variant.Backend switch
            {
                Backend.Onnx => "any-shape",
                _ when SharesFile(variant) => "one-file",
                _ => shape.ToString(),
            },
            PrepareStage.RewritesOf(variant) is { Count: > 0 } rewrites ? string.Join('+', rewrites) : "as-is"
        );

    /// <summary>The largest shape, by which a file for all of them is prepared and calibrated.</summary>
    internal InputShape LargestShape => Shapes.MaxBy(shape => shape.Batch * shape.Sequence);

    /// <summary>The shape of the most tokens, at which the source is looked at.</summary>
    internal InputShape LongestShape => Shapes.MaxBy(shape => shape.Sequence);

    private IReadOnlyList<InputShape> Shapes =>
        Model.Shapes.Count > 0
            ? Model.Shapes
            : throw new PipelineException(
                $"{Model.Name}: 'shapes: auto' has no plan yet: --target=Plan --model={Model.Name} makes one and freezes it in "
                    + $"{ModelsLock.FileName}.",
                PipelineException.ConfigurationError
            );

    /// <summary>Whether all shapes of a variant are in one file, in the toolkit's words with dynamic input: one graph, which has one
    /// batch.</summary>
    internal bool SharesFile(VariantSpec variant) =>
        variant.OneFile && Shapes.Count > 1 && Shapes.Select(shape => shape.Batch).Distinct().Count() == 1;

    /// <summary>Freezes the shapes of <c>shapes: auto</c> for later runs.</summary>
    internal void Freeze(FrozenPlan plan) => sources.Freeze(Model.Name, plan);

    /// <summary>Freezes what Search chose for a variant for later runs.</summary>
    internal void Freeze(VariantSpec variant, Int8Recipe recipe) => sources.Freeze(Model.Name, variant.Name, recipe);

    public string CalibrationFolder(InputShape shape) => Path.Combine(Folder, "calibration", shape.ToString());

    /// <summary>The built variant, named model-version-platform-variant. A CPU variant runs at every shape and is one file; what only a
    /// simulator can run never has the name of the real thing.</summary>
    public string Artifact(VariantSpec variant, InputShape shape)
    {
        if (Restored is not null)
            return Path.Combine(Restored.Folder, Restored.Of(variant, shape)!.Subject.Artifact);
        var name = $"{Model.Name}-{Model.Version}-{variant.Name}";
        var prefix = variant.Platform + "-";
        var released = variant.Name.StartsWith(prefix, StringComparison.Ordinal)
            ? name
            : $"{Model.Name}-{Model.Version}-{prefix}{variant.Name}";
        var folder = Path.Combine(Folder, "variants", variant.Name);
        return variant.Backend switch
        {
            Backend.Onnx => Path.Combine(folder, $"{released}.onnx"),
            Backend.Rknn when SharesFile(variant) => Path.Combine(folder, $"{released}.rknn"),
            Backend.Rknn => Path.Combine(
                folder,
                shape.ToString(),
                Model.Shapes.Count == 1 ? $"{released}.rknn" : $"{released}-{shape}.rknn"
            ),
            Backend.Simulator => Path.Combine(folder, shape.ToString(), $"{name}-{shape}.sim.onnx"),
        };
    }

    /// <summary>Where a variant's scores come from: the validation's device, but what stands in for an .rknn file runs on no board, and is
    /// simulated here.</summary>
    internal DeviceSpec DeviceOf(VariantSpec variant) =>
        manifest.Devices[Model.Validation.Device] is var device && device.IsBoard && variant.Backend == Backend.Simulator
            ? new DeviceSpec { Name = "simulator", Kind = DeviceKind.Simulator }
            : device;

    /// <summary>Takes the files of a release in the place of what would be built, of the variants that the validation's device can run:
    /// without a board, .rknn files are run by the toolkit alone, as it builds them.</summary>
    /// <exception cref="PipelineException">models.yaml does not have what the release has.</exception>
    public void Adopt(RestoredRelease release)
    {
        var declared = manifest
            .Models.Single(model => model.Name == Model.Name)
            .Variants.SelectMany(variant => Shapes.Select(shape => (variant.Name, shape.ToString())))
            .ToHashSet();
        if (release.Manifest.Variants.Select(variant => variant.Subject).FirstOrDefault(subject => !IsDeclared(subject)) is { } unknown)
            throw new PipelineException(
                $"{release.Manifest.Name} {release.Manifest.Version} has {unknown.Variant} at {unknown.Shape}, and {manifest.Path} does "
                    + $"not: take the one that it was built by.",
                PipelineException.ConfigurationError
            );
        Model = Model with
        {
            Variants =
            [
                .. Model.Variants.Where(variant =>
                    Shapes.All(shape => release.Of(variant, shape) is not null)
                    && (variant.Backend != Backend.Rknn || DeviceOf(variant).IsBoard)
                ),
            ],
        };
        Restored = release;

        bool IsDeclared(ValidationSubject subject) => declared.Contains((subject.Variant, subject.Shape));
    }

    public string ValidationFolder(VariantSpec variant, InputShape shape) =>
        Path.Combine(Folder, "validation", variant.Name, shape.ToString());

    /// <summary>Every variant at every shape, in the order of models.yaml.</summary>
    public IEnumerable<(VariantSpec Variant, InputShape Shape)> Artifacts =>
        Model.Variants.SelectMany(variant => Shapes.Select(shape => (variant, shape)));

    /// <summary>Downloads or verifies the model and its vocabulary, once a run.</summary>
    public async Task<FetchedModel> FetchAsync(StageContext context) =>
        fetched ??= await sources.FetchAsync(Model.Name, context.Progress, context.Cancellation).ConfigureAwait(false);

    /// <summary>The source as the inspection found it, once a run: what every stage starts from.</summary>
    internal async Task<InspectedSource> SourceAsync(StageContext context) =>
        inspected ??= await InspectStage.RunAsync(this, context).ConfigureAwait(false);

    public async Task<PairTokenizer> TokenizerAsync(StageContext context) =>
        tokenizer ??= PairTokenizer.Load(TokenizerFilesOf(await FetchAsync(context).ConfigureAwait(false)), Model.Tokenizer);

    internal static TokenizerFiles TokenizerFilesOf(FetchedModel fetched) =>
        new(fetched.Vocabulary.Path)
        {
            Merges = fetched.Companions.GetValueOrDefault("merges")?.Path,
            Config = fetched.Companions.GetValueOrDefault("config")?.Path,
            SpecialTokens = fetched.Companions.GetValueOrDefault("special_tokens")?.Path,
        };

    public Corpus Corpus(string name) =>
        corpora.TryGetValue(name, out var corpus) ? corpus : corpora[name] = Text.Corpus.Load(manifest.Corpora[name]);

    /// <summary>Settings that decide how text becomes token rows.</summary>
    internal object TextSettings => new { Model.Task, Tokenizer = Model.Tokenizer with { Vocab = new SourceSpec() } };

    /// <summary>Settings that decide about the calibration rows.</summary>
    internal CalibrationSpec CalibrationSettings => Model.Calibration with { Regenerate = false };

    /// <summary>Whether a stage's outputs are there, made from this key. Hashed at most once a run; when forced, only this run's own
    /// outputs count.</summary>
    internal bool IsUpToDate(string record, string key, StageContext context, bool force = false) =>
        verified.Contains((record, key))
        || (!force && StageRecord.TryReuse(record, key, context.Cancellation) is not null && verified.Add((record, key)));

    /// <summary>Records a finished stage.</summary>
    internal void Finish(string record, string key, IEnumerable<string> outputs, StageContext context)
    {
        StageRecord.Write(record, key, outputs, context.Cancellation);
        verified.Add((record, key));
    }

    /// <summary>sha256 by logical name of all that decides about token rows of this corpus.</summary>
    internal async Task<Dictionary<string, string>> TextInputsAsync(string corpus, StageContext context)
    {
        var spec = manifest.Corpora[corpus];
        var missing = spec
            .Files.Where(file => !File.Exists(file.Path))
            .Select(file => $"{manifest.Path}: corpora.{corpus}.{file.Key}: there is no file {file.Path}")
            .ToList();
        if (missing.Count > 0)
            throw new PipelineException(string.Join('\n', missing), PipelineException.ConfigurationError);
        string Digest(string path) =>
            textDigests.TryGetValue(path, out var digest) ? digest : textDigests[path] = FileDigest.Of(path, context.Cancellation).Sha256;
        var files = await FetchAsync(context).ConfigureAwait(false);
        return new Dictionary<string, string>(
            files
                .Companions.Select(file => KeyValuePair.Create($"tokenizer/{file.Key}", file.Value.Sha256))
                .Concat(spec.Files.Select(file => KeyValuePair.Create($"{corpus}/{file.Key}", Digest(file.Path))))
        )
        {
            ["vocabulary"] = files.Vocabulary.Sha256,
        };
    }
}
