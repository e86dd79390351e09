using System.Text.Json.Serialization;
using ModelPipeline.Calibration;
using ModelPipeline.Core;
using ModelPipeline.Inspection;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Stages;

/// <summary>What preparing did to a model: content of prepare.json.</summary>
/// <param name="Opset">Version of the standard operator set.</param>
/// <param name="Producer">What exported the model.</param>
/// <param name="Inputs">After pinning.</param>
/// <param name="Outputs">After pinning.</param>
/// <param name="Passes">In the order they ran.</param>
public sealed record PreparationReport(int Opset, string Producer, IReadOnlyList<string> Inputs, IReadOnlyList<string> Outputs, IReadOnlyList<PassReport> Passes)
{
    /// <summary>What was found out about the source before.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ModelInspection? Inspection { get; init; }
}

/// <summary>One pass's doing and the proof that it is harmless.</summary>
/// <param name="Name">As in models.yaml.</param>
/// <param name="NodesBefore">Nodes it was given.</param>
/// <param name="NodesAfter">Nodes it left.</param>
/// <param name="Matches">What it found.</param>
/// <param name="ScoreShift">Largest change of any fp32 score on the proof samples; null if it found nothing.</param>
/// <param name="Applied">False if the shift was too large and the model was left as it was.</param>
public sealed record PassReport(string Name, int NodesBefore, int NodesAfter, IReadOnlyList<string> Matches, double? ScoreShift, bool Applied);

/// <summary>Source to static graph: shapes pinned, the variant's rewrites applied and each proved harmless.</summary>
public static class PrepareStage
{
    /// <summary>A rewrite that moves any fp32 score by this much is rejected.</summary>
    public const double LargestShift = 1e-3;
    /// <summary>Samples on which a rewrite is proved.</summary>
    private const int ProofSamples = 8;
    private const string ModelFile = "model.onnx";

    /// <summary>Prepares one shape for one variant, or all for one with dynamic input, whose axes stay open. Variants with the same rewrites share the result.</summary>
    /// <returns>Path of the prepared model.</returns>
    public static async Task<string> RunAsync(ModelBuild build, VariantSpec variant, InputShape shape, StageContext context)
    {
        if (variant.DynamicInput)
            shape = build.LargestShape;
        var folder = build.PreparedFolder(shape, variant);
        var output = Path.Combine(folder, ModelFile);
        var record = Path.Combine(folder, "prepare" + StageRecord.Extension);
        var source = await build.SourceAsync(context).ConfigureAwait(false);
        var inputs = await build.TextInputsAsync(build.Model.Calibration.Corpus, context).ConfigureAwait(false);
        inputs["model"] = source.Sha256;
        var key = StageRecord.KeyOf("prepare", ModelBuild.Version, new { shape = shape.ToString(), variant.DynamicInput, variant.Rewrites, source.Inspection, build.CalibrationSettings, build.TextSettings }, inputs);
        if (build.IsUpToDate(record, key, context))
            return output;

        var model = OnnxModel.Load(source.Path);
        var rows = CalibrationSet.Create(
            build.Model, build.Corpus(build.Model.Calibration.Corpus), await build.TokenizerAsync(context).ConfigureAwait(false),
            shape.Sequence, [.. model.Graph.Inputs.Select(input => input.Name)], context.Cancellation);
        var (prepared, report) = Prepare(variant.DynamicInput ? model : PinShapes.Apply(model, shape), shape, [.. variant.Rewrites.Select(Pass.Named)], source.Answer, rows.Samples, context);
        Directory.CreateDirectory(folder);
        prepared.Save(output);
        var reportPath = Path.Combine(folder, "prepare.json");
        AtomicFile.WriteText(reportPath, ReportJson.Text(report with { Inspection = source.Inspection }));
        build.Finish(record, key, [output, reportPath], context);
        return output;
    }

    /// <summary>Applies the passes to a pinned or dynamic model, each only if it keeps every score on the first of <paramref name="samples"/>.</summary>
    internal static (OnnxModel Model, PreparationReport Report) Prepare(
        OnnxModel model, InputShape shape, IReadOnlyList<Pass> passes, Answer answer, IReadOnlyList<IReadOnlyList<long[]>> samples, StageContext context)
    {
        var proof = samples.Take(ProofSamples).ToList();
        var scores = Scores(model);
        List<PassReport> reports = [];
        foreach (var (index, pass) in passes.Index())
        {
            context.Cancellation.ThrowIfCancellationRequested();
            context.Progress.Report(new StageProgress($"prepare {shape}", index, passes.Count));
            var before = model.Graph.Nodes.Length;
            var rewritten = pass.Apply(model, samples);
            if (rewritten.Matches.Count == 0)
            {
                reports.Add(new PassReport(pass.Name, before, before, [], null, true));
                continue;
            }
            var moved = Scores(rewritten.Model);
            var shift = scores.Zip(moved, (was, now) => was.Zip(now, (a, b) => Math.Abs((double)a - b)).Max()).Max();
            var harmless = shift < LargestShift;
            reports.Add(new PassReport(pass.Name, before, rewritten.Model.Graph.Nodes.Length, rewritten.Matches, shift, harmless));
            if (harmless)
                (model, scores) = (rewritten.Model, moved);
            else
                context.Warning($"rewrite {pass.Name} moves fp32 scores by {shift:0.#####} (allowed: {LargestShift}); left out");
        }
        context.Progress.Report(new StageProgress($"prepare {shape}", passes.Count, passes.Count));
        var graph = model.Graph;
        return (model, new PreparationReport(model.Opset, model.Producer, [.. graph.Inputs.Select(input => input.ToString())], [.. graph.Outputs.Select(output => output.ToString())], reports));

        List<float[]> Scores(OnnxModel candidate)
        {
            using var scorer = new ReferenceScorer(candidate, answer);
            return [.. proof.Select(sample => scorer.Score(sample, context.Cancellation))];
        }
    }
}
