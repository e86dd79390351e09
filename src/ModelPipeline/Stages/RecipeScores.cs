using ModelPipeline.Calibration;
using ModelPipeline.Core;
using ModelPipeline.Devices;
using ModelPipeline.Inspection;
using ModelPipeline.Latency;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Planning;
using ModelPipeline.Quantization;
using ModelPipeline.Rewrites;
using ModelPipeline.Tasks;
using ModelPipeline.Text;

namespace ModelPipeline.Stages;

/// <summary>A recipe built as its variant's backend builds.</summary>
/// <param name="Outputs">One a text.</param>
/// <param name="Mb">Size of the file in 10^6 bytes.</param>
/// <param name="Ms">Estimated for a passage on one core; null where nothing is known of the chip.</param>
internal sealed record RecipeTrial(List<float[]> Outputs, double Mb, double? Ms);

/// <summary>
/// Outputs of recipes for the validation's texts: fp32's, the emulation's and the backend's own. All are kept on disk by content, so that
/// no text is scored twice.
/// </summary>
internal sealed class RecipeScores
{
    private const int Version = 1;

    /// <summary>Calibration samples of the emulation: 25 to 400 gave the same figures.</summary>
    private const int Samples = 32;

    /// <summary>Weights of rewritten models in memory; they share those that no rewrite has changed.</summary>
    private const long MostPreparedBytes = 2L << 30;

    private readonly ModelBuild build;
    private readonly VariantSpec variant;
    private readonly InputShape shape;
    private readonly Answer answer;
    private readonly OnnxModel pinned;
    private readonly CalibrationSet calibration;
    private readonly IReadOnlyList<TokenizedInput> rows;
    private readonly Dictionary<string, string> digests;
    private readonly OrderedDictionary<string, OnnxModel> prepared = [];
    private readonly Dictionary<(string Rewrites, QuantizationAlgorithm Algorithm), Dictionary<string, ActivationRange>> ranges = [];
    private readonly Dictionary<(string Rewrites, RangeClip Clip), IReadOnlyDictionary<string, ClippedRange>> clips = [];
    private readonly HashSet<string> preparedFolders = [];
    private readonly SemaphoreSlim finishing = new(1);

    private RecipeScores(
        ModelBuild build,
        VariantSpec variant,
        InputShape shape,
        (Answer Answer, OnnxModel Pinned, CalibrationSet Calibration) source,
        (IReadOnlyList<TokenizedInput> Rows, Dictionary<string, string> Digests) texts
    )
    {
        (this.build, this.variant, this.shape) = (build, variant, shape);
        (answer, pinned, calibration) = source;
        (rows, digests) = texts;
    }

    /// <param name="build">Of the model.</param>
    /// <param name="variant">As models.yaml has it.</param>
    /// <param name="shape">At which all is built.</param>
    /// <param name="whole">The validation's texts, by whose places others ask.</param>
    /// <param name="context">Of the run.</param>
    public static async Task<RecipeScores> OpenAsync(
        ModelBuild build,
        VariantSpec variant,
        InputShape shape,
        ScoringOrder whole,
        StageContext context
    )
    {
        var source = await build.SourceAsync(context).ConfigureAwait(false);
        var pinned = PinShapes.Apply(OnnxModel.Load(source.Path), shape);
        var tokenizer = await build.TokenizerAsync(context).ConfigureAwait(false);
        var calibration = CalibrationSet.Create(
            build.Model,
            build.Corpus(build.Model.Calibration.Corpus),
            tokenizer,
            shape,
            [.. pinned.Graph.Inputs.Select(input => input.Name)],
            context.Cancellation
        );
        var digests = await build.TextInputsAsync(build.Model.Calibration.Corpus, context).ConfigureAwait(false);
        foreach (var (name, digest) in await build.TextInputsAsync(build.Model.Validation.Corpus, context).ConfigureAwait(false))
            digests[name] = digest;
        digests["model"] = source.Sha256;
        return new RecipeScores(
            build,
            variant,
            shape,
            (source.Answer, pinned, calibration),
            ([.. whole.Texts.Select(text => whole.Encode(tokenizer, text, shape.Sequence))], digests)
        );
    }

    /// <summary>fp32's.</summary>
    public Task<List<float[]>> ReferenceAsync(IReadOnlyList<int> texts, StageContext context) =>
        KeptAsync("fp32", texts, () => pinned, context);

    /// <summary>Those of the graph by which the simulator predicts what the toolkit would build; for the CPU of what is built
    /// itself.</summary>
    public Task<List<float[]>> EmulatedAsync(Int8Recipe recipe, IReadOnlyList<int> texts, StageContext context) =>
        KeptAsync(recipe.Id, texts, () => Emulated(recipe, context), context);

