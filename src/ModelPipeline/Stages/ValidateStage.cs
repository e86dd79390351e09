using ModelPipeline.Core;
using ModelPipeline.Decision;
using ModelPipeline.Devices;
using ModelPipeline.Latency;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Packaging;
using ModelPipeline.Reports;
using ModelPipeline.Rewrites;
using ModelPipeline.Searching;
using ModelPipeline.Text;
using ModelPipeline.Validation;

namespace ModelPipeline.Stages;

/// <summary>Which scores are kept.</summary>
/// <param name="Path">Of their file, without its ending.</param>
/// <param name="Stage">Name of what computes them.</param>
/// <param name="ModelSha256">Of the scored file.</param>
/// <param name="Shape">At which it is scored.</param>
internal sealed record ScoreKey(string Path, string Stage, string ModelSha256, InputShape Shape)
{
    /// <summary>On what it is scored; null for this machine's ONNX Runtime.</summary>
    public DeviceSpec? Device { get; init; }

    /// <summary>Scores of another run do not count: what is asked is whether this one has the same.</summary>
    public bool Again { get; init; }
}

/// <summary>Scores of every candidate pair against fp32, figures, gates and reports.</summary>
public static class ValidateStage
{
    /// <summary>Validates one variant at one shape and writes validation.json, whatever the gates say. Scores are kept: another limit needs
    /// no new run.</summary>
    public static async Task<ValidationReport> RunAsync(ModelBuild build, VariantSpec variant, InputShape shape, StageContext context)
    {
        var (model, spec) = (build.Model, build.Model.Validation);
        var artifact = await QuantizeStage.RunAsync(build, variant, shape, context).ConfigureAwait(false);
        var source = await build.SourceAsync(context).ConfigureAwait(false);
        var texts = await ScoredTexts.OfAsync(build, shape, context).ConfigureAwait(false);
        var order = texts.Order;
        var reference = await ReferenceAsync(build, shape, texts, context).ConfigureAwait(false);
        var baselines = await BaselineStage.RunAsync(build, shape, order, reference, context).ConfigureAwait(false);
        if (variant == model.Variants[0] && shape != build.LongestShape)
            BaselineStage.Tell(model, shape, baselines, context);
        var device = build.DeviceOf(variant);
        var simulated = ToolkitBuild.IsScored(build, variant)
            ? await new ToolkitBuild(build, variant, shape, context).ScoresAsync(artifact).ConfigureAwait(false)
            : null;
        var subject = new ValidationSubject
        {
            Model = model.Name,
            Version = model.Version,
            Task = build.Task,
            Variant = variant.Name,
            Backend = variant.Backend,
            Precision = variant.Precision,
            Shape = shape.ToString(),
            Artifact = Path.GetFileName(artifact),
            ArtifactDigest = FileDigest.Of(artifact, context.Cancellation),
            ReferenceDigest = new FileDigest(new FileInfo(source.Path).Length, source.Sha256),
            Device = device.Name,
            DeviceKind = device.Kind,
            Corpus = spec.Corpus,
        };
        // Without a board the toolkit's own simulator stands in for it.
        var scores = subject.InToolkit ? simulated! : await ScoresAsync(build, variant, shape, texts, context).ConfigureAwait(false);
        var report = ToolkitStage.WithFindings(Validated(scores), variant, ToolkitStage.Findings(build, variant, shape));
        if (simulated is not null && !subject.InToolkit)
            report = ToolkitStage.WithOpinion(report, "the toolkit's simulator", Validated(simulated));
        ReportJson.Write(ReportPath(build, variant, shape), report);
        return report;

        ValidationReport Validated(IReadOnlyList<float[]> outputs) =>
            ValidationReport.Of(subject, variant.Gates, order, reference, outputs) with
            {
                Baselines = baselines,
            };
    }

    /// <summary>Writes validation.json of each once more, with all gates that were judged since.</summary>
    public static void Write(ModelBuild build, IReadOnlyList<ValidationReport> reports)
    {
        foreach (var (report, (variant, shape)) in reports.Select(report => (report, Of(build, report))))
            ReportJson.Write(ReportPath(build, variant, shape), report);
    }

    private static (VariantSpec Variant, InputShape Shape) Of(ModelBuild build, ValidationReport report) =>
        build.Artifacts.First(each => each.Variant.Name == report.Subject.Variant && each.Shape.ToString() == report.Subject.Shape);

