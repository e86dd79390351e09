using ModelPipeline.Manifest;
using ModelPipeline.Npu;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Passes;
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

    /// <summary>Validates one variant at one shape and writes validation.json, whatever the gates say.</summary>
    public static async Task<ValidationReport> RunAsync(ModelBuild build, VariantSpec variant, InputShape shape, StageContext context)
    {
        var (model, spec) = (build.Model, build.Model.Validation);
        var folder = build.ValidationFolder(variant, shape);
        var reportPath = Path.Combine(folder, "validation.json");
        var record = Path.Combine(folder, "validate" + StageRecord.Extension);
        var artifact = await QuantizeStage.RunAsync(build, variant, shape, context).ConfigureAwait(false);
        var source = (await build.FetchAsync(context).ConfigureAwait(false)).Model;
        var digest = FileDigest.Of(artifact, context.Cancellation);
        var device = build.Manifest.Devices[spec.Device];
        var inputs = await build.TextInputsAsync(spec.Corpus, context).ConfigureAwait(false);
        inputs["artifact"] = digest.Sha256;
        inputs["model"] = source.Sha256;
        var key = StageRecord.KeyOf("validate", ModelBuild.Version, new { variant.Name, variant.Gates, spec.Queries, device.Kind, shape = shape.ToString(), build.TextSettings }, inputs);
        if (build.IsUpToDate(record, key, context))
            return ReportJson.Read<ValidationReport>(reportPath);

        var corpus = build.Corpus(spec.Corpus);
        var rows = Rows(model, corpus, await build.TokenizerAsync(context).ConfigureAwait(false), shape.Sequence);
        var reference = await ReferenceAsync(build, shape, source, rows, inputs, context).ConfigureAwait(false);
        var (outputs, timings) = Run(build, variant, artifact, rows, context);
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
            ArtifactDigest = digest,
            ReferenceDigest = new FileDigest(source.Bytes, source.Sha256),
            Device = spec.Device,
            DeviceKind = device.Kind,
            Corpus = spec.Corpus,
        };
        var latency = timings.Simulated ? new Dictionary<string, double>() : timings.Milliseconds;
        var report = model.Task == ModelTask.Rerank
            ? ValidationReport.OfReranker(subject, variant.Gates, Judged(corpus, spec), ByQuery(rows, reference), ByQuery(rows, outputs), latency)
            : ValidationReport.OfEmbedder(subject, variant.Gates, [.. rows.Select(row => row.Passage)], reference, outputs, latency);
        ReportJson.Write(Path.Combine(folder, "timings.json"), timings);
        ReportJson.Write(reportPath, report);
        build.Finish(record, key, [reportPath], context);
        return report;
    }

    /// <summary>One page for all validated variants of a model.</summary>
    /// <returns>Path of report.html.</returns>
    public static string WriteReport(ModelBuild build, IReadOnlyList<ValidationReport> reports)
    {
        var path = Path.Combine(build.Folder, "validation", "report.html");
        AtomicFile.WriteText(path, HtmlReport.Render(reports));
        return path;
    }

    private sealed record Row(string Query, string Passage, TokenizedInput Tokens);

    private static IReadOnlyList<Row> Rows(ModelSpec model, Corpus corpus, PairTokenizer tokenizer, int sequence) => model.Task == ModelTask.Embed
        ? [.. corpus.Passages.OrderBy(passage => passage.Key, StringComparer.Ordinal).Select(passage => new Row("", passage.Key, tokenizer.Encode(passage.Value, sequence)))]
        : [.. from query in Selected(corpus, model.Validation)
              from passage in query.Candidates
              select new Row(query.Id, passage, tokenizer.Encode(query.Text, corpus.Passages[passage], sequence, model.Tokenizer.Truncation))];

    private static IEnumerable<CorpusQuery> Selected(Corpus corpus, ValidationSpec spec) => corpus.Queries.Take(spec.Queries ?? int.MaxValue);

    private static IReadOnlyList<JudgedQuery> Judged(Corpus corpus, ValidationSpec spec) =>
        [.. Selected(corpus, spec).Select(query => new JudgedQuery(query.Id, query.Candidates, query.Grades))];

    private static IReadOnlyList<float[]> ByQuery(IReadOnlyList<Row> rows, IReadOnlyList<float[]> scores) =>
        [.. rows.Zip(scores).GroupBy(pair => pair.First.Query).Select(group => group.Select(pair => pair.Second[0]).ToArray())];

    /// <summary>fp32 outputs of the source model at this shape, before any rewrite; computed once for all variants.</summary>
    private static async Task<IReadOnlyList<float[]>> ReferenceAsync(
        ModelBuild build, InputShape shape, Sources.FetchedFile source, IReadOnlyList<Row> rows, IReadOnlyDictionary<string, string> inputs, StageContext context)
    {
        var path = Path.Combine(build.Folder, "validation", $"reference-{shape}.json");
        var record = Path.ChangeExtension(path, null) + StageRecord.Extension;
        var key = StageRecord.KeyOf("reference", ModelBuild.Version, new { shape = shape.ToString(), build.Model.Validation.Queries, build.TextSettings }, inputs.Where(input => input.Key != "artifact").ToDictionary());
        if (build.IsUpToDate(record, key, context))
            return ReportJson.Read<List<float[]>>(path);
        var scores = await Task.Run(() =>
        {
            var model = PinShapes.Apply(OnnxModel.Load(source.Path), shape);
            string[] names = [.. model.Graph.Inputs.Select(input => input.Name)];
            using var scorer = new ReferenceScorer(model, build.Model.Task);
            return Timed("score fp32", rows, context, row => scorer.Score([.. names.Select(name => row.Tokens[name])], context.Cancellation));
        }, context.Cancellation).ConfigureAwait(false);
        ReportJson.Write(path, scores);
        build.Finish(record, key, [path], context);
        return scores;
    }

    /// <summary>Outputs of the artifact through the shim, and its timings.</summary>
    private static (IReadOnlyList<float[]> Outputs, Timings Timings) Run(ModelBuild build, VariantSpec variant, string artifact, IReadOnlyList<Row> rows, StageContext context)
    {
        using var npu = NpuModel.Load(variant.Backend, artifact);
        ReadOnlyMemory<long>[] Inputs(Row row) => [.. npu.Inputs.Select(input => (ReadOnlyMemory<long>)row.Tokens[input.Name])];
        foreach (var row in rows.Take(WarmUpRuns))
            npu.Run(Inputs(row), context.Cancellation);
        var milliseconds = new List<double>(rows.Count);
        var outputs = Timed($"validate {variant.Name}", rows, context, row =>
        {
            var output = npu.Run(Inputs(row), context.Cancellation)[0];
            milliseconds.Add(npu.LastRun.TotalMilliseconds);
            return ModelOutput.Read(output, build.Model.Task, row.Tokens.AttentionMask);
        });
        return (outputs, new Timings(npu.Simulated, npu.SdkVersion, Latency.Figures(milliseconds)));
    }

    private static List<float[]> Timed(string activity, IReadOnlyList<Row> rows, StageContext context, Func<Row, float[]> score)
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
