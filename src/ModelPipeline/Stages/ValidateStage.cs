using ModelPipeline.Manifest;
using ModelPipeline.Npu;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Passes;
using ModelPipeline.Packaging;
using ModelPipeline.Sources;
using ModelPipeline.Text;
using ModelPipeline.Validation;
using ModelPipeline.Validation.Html;

namespace ModelPipeline.Stages;

/// <summary>One artifact's milliseconds a passage, as timed while it was validated: content of timings.json. Never part of a package: it differs from run to run.</summary>
/// <param name="Simulated">True if no NPU did the work.</param>
/// <param name="Sdk">What did it.</param>
/// <param name="Milliseconds">By metric name.</param>
public sealed record Timings(bool Simulated, string Sdk, IReadOnlyDictionary<string, double> Milliseconds);

/// <summary>Scores of every candidate pair against fp32, figures, gates and reports.</summary>
public static class ValidateStage
{
    /// <summary>Runs that are not counted, so that caches and clocks have settled.</summary>
    private const int WarmUpRuns = 3;

    /// <summary>Validates one variant at one shape and writes validation.json, whatever the gates say. Scores are kept: another limit needs no new run.</summary>
    public static async Task<ValidationReport> RunAsync(ModelBuild build, VariantSpec variant, InputShape shape, StageContext context)
    {
        var (model, spec) = (build.Model, build.Model.Validation);
        var artifact = await QuantizeStage.RunAsync(build, variant, shape, context).ConfigureAwait(false);
        var source = (await build.FetchAsync(context).ConfigureAwait(false)).Model;
        var corpus = build.Corpus(spec.Corpus);
        var rows = new Lazy<IReadOnlyList<TokenizedInput>>(Rows(model, corpus, await build.TokenizerAsync(context).ConfigureAwait(false), shape.Sequence));
        var reference = await ReferenceAsync(build, shape, source, rows, context).ConfigureAwait(false);
        var device = build.Manifest.Devices[spec.Device];
        var inToolkit = variant.Backend == Backend.Rknn && device.Kind == DeviceKind.Simulator;
        var simulated = inToolkit || variant.ToolkitSimulator ? await ToolkitScoresAsync(build, variant, shape, artifact, rows, context).ConfigureAwait(false) : null;
        // How long a simulator takes says nothing.
        if (inToolkit)
            ReportJson.Write(TimingsPath(build, variant, shape), new Timings(true, $"simulator of rknn-toolkit2 {variant.Toolkit}", new Dictionary<string, double>()));
        var scores = inToolkit ? simulated! : await ScoresAsync(build, variant, shape, artifact, rows, context).ConfigureAwait(false);
        var timings = ReportJson.Read<Timings>(TimingsPath(build, variant, shape));
        var subject = new ValidationSubject
        {
            Model = model.Name,
            Version = model.Version,
            Task = model.Task,
            Variant = variant.Name,
            Backend = variant.Backend,
            Precision = variant.Precision,
            Shape = shape.ToString(),
            Artifact = Path.GetFileName(artifact),
            ArtifactDigest = FileDigest.Of(artifact, context.Cancellation),
            ReferenceDigest = new FileDigest(source.Bytes, source.Sha256),
            Device = spec.Device,
            DeviceKind = device.Kind,
            Corpus = spec.Corpus,
        };
        // What a simulator or this machine took is no figure of a device, and would differ from run to run.
        var latency = timings.Simulated || device.Kind == DeviceKind.Simulator ? new Dictionary<string, double>() : timings.Milliseconds;
        var queries = Selected(corpus, spec).ToList();
        var report = model.Task == ModelTask.Rerank
            ? ValidationReport.OfReranker(subject, variant.Gates, queries, ByQuery(queries, reference), ByQuery(queries, scores), latency)
            : ValidationReport.OfEmbedder(subject, variant.Gates, PassageIds(corpus), reference, scores, latency);
        report = ToolkitStage.WithFindings(report, variant, artifact);
        if (simulated is not null && !inToolkit)
        {
            var other = RerankValidation.Measure(queries, ByQuery(queries, reference), ByQuery(queries, simulated));
            report = ToolkitStage.WithOpinion(report, "the toolkit's simulator", other.Figures, other.Queries);
        }
        ReportJson.Write(Path.Combine(build.ValidationFolder(variant, shape), "validation.json"), report);
        return report;
    }

