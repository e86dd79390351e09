using System.Runtime.InteropServices;
using ModelPipeline.Calibration;
using ModelPipeline.Core;
using ModelPipeline.Inspection;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Quantization;
using ModelPipeline.Rewrites;
using ModelPipeline.Tasks;
using ModelPipeline.Text;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Stages;

/// <summary>
/// One .rknn file of a variant, and what the toolkit's simulator says of the validation's texts. The simulator runs only what was built in
/// the same process: where a run validates what it builds, both are done at once.
/// </summary>
/// <param name="build">Of the model.</param>
/// <param name="variant">With backend rknn.</param>
/// <param name="shape">Of the file; one of those of a file for several.</param>
/// <param name="context">Progress, warnings and cancellation.</param>
internal sealed class ToolkitBuild(ModelBuild build, VariantSpec variant, InputShape shape, StageContext context)
{
    private const int WorstTensors = 12;

    private readonly bool shared = build.SharesFile(variant);

    /// <summary>Whether validation wants the toolkit's simulator: as another opinion beside a board's, or as the only one.</summary>
    public static bool IsScored(ModelBuild build, VariantSpec variant) =>
        build.Restored is null
        && variant.Backend == Backend.Rknn
        && (variant.ToolkitSimulator || build.DeviceOf(variant).Kind == DeviceKind.Simulator);

    /// <summary>Builds the file, and beside it compile.json and toolkit.json; scores the validation's texts too if this run will ask for
    /// them.</summary>
    /// <returns>Paths of the two.</returns>
    public async Task<IReadOnlyList<string>> ConvertAsync(NpuInputs inputs, string artifact)
    {
        IReadOnlyList<InputShape> scored = [];
        if (build.ToValidate.Contains(variant.Name) && IsScored(build, variant))
            scored = shared ? build.Model.Shapes : [shape];
        var (made, scores) = await RunAsync(inputs, artifact, artifact + ".log", await ValidatedAsync(scored).ConfigureAwait(false))
            .ConfigureAwait(false);
        foreach (var (of, each) in scored.Zip(scores))
            ScoringOrder
                .Of(build.Model, build.Corpus(build.Model.Validation.Corpus))
                .RequireFinite($"{variant.Name} at {of} in the toolkit's simulator", each);
        var int8 = made.File.Outputs.Where(output => output.IsInt8).Select(output => output.Shape.Name).ToList();
        foreach (var output in int8)
            context.Warning(
                $"{Path.GetFileName(artifact)}: {output} is int8 and has at most 256 values, so passages may tie; 'fp16: [head]' keeps it "
                    + $"finer"
            );
        var suggested = made.Analysis is null ? [] : HybridPlan.Suggest(made.Analysis, OnnxModel.Load(inputs.Prepared).Graph);
        var (compile, notes) = (ToolkitStage.CompilePath(artifact), ToolkitStage.NotesPath(artifact));
        ReportJson.Write(compile, made.Compile);
        TellWeights(made.Compile);
        ReportJson.Write(notes, new ToolkitNotes(made.Hybrid, int8, made.Analysis?.Worst(WorstTensors) ?? [], suggested));
        foreach (var (of, each) in scored.Zip(scores))
            await KeptAsync(artifact, of, () => Task.FromResult(each)).ConfigureAwait(false);
        return [compile, notes];
    }

    /// <summary>How much became int8; what the plan of fp16 tensors keeps is meant to be float.</summary>
    /// <exception cref="PipelineException">Too little became int8, and nothing asked for that.</exception>
    private void TellWeights(CompileReport compile)
    {
        if (variant.Precision != Precision.W8A8)
            return;
        if (CompiledWeights.Of(compile) is not { } share)
        {
            context.Warning(
                $"{variant.Name}: how much of the weights became int8 is not known: the toolkit's log has no table of constants"
            );
            return;
        }
        var isPlanned = variant.Fp16.Count > 0 || variant.AutoHybrid is not null;
        if (isPlanned && share.Share < WeightShare.Least)
            context.Warning($"{variant.Name}: only {share}: the plan of fp16 tensors keeps the others, {share.Float.Count} weights, float");
        else if (!isPlanned)
            share.RequireEnough(variant.Name);
        context.Info($"{variant.Name}: {share}");
    }