    /// <summary>What the emulation gives where int8 is only one class of a recipe's tensors, by class.</summary>
    public async Task<IReadOnlyList<(TensorClass Class, List<float[]> Outputs)>> SensitivityAsync(
        Int8Recipe recipe,
        IReadOnlyList<int> texts,
        StageContext context
    )
    {
        var seen = await Task.Run(() => Calibrated(recipe, context), context.Cancellation).ConfigureAwait(false);
        var classes = seen.Emulation.Classes;
        var found = new List<(TensorClass, List<float[]>)>();
        foreach (var only in classes)
        {
            context.Progress.Report(new StageProgress($"sensitivity {variant.Name}", found.Count, classes.Count));
            var name = $"{recipe.Id}-{only.Name.Replace(' ', '-')}";
            found.Add(
                (
                    only,
                    await KeptAsync(name, texts, () => seen.Emulation.Build(only, seen.Ranges, seen.Clips), context).ConfigureAwait(false)
                )
            );
        }
        return found;
    }

    /// <summary>Those of what the variant's backend builds by some recipes, toolkits two at a time.</summary>
    /// <param name="recipes">To build.</param>
    /// <param name="texts">To score.</param>
    /// <param name="failed">Told of a recipe that cannot be built; null lets the error end it all.</param>
    /// <param name="context">Of the run.</param>
    /// <returns>In the order of the recipes; null for one that failed.</returns>
    public async Task<IReadOnlyList<RecipeTrial?>> BuiltAsync(
        IReadOnlyList<Int8Recipe> recipes,
        IReadOnlyList<int> texts,
        Action<Int8Recipe, PipelineException>? failed,
        StageContext context
    )
    {
        var (trials, missing) = (new RecipeTrial?[recipes.Count], new List<Trial>());
        foreach (var (index, recipe) in recipes.Index())
        {
            var trial = await TrialAsync(index, recipe, texts, context).ConfigureAwait(false);
            if (build.IsUpToDate(trial.Record, trial.Key, context))
                trials[index] = ReportJson.Read<RecipeTrial>(trial.Outputs);
            else
                missing.Add(trial);
        }
        IReadOnlyList<TokenizedInput> chosen = [.. texts.Select(text => rows[text])];
        await Parallel
            .ForEachAsync(
                missing,
                new ParallelOptions { MaxDegreeOfParallelism = Lanes(variant), CancellationToken = context.Cancellation },
                async (trial, _) =>
                {
                    try
                    {
                        trials[trial.Index] = await MadeAsync(trial, chosen, context).ConfigureAwait(false);
                    }
                    catch (PipelineException e) when (failed is not null)
                    {
                        failed(recipes[trial.Index], e);
                    }
                }
            )
            .ConfigureAwait(false);
        return trials;
    }

    /// <summary>Builds of a variant that run at once: the toolkit keeps to one core, and takes some gigabytes.</summary>
    public static int Lanes(VariantSpec variant) => variant.Backend == Backend.Rknn ? Math.Min(2, Environment.ProcessorCount) : 1;

    /// <summary>What a passage takes on the validation's board on one core, in milliseconds, of recipes built once more.</summary>
    /// <returns>By recipe; none of what is not the board's own time.</returns>
    /// <exception cref="PipelineException">The board cannot be reached, or does not run one of the files.</exception>
    public async Task<IReadOnlyDictionary<Int8Recipe, double>> TimedAsync(
        IReadOnlyList<Int8Recipe> recipes,
        IReadOnlyList<int> texts,
        StageContext context
    )
    {
        await using var device = await Device
            .OpenAsync(build.DeviceOf(variant), warning: context.Warning, cancellation: context.Cancellation)
            .ConfigureAwait(false);
        if ((await device.FixFrequencyAsync(context.Cancellation).ConfigureAwait(false)).Note is { Length: > 0 } note)
            context.Warning($"latency on {device.Spec.Name}: {note}");
        var measurement = new LatencyMeasurement(device, build.Model.Latency);
        var requests = texts.Select(text => rows[text]).Chunk(build.Model.Latency.Passages).Take(build.Model.Latency.Requests).ToList();
        var times = new Dictionary<Int8Recipe, double>();
        foreach (var (index, recipe) in recipes.Index())
        {
            var trial = await TrialAsync(index, recipe, texts, context).ConfigureAwait(false);
            var latency = await new ToolkitBuild(build, trial.Candidate, shape, context)
                .TryAsync(trial.Inputs!, trial.Path + "-board", TimeAsync)
                .ConfigureAwait(false);
            if (latency.OnDevice)
                times[recipe] = latency.Sequential!.Passage.Figures.P50.Value;
        }
        return times;

        Task<ArtifactLatency> TimeAsync(string path) =>
            measurement.RunAsync(
                ArtifactLatency.Of(variant.Name, variant.Backend, shape, path),
                path,
                [CorePlan.Sequence],
                requests,
                context.Progress,
                context.Cancellation
            );
    }