    /// <summary>Reports with what they only tell together: estimated latencies, opinions of other variants, and what has changed since the last release.</summary>
    /// <param name="build">Of the model.</param>
    /// <param name="reports">Of its variants, in the order of models.yaml.</param>
    /// <param name="release">Manifest of the last release's package; null if none is known.</param>
    public static IReadOnlyList<ValidationReport> Compare(ModelBuild build, IReadOnlyList<ValidationReport> reports, PackageManifest? release) =>
        ToolkitStage.Compare(build, reports, release);

    /// <summary>Where a variant's timings lie.</summary>
    public static string TimingsPath(ModelBuild build, VariantSpec variant, InputShape shape) => Path.Combine(build.ValidationFolder(variant, shape), "timings.json");

    /// <summary>One page for all validated variants of a model.</summary>
    /// <returns>Path of report.html.</returns>
    public static string WriteReport(ModelBuild build, IReadOnlyList<ValidationReport> reports)
    {
        var path = Path.Combine(build.Folder, "validation", "report.html");
        AtomicFile.WriteText(path, HtmlReport.Render(reports));
        return path;
    }

    /// <summary>Token rows in scoring order: query by query, or passage by passage for an embedder.</summary>
    private static Func<IReadOnlyList<TokenizedInput>> Rows(ModelSpec model, Corpus corpus, PairTokenizer tokenizer, int sequence) => () => model.Task == ModelTask.Embed
        ? [.. PassageIds(corpus).Select(id => tokenizer.Encode(corpus.Passages[id], sequence))]
        : [.. from query in Selected(corpus, model.Validation)
              from passage in query.Candidates
              select tokenizer.Encode(query.Text, corpus.Passages[passage], sequence, model.Tokenizer.Truncation)];

    private static IEnumerable<CorpusQuery> Selected(Corpus corpus, ValidationSpec spec) => corpus.Queries.Take(spec.Queries ?? int.MaxValue);

    private static IReadOnlyList<string> PassageIds(Corpus corpus) => [.. corpus.Passages.Keys.Order(StringComparer.Ordinal)];

    private static IReadOnlyList<float[]> ByQuery(IReadOnlyList<CorpusQuery> queries, IReadOnlyList<float[]> scores)
    {
        using var flat = scores.Select(score => score[0]).GetEnumerator();
        return [.. queries.Select(query => query.Candidates.Select(_ => flat.MoveNext() ? flat.Current : throw new InvalidOperationException("fewer scores than pairs")).ToArray())];
    }

    /// <summary>fp32 outputs of the source model at this shape, before any rewrite; the same for all variants.</summary>
    private static Task<IReadOnlyList<float[]>> ReferenceAsync(
        ModelBuild build, InputShape shape, FetchedFile source, Lazy<IReadOnlyList<TokenizedInput>> rows, StageContext context) =>
        KeptAsync(build, Path.Combine(build.Folder, "validation", $"reference-{shape}"), "reference", source.Sha256, shape, [], context, () => Task.Run(() =>
        {
            var model = PinShapes.Apply(OnnxModel.Load(source.Path), shape);
            string[] names = [.. model.Graph.Inputs.Select(input => input.Name)];
            using var scorer = new ReferenceScorer(model, build.Model.Task);
            return Timed("score fp32", rows.Value, context, row => scorer.Score([.. names.Select(name => row[name])], context.Cancellation));
        }, context.Cancellation));