    /// <summary>Outputs of the toolkit's simulator for the validation's texts, in their order: those of the build, or of another one that
    /// made the same bytes.</summary>
    /// <param name="artifact">That was built.</param>
    /// <exception cref="PipelineException">The toolkit does not make that file again.</exception>
    public Task<List<float[]>> ScoresAsync(string artifact) =>
        KeptAsync(
            artifact,
            shape,
            async () =>
            {
                var inputs = await QuantizeStage.InputsAsync(build, variant, shape, context).ConfigureAwait(false);
                var folder = Scratch(artifact);
                try
                {
                    var again = Path.Combine(folder, Path.GetFileName(artifact));
                    var (_, scores) = await RunAsync(
                            inputs,
                            again,
                            artifact + ".simulator.log",
                            await ValidatedAsync([shape]).ConfigureAwait(false)
                        )
                        .ConfigureAwait(false);
                    if (FileDigest.Of(again, context.Cancellation) != FileDigest.Of(artifact, context.Cancellation))
                        throw new PipelineException(
                            $"{artifact}: the toolkit's simulator runs only what it has just built, and it made other bytes from the same "
                                + $"inputs, as another environment does: --force-convert builds and scores in one go."
                        );
                    return scores[0];
                }
                finally
                {
                    AtomicFile.DeleteFolder(folder);
                }
            }
        );

    /// <summary>Builds a file that is not kept, and scores some texts in the toolkit's simulator.</summary>
    /// <param name="inputs">Of the variant.</param>
    /// <param name="rows">At the shape of the file.</param>
    /// <param name="name">Beside which the scratch folder is, and the log stays.</param>
    public Task<(List<float[]> Outputs, long Bytes)> TryAsync(NpuInputs inputs, IReadOnlyList<TokenizedInput> rows, string name) =>
        TryAsync(inputs, [(shape, rows)], name, (artifact, scores) => Task.FromResult((scores[0], new FileInfo(artifact).Length)));

    /// <summary>Builds a file that is not kept, and has something done with it.</summary>
    /// <param name="inputs">Of the variant.</param>
    /// <param name="name">Beside which the scratch folder is, and the log stays.</param>
    /// <param name="use">Of the file's path.</param>
    public Task<T> TryAsync<T>(NpuInputs inputs, string name, Func<string, Task<T>> use) =>
        TryAsync(inputs, [], name, (artifact, _) => use(artifact));

    private async Task<T> TryAsync<T>(
        NpuInputs inputs,
        IReadOnlyList<(InputShape Shape, IReadOnlyList<TokenizedInput> Rows)> scored,
        string name,
        Func<string, IReadOnlyList<List<float[]>>, Task<T>> use
    )
    {
        var folder = Scratch(name);
        try
        {
            var artifact = Path.Combine(folder, "trial.rknn");
            var (_, scores) = await RunAsync(inputs, artifact, name + ".log", scored).ConfigureAwait(false);
            return await use(artifact, scores).ConfigureAwait(false);
        }
        finally
        {
            AtomicFile.DeleteFolder(folder);
        }
    }

    private Task<List<float[]>> KeptAsync(string artifact, InputShape of, Func<Task<List<float[]>>> score) =>
        ValidateStage.KeptAsync(
            build,
            new ScoreKey(
                Path.Combine(build.ValidationFolder(variant, of), "toolkit-scores"),
                "score-toolkit",
                FileDigest.Of(artifact, context.Cancellation).Sha256,
                of
            ),
            context,
            score
        );

    /// <summary>Builds, and scores the texts at each of the shapes.</summary>
    private async Task<(ToolkitArtifact Made, IReadOnlyList<List<float[]>> Scores)> RunAsync(
        NpuInputs inputs,
        string artifact,
        string log,
        IReadOnlyList<(InputShape Shape, IReadOnlyList<TokenizedInput> Rows)> scored
    )
    {
        var folder = Scratch(artifact);
        try
        {
            List<(SimulatorRun Run, IReadOnlyList<TokenizedInput> Rows)> runs = [];
            foreach (var (of, rows) in scored)
                runs.Add((Samples(inputs, rows, of.Batch, Path.Combine(folder, of.ToString())), rows));
            var request = new ToolkitRequest
            {
                Environment = await ToolkitEnvironment
                    .FindAsync(variant, build.Cache, Environment.GetEnvironmentVariable, context.Cancellation)
                    .ConfigureAwait(false),
                Source = inputs.Prepared,
                Artifact = artifact,
                Log = log,
                Variant = variant,
                Dataset = Path.Combine(inputs.Calibration, CalibrationSet.DatasetFile),
                CustomString = inputs.Provenance.ToString(),
                Shapes = shared ? [.. build.Model.Shapes.OrderBy(other => other.Batch * other.Sequence)] : [],
                Simulate = [.. runs.Select(run => run.Run)],
                Analyse = variant.AccuracyAnalysis,
                Ranges = Clips(inputs),
                FirstSteps = Path.Combine(build.Folder, "step1"),
                Limits = new()
                {
                    Time = Limit(inputs.Prepared, runs.Sum(run => run.Rows.Sum(row => (long)row.InputIds.Length))),
                    KeepScratch = build.KeepScratch,
                },
            };
            var made = await ToolkitConversion.RunAsync(request, context.Progress, context.Cancellation).ConfigureAwait(false);
            var answer = (await build.SourceAsync(context).ConfigureAwait(false)).Answer;
            IReadOnlyList<List<float[]>> scores =
            [
                .. runs.Zip(scored, (run, of) => Read(run.Run.Outputs, run.Rows, of.Shape.Batch, answer)),
            ];
            return (made, scores);
        }
        finally
        {
            AtomicFile.DeleteFolder(folder);
        }
    }