    /// <summary>A recipe to be built.</summary>
    /// <param name="Graph">Path of what it is built from.</param>
    /// <param name="Inputs">Of an NPU variant.</param>
    /// <param name="Path">Without extensions.</param>
    private sealed record Trial(int Index, VariantSpec Candidate, string Graph, NpuInputs? Inputs, string Key, string Path)
    {
        public string Record => Path + StageRecord.Extension;
        public string Outputs => Path + ".json";
    }

    private async Task<Trial> TrialAsync(int index, Int8Recipe recipe, IReadOnlyList<int> texts, StageContext context)
    {
        var candidate = recipe.Over(variant) with { OneFile = false };
        var inputs =
            variant.Backend == Backend.Onnx
                ? null
                : await QuantizeStage.InputsAsync(build, candidate, shape, context).ConfigureAwait(false);
        var graph = inputs?.Prepared ?? await QuantizeStage.CpuGraphAsync(build, candidate, context).ConfigureAwait(false);
        preparedFolders.Add(build.PreparedFolder(shape, candidate));
        var key = StageRecord.KeyOf(
            "search-build",
            Version,
            new
            {
                Settings = inputs?.Provenance.Settings ?? FileDigest.Of(graph, context.Cancellation).Sha256,
                answer,
                build.TextSettings,
                texts,
            },
            digests
        );
        return new(index, candidate, graph, inputs, key, Path.Combine(SearchStage.FolderOf(build, variant), "built", key[..16]));
    }

    private async Task<RecipeTrial> MadeAsync(Trial trial, IReadOnlyList<TokenizedInput> chosen, StageContext context)
    {
        var (outputs, bytes) = variant.Backend switch
        {
            Backend.Rknn => await new ToolkitBuild(build, trial.Candidate, shape, context)
                .TryAsync(trial.Inputs!, chosen, trial.Path)
                .ConfigureAwait(false),
            Backend.Simulator => await RunAsync(() =>
                    QuantizeStage
                        .Emulate(OnnxModel.Load(trial.Graph), trial.Candidate, CalibrationSet.Read(trial.Inputs!.Calibration), context)
                        .Model
                )
                .ConfigureAwait(false),
            Backend.Onnx => await RunAsync(() => ForCpu(OnnxModel.Load(trial.Graph), context)).ConfigureAwait(false),
        };
        await finishing.WaitAsync(context.Cancellation).ConfigureAwait(false);
        try
        {
            var made = new RecipeTrial(outputs, Math.Round(bytes / 1e6, 6), await MsAsync(trial.Graph, context).ConfigureAwait(false));
            ReportJson.Write(trial.Outputs, made);
            build.Finish(trial.Record, trial.Key, [trial.Outputs], context);
            return made;
        }
        finally
        {
            finishing.Release();
        }

        Task<(List<float[]> Outputs, long Bytes)> RunAsync(Func<OnnxModel> make) =>
            Task.Run(
                () =>
                {
                    var model = make();
                    using var scorer = new ReferenceScorer(PinShapes.Apply(model, shape), answer, AsWritten);
                    return (ValidateStage.Scored($"score {variant.Name}", chosen, scorer, context), model.ToBytes().LongLength);
                },
                context.Cancellation
            );
    }

    /// <summary>How many of some texts are calibration samples, too.</summary>
    public int CalibratedOn(IReadOnlyList<int> texts)
    {
        var seen = calibration.Samples.Select(sample => string.Join(' ', sample[0])).ToHashSet();
        var name = calibration.Inputs[0];
        return texts.Count(text => seen.Contains(string.Join(' ', rows[text][name])));
    }

    /// <summary>Deletes prepared graphs that only this search has asked for; that of the choice stays.</summary>
    public void Sweep(Int8Recipe choice)
    {
        var kept = build
            .Model.Variants.Append(choice.Over(variant) with { OneFile = false })
            .Select(other => build.PreparedFolder(shape, other))
            .ToHashSet();
        foreach (var folder in preparedFolders.Where(folder => !kept.Contains(folder) && Directory.Exists(folder)))
            AtomicFile.DeleteFolder(folder);
    }