    /// <summary>Outputs of the artifact through the shim; its timings are written beside them.</summary>
    private static async Task<IReadOnlyList<float[]>> ScoresAsync(
        ModelBuild build, VariantSpec variant, InputShape shape, string artifact, Lazy<IReadOnlyList<TokenizedInput>> rows, StageContext context)
    {
        var provenance = variant.Backend == Backend.Onnx ? null : (await QuantizeStage.InputsAsync(build, variant, shape, context).ConfigureAwait(false)).Provenance;
        return await KeptAsync(
            build, Path.Combine(build.ValidationFolder(variant, shape), "scores"), "score", FileDigest.Of(artifact, context.Cancellation).Sha256, shape,
            [TimingsPath(build, variant, shape)], context, () => Task.Run(() =>
        {
            using var npu = NpuModel.Load(variant.Backend, artifact);
            provenance?.Require(artifact, npu.CustomString);
            ReadOnlyMemory<long>[] Inputs(TokenizedInput row) => [.. npu.Inputs.Select(input => (ReadOnlyMemory<long>)row[input.Name])];
            foreach (var row in rows.Value.Take(WarmUpRuns))
                npu.Run(Inputs(row), context.Cancellation);
            var milliseconds = new List<double>(rows.Value.Count);
            var scores = Timed($"validate {variant.Name}", rows.Value, context, row =>
            {
                var output = npu.Run(Inputs(row), context.Cancellation)[0];
                milliseconds.Add(npu.LastRun.TotalMilliseconds);
                return ModelOutput.Read(output, build.Model.Task, row.AttentionMask);
            });
            ReportJson.Write(TimingsPath(build, variant, shape), new Timings(npu.Simulated, npu.SdkVersion, Latency.Figures(milliseconds)));
            return scores;
        }, context.Cancellation)).ConfigureAwait(false);
    }

    /// <summary>Outputs of the toolkit's simulator: another opinion beside a board's, or the only one where there is no board.</summary>
    private static async Task<IReadOnlyList<float[]>> ToolkitScoresAsync(
        ModelBuild build, VariantSpec variant, InputShape shape, string artifact, Lazy<IReadOnlyList<TokenizedInput>> rows, StageContext context)
    {
        if (build.Model.Task != ModelTask.Rerank)
            throw new PipelineException($"{build.Model.Name}:{variant.Name}: the toolkit's simulator scores rerankers alone. Name a board in 'validation.device'.", PipelineException.ConfigurationError);
        return await KeptAsync(
            build, Path.Combine(build.ValidationFolder(variant, shape), "toolkit-scores"), "score-toolkit", FileDigest.Of(artifact, context.Cancellation).Sha256, shape,
            [], context, async () =>
        {
            var inputs = await QuantizeStage.InputsAsync(build, variant, shape, context).ConfigureAwait(false);
            string[] names = [.. OnnxModel.Load(inputs.Prepared).Graph.Inputs.Select(input => input.Name)];
            return await ToolkitStage.ScoreAsync(
                build, variant, inputs, artifact, [.. rows.Value.Select(row => (IReadOnlyList<long[]>)[.. names.Select(name => row[name])])], context).ConfigureAwait(false);
        }).ConfigureAwait(false);
    }

    /// <summary>Scores from <paramref name="path"/>.json if they are of this model and these texts, else computed and kept there with the files that <paramref name="score"/> writes besides.</summary>
    private static async Task<IReadOnlyList<float[]>> KeptAsync(
        ModelBuild build, string path, string stage, string modelSha256, InputShape shape, IEnumerable<string> besides, StageContext context, Func<Task<List<float[]>>> score)
    {
        var inputs = await build.TextInputsAsync(build.Model.Validation.Corpus, context).ConfigureAwait(false);
        inputs["model"] = modelSha256;
        var key = StageRecord.KeyOf(stage, ModelBuild.Version, new { shape = shape.ToString(), build.Model.Validation.Queries, build.TextSettings }, inputs);
        if (build.IsUpToDate(path + StageRecord.Extension, key, context))
            return ReportJson.Read<List<float[]>>(path + ".json");
        var scores = await score().ConfigureAwait(false);
        ReportJson.Write(path + ".json", scores);
        build.Finish(path + StageRecord.Extension, key, [path + ".json", .. besides], context);
        return scores;
    }

    private static List<float[]> Timed(string activity, IReadOnlyList<TokenizedInput> rows, StageContext context, Func<TokenizedInput, float[]> score)
    {
        var scores = new List<float[]>(rows.Count);
        foreach (var row in rows)
        {
            context.Cancellation.ThrowIfCancellationRequested();
            scores.Add(score(row));
            if (scores.Count % 16 == 0 || scores.Count == rows.Count)
                context.Progress.Report(new StageProgress(activity, scores.Count, rows.Count));
        }
        return scores;
    }
}