    /// <summary>Ranges of a w8a8 variant that asks for them, from its calibration samples.</summary>
    private IReadOnlyDictionary<string, ClippedRange> Clips(NpuInputs inputs) =>
        variant.Precision != Precision.W8A8 || variant.Clip == RangeClip.None
            ? new Dictionary<string, ClippedRange>()
            : RangeClips.Find(
                OnnxModel.Load(inputs.Prepared),
                CalibrationSet.Read(inputs.Calibration).Samples,
                byProduct: variant.Clip == RangeClip.OutputError
            );

    private static string Scratch(string artifact) => Directory.CreateDirectory(AtomicFile.TemporaryName(artifact)).FullName;

    /// <summary>The validation's texts at some shapes.</summary>
    private async Task<IReadOnlyList<(InputShape Shape, IReadOnlyList<TokenizedInput> Rows)>> ValidatedAsync(
        IReadOnlyList<InputShape> shapes
    )
    {
        var order = ScoringOrder.Of(build.Model, build.Corpus(build.Model.Validation.Corpus));
        var tokenizer = await build.TokenizerAsync(context).ConfigureAwait(false);
        return
        [
            .. shapes.Select(of =>
                (of, (IReadOnlyList<TokenizedInput>)[.. order.Texts.Select(text => order.Encode(tokenizer, text, of.Sequence))])
            ),
        ];
    }

    /// <summary>Texts as the simulator reads them from a folder.</summary>
    private SimulatorRun Samples(NpuInputs inputs, IReadOnlyList<TokenizedInput> rows, int batch, string folder)
    {
        var names = OnnxModel.Load(inputs.Prepared).Graph.Inputs.Select(input => input.Name).ToList();
        CalibrationSet.Of(names, rows, batch).Write(folder, context.Progress, context.Cancellation);
        return new SimulatorRun(Path.Combine(folder, CalibrationSet.DatasetFile), Path.Combine(folder, "outputs"));
    }

    private TimeSpan Limit(string prepared, long simulatedTokens)
    {
        if (variant.ToolkitMinutes is { } minutes)
            return TimeSpan.FromMinutes(minutes);
        var longest = shared ? build.LargestShape : shape;
        return BuildTime.Limit(
            new BuildWork(new FileInfo(prepared).Length / 1e6, variant.Precision, variant.Algorithm)
            {
                Shapes = shared ? build.Model.Shapes.Count : 1,
                CalibrationTokens = (long)build.Model.Calibration.Samples * longest.Sequence,
                SimulatedTokens = simulatedTokens,
                Analyse = variant.AccuracyAnalysis,
            }
        );
    }

    /// <summary>The outputs that the toolkit's simulator wrote, equally many numbers for each run.</summary>
    private static List<float[]> Read(string path, IReadOnlyList<TokenizedInput> rows, int batch, Answer answer)
    {
        var runs = TokenizedInput.Batches(rows, batch);
        using var file = File.OpenRead(path);
        if (file.Length == 0 || file.Length % (runs.Count * batch * sizeof(float)) != 0)
            throw new PipelineException(
                $"The toolkit's simulator wrote {file.Length} bytes of outputs for {runs.Count} samples: they do not belong together. "
                    + $"Look at its log."
            );
        var output = new float[file.Length / sizeof(float) / runs.Count];
        var scores = new List<float[]>(rows.Count + batch);
        foreach (var run in runs)
        {
            file.ReadExactly(MemoryMarshal.AsBytes(output.AsSpan()));
            scores.AddRange(answer.ReadAll(output, run.AttentionMask, batch));
        }
        return scores[..rows.Count];
    }
}