    private async Task<double?> MsAsync(string graph, StageContext context)
    {
        var place = new RunPlace(variant.Target, Precision.W8A8) { Cpu = variant.Backend == Backend.Onnx };
        var work = await Estimates.WorkAsync(build, context).ConfigureAwait(false);
        return RateTable.TryFactor(variant.Target, out _)
            ? Math.Round(Estimates.Of(build, work).Milliseconds(GraphWork.At(OnnxModel.Load(graph), shape.Sequence), place), 3)
            : null;
    }

    private static OnnxModel ForCpu(OnnxModel model, StageContext context) =>
        CpuQuantizer.Quantize(model, CpuQuantizationSettings.Of(model), context.Cancellation).Model;

    private static RunSettings AsWritten => new(FuseQdq: false);

    private OnnxModel Emulated(Int8Recipe recipe, StageContext context)
    {
        if (variant.Backend == Backend.Onnx)
            return ForCpu(Prepared(PrepareStage.RewritesOf(recipe.Over(variant)), calibration.Samples, context.Cancellation), context);
        var seen = Calibrated(recipe, context);
        return seen.Emulation.Build(recipe.Over(variant), seen.Ranges, seen.Clips).Model;
    }

    /// <summary>A recipe's graph, and the ranges that its tensors get.</summary>
    private (Emulation Emulation, Dictionary<string, ActivationRange> Ranges, IReadOnlyDictionary<string, ClippedRange> Clips) Calibrated(
        Int8Recipe recipe,
        StageContext context
    )
    {
        var rewrites = string.Join('+', recipe.Rewrites);
        var samples = calibration with { Samples = [.. calibration.Samples.Take(Samples)] };
        var emulation = new Emulation(Prepared(recipe.Rewrites, samples.Samples, context.Cancellation));
        if (!ranges.TryGetValue((rewrites, recipe.Algorithm), out var found))
            ranges[(rewrites, recipe.Algorithm)] = found = emulation.Ranges(recipe.Algorithm, samples.Samples, context);
        if (!clips.TryGetValue((rewrites, recipe.Clip), out var clipped))
            clips[(rewrites, recipe.Clip)] = clipped = emulation.Clips(recipe.Clip, samples.Samples);
        return (emulation, found, clipped);
    }

    /// <summary>The pinned model after some rewrites, from as many of them as are in memory.</summary>
    private OnnxModel Prepared(IReadOnlyList<string> rewrites, IReadOnlyList<IReadOnlyList<long[]>> samples, CancellationToken cancellation)
    {
        var done = rewrites.Count;
        while (done > 0 && !prepared.ContainsKey(Name(done)))
            done--;
        var model = done == 0 ? pinned : prepared[Name(done)];
        for (; done < rewrites.Count; done++)
        {
            cancellation.ThrowIfCancellationRequested();
            model = Pass.Sequence([rewrites[done]]).Aggregate(model, (before, pass) => pass.Apply(before, samples).Model);
            prepared[Name(done + 1)] = model;
            while (prepared.Count > 1 && prepared.Values.Sum(each => each.DataBytes) > MostPreparedBytes)
                prepared.RemoveAt(0);
        }
        return model;

        string Name(int count) => string.Join('+', rewrites.Take(count));
    }

    /// <summary>Outputs for the texts: those on disk, and the others from the model, then on disk, too.</summary>
    private async Task<List<float[]>> KeptAsync(string name, IReadOnlyList<int> texts, Func<OnnxModel> model, StageContext context)
    {
        var key = StageRecord.KeyOf(
            "search-emulation",
            Version,
            new
            {
                name,
                shape = shape.ToString(),
                answer,
                build.TextSettings,
                build.CalibrationSettings,
                build.Model.Validation.Queries,
                StageVersions.Prepare,
                StageVersions.Quantize,
            },
            digests
        );
        var path = Path.Combine(SearchStage.FolderOf(build, variant), "emulated", name);
        var record = path + StageRecord.Extension;
        var known = build.IsUpToDate(record, key, context) ? ReportJson.Read<Dictionary<int, float[]>>(path + ".json") : [];
        var missing = texts.Where(text => !known.ContainsKey(text)).ToList();
        if (missing.Count > 0)
        {
            await Task.Run(
                    () =>
                    {
                        using var scorer = new ReferenceScorer(model(), answer, AsWritten);
                        foreach (var text in missing)
                        {
                            context.Cancellation.ThrowIfCancellationRequested();
                            known[text] = scorer.Score(rows[text], context.Cancellation);
                        }
                    },
                    context.Cancellation
                )
                .ConfigureAwait(false);
            ReportJson.Write(path + ".json", known);
            build.Finish(record, key, [path + ".json"], context);
        }
        return [.. texts.Select(text => known[text])];
    }
}