    /// <summary>Judges all gates by what was measured besides the scores.</summary>
    public static IReadOnlyList<ValidationReport> Judge(ModelBuild build, IReadOnlyList<ValidationReport> reports, LatencyReport latency) =>
        [
            .. reports.Select(report =>
            {
                var (variant, _) = Of(build, report);
                if (latency.Of(variant.Name, report.Subject.Shape) is not { Measured.Count: > 0 } measured)
                    return report;
                return report.Timed(
                    variant.Gates,
                    measured.Measured,
                    latency.ReferenceAt(report.Subject.Shape)?.Measured ?? new Dictionary<string, double>()
                );
            }),
        ];

    /// <summary>One page for all validated variants of a model.</summary>
    /// <param name="build">Of the model.</param>
    /// <param name="reports">Of all its variants.</param>
    /// <param name="latency">Of the same.</param>
    /// <param name="routings">Of the same.</param>
    /// <returns>Path of report.html, and the paragraph that it opens with.</returns>
    public static (string Path, string Advice) WriteReport(
        ModelBuild build,
        IReadOnlyList<ValidationReport> reports,
        LatencyReport latency,
        IReadOnlyList<VariantRouting> routings
    )
    {
        var path = Path.Combine(build.Folder, "validation", "report.html");
        var plan = PlanStage.Kept(build);
        var advice = ProductionDecision.AdviceOn(build.Model, reports, routings, PlanAdvice.Of(plan));
        var context = new ReportContext
        {
            Advice = advice,
            Latency = new LatencySection(latency, routings),
            Plan = plan is null ? null : new PlanSection(plan),
            Searches =
            [
                .. build
                    .Model.Variants.Select(variant => SearchStage.Kept(build, variant))
                    .OfType<SearchReport>()
                    .Select(each => new SearchSection(each)),
            ],
            Corpus = build.Corpus(build.Model.Validation.Corpus),
            Rewrites = Rewrites(build),
            Provenance = Provenance(build, reports),
        };
        AtomicFile.WriteText(path, HtmlReport.Render(reports, context));
        return (path, advice);
    }

    /// <summary>What prepare.json says of each graph that variants were built from.</summary>
    private static IReadOnlyList<AppliedRewrite> Rewrites(ModelBuild build) =>
        [
            .. build
                .Artifacts.Where(each => PrepareStage.IsFor(each.Variant))
                .GroupBy(each => build.PreparedFolder(each.Shape, each.Variant))
                .Select(graph => (Path: Path.Combine(graph.Key, PrepareStage.ReportFile), Of: graph.ToList()))
                .Where(graph => File.Exists(graph.Path))
                .SelectMany(graph =>
                {
                    var variants = string.Join(", ", graph.Of.Select(each => each.Variant.Name).Distinct());
                    var name = build.Model.Shapes.Count == 1 ? variants : $"{variants} at {graph.Of[0].Shape}";
                    return ReportJson
                        .Read<PreparationReport>(graph.Path)
                        .Passes.Select(pass => new AppliedRewrite(
                            name,
                            pass.Name,
                            pass.Matches.Count,
                            pass.ScoreShift,
                            (pass.Applied, pass.Matches.Count) switch
                            {
                                (false, _) => pass.ScoreShift is null ? $"left out: {pass.Skipped}" : "left out: it moves fp32",
                                (true, 0) => pass.Skipped ?? "nothing to do",
                                (true, _) => pass.Skipped is null ? "applied" : $"applied; {pass.Skipped}",
                            }
                        ));
                }),
        ];

    private static IReadOnlyList<KeyValuePair<string, string>> Provenance(ModelBuild build, IReadOnlyList<ValidationReport> reports) =>
        [
            new("Source", $"{PackageManifest.OriginOf(build.Model.Source)}, sha256 {reports[0].Subject.ReferenceDigest.Sha256}"),
            new("Licence", build.Model.Licence ?? "not stated"),
            .. reports
                .Select(report => report.Subject)
                .DistinctBy(subject => subject.Artifact)
                .Select(subject => new KeyValuePair<string, string>(subject.Artifact, $"sha256 {subject.ArtifactDigest.Sha256}")),
            new("Corpus", reports[0].Subject.Corpus),
            new("ModelPipeline", PipelineVersion.Current),
        ];

    private static string ReportPath(ModelBuild build, VariantSpec variant, InputShape shape) =>
        Path.Combine(build.ValidationFolder(variant, shape), "validation.json");

    /// <summary>fp32 outputs of the source model at this shape, before any rewrite; the same for all variants.</summary>
    internal static async Task<List<float[]>> ReferenceAsync(ModelBuild build, InputShape shape, ScoredTexts texts, StageContext context)
    {
        var source = await build.SourceAsync(context).ConfigureAwait(false);
        return await KeptAsync(
                build,
                new ScoreKey(Path.Combine(build.Folder, "validation", $"reference-{shape}"), "reference", source.Sha256, shape),
                context,
                () =>
                    Task.Run(
                        () =>
                        {
                            var model = PinShapes.Apply(OnnxModel.Load(source.Path), shape);
                            using var scorer = new ReferenceScorer(model, source.Answer);
                            return texts.Finite("fp32", Scored("score fp32", texts.Rows.Value, scorer, context));
                        },
                        context.Cancellation
                    )
            )
            .ConfigureAwait(false);
    }

    /// <summary>Outputs of the artifact on the validation's device.</summary>
    private static async Task<List<float[]>> ScoresAsync(
        ModelBuild build,
        VariantSpec variant,
        InputShape shape,
        ScoredTexts texts,
        StageContext context
    )
    {
        var (spec, artifact) = (build.DeviceOf(variant), build.Artifact(variant, shape));
        var answer = (await build.SourceAsync(context).ConfigureAwait(false)).Answer;
        var provenance =
            variant.Backend == Backend.Onnx || build.Restored is not null
                ? null
                : (await QuantizeStage.InputsAsync(build, variant, shape, context).ConfigureAwait(false)).Provenance;
        return await KeptAsync<List<float[]>>(
                build,
                new ScoreKey(
                    Path.Combine(build.ValidationFolder(variant, shape), "scores"),
                    $"score on {spec.Name}",
                    FileDigest.Of(artifact, context.Cancellation).Sha256,
                    shape
                )
                {
                    Device = spec with { Limits = new() },
                    Again = build.Restored is not null,
                },
                context,
                async () =>
                {
                    await using var device = await Device
                        .OpenAsync(spec, warning: context.Warning, cancellation: context.Cancellation)
                        .ConfigureAwait(false);
                    var loaded = await device
                        .LoadAsync(variant.Backend, artifact, shape.Batch, context.Progress, context.Cancellation)
                        .ConfigureAwait(false);
                    provenance?.Require(artifact, loaded.CustomString);
                    var run = await device
                        .RunAsync(
                            texts.Rows.Value,
                            CorePlan.Sequence,
                            done => Report(context, $"validate {variant.Name}", done, texts.Rows.Value.Count),
                            context.Cancellation
                        )
                        .ConfigureAwait(false);
                    return texts.Finite(
                        $"{variant.Name} at {shape}",
                        [.. run.Passages.Zip(texts.Rows.Value, (passage, row) => answer.Read(passage.Outputs[0], row.AttentionMask))]
                    );
                }
            )
            .ConfigureAwait(false);
    }

    /// <summary>Scores from the key's file if they are of its model and these texts, else computed and kept there.</summary>
    internal static async Task<T> KeptAsync<T>(ModelBuild build, ScoreKey of, StageContext context, Func<Task<T>> score)
    {
        var path = of.Path;
        var inputs = await build.TextInputsAsync(build.Model.Validation.Corpus, context).ConfigureAwait(false);
        inputs["model"] = of.ModelSha256;
        var answer = (await build.SourceAsync(context).ConfigureAwait(false)).Answer;
        var key = StageRecord.KeyOf(
            of.Stage,
            StageVersions.Score,
            new
            {
                shape = of.Shape.ToString(),
                answer,
                of.Device,
                Validation = build.Model.Validation with
                {
                    Device = "",
                },
                build.TextSettings,
            },
            inputs
        );
        if (build.IsUpToDate(path + StageRecord.Extension, key, context, of.Again))
            return ReportJson.Read<T>(path + ".json");
        var scores = await score().ConfigureAwait(false);
        ReportJson.Write(path + ".json", scores);
        build.Finish(path + StageRecord.Extension, key, [path + ".json"], context);
        return scores;
    }

    internal static List<float[]> Scored(string activity, IReadOnlyList<TokenizedInput> rows, ReferenceScorer scorer, StageContext context)
    {
        var scores = new List<float[]>(rows.Count);
        foreach (var run in rows.Chunk(scorer.Batch))
        {
            context.Cancellation.ThrowIfCancellationRequested();
            scores.AddRange(scorer.Score(run, context.Cancellation));
            Report(context, activity, scores.Count, rows.Count);
        }
        return scores;
    }

    private static void Report(StageContext context, string activity, int done, int total)
    {
        if (done % 16 == 0 || done == total)
            context.Progress.Report(new StageProgress(activity, done, total));
    }
}
