using System.Text.Json.Serialization;
using ModelPipeline.Calibration;
using ModelPipeline.Core;
using ModelPipeline.Inspection;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Raising;
using ModelPipeline.Rewrites;

namespace ModelPipeline.Stages;

/// <summary>What preparing did to a model: content of prepare.json.</summary>
/// <param name="Opset">Version of the standard operator set.</param>
/// <param name="Producer">What exported the model.</param>
/// <param name="Inputs">After pinning.</param>
/// <param name="Outputs">After pinning.</param>
/// <param name="Passes">In the order they ran.</param>
public sealed record PreparationReport(
    int Opset,
    string Producer,
    IReadOnlyList<string> Inputs,
    IReadOnlyList<string> Outputs,
    IReadOnlyList<PassReport> Passes
)
{
    /// <summary>What was found out about the source before.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ModelInspection? Inspection { get; init; }

    /// <summary>What the toolkit will make of the prepared graph, as far as it is known before a build.</summary>
    public IReadOnlyList<Inspection.Finding> Foreseen { get; init; } = [];

    /// <summary>What was done to the source before.</summary>
    public IReadOnlyList<RaisingStep> Raised { get; init; } = [];
}

/// <summary>One pass's doing and the proof that it is harmless.</summary>
/// <param name="Name">As in models.yaml.</param>
/// <param name="NodesBefore">Nodes it was given.</param>
/// <param name="NodesAfter">Nodes it left.</param>
/// <param name="Matches">What it found.</param>
/// <param name="ScoreShift">Largest change of any fp32 output on random inputs with padding and on real text, relative to the largest
/// output or 1; null if it found nothing, or if what it made cannot be compared.</param>
/// <param name="Applied">False if the shift was too large, or could not be measured, and the model was left as it was.</param>
public sealed record PassReport(
    string Name,
    int NodesBefore,
    int NodesAfter,
    IReadOnlyList<string> Matches,
    double? ScoreShift,
    bool Applied
)
{
    /// <summary>Why nothing, or not all, was rewritten.</summary>
    public string? Skipped { get; init; }
}

/// <summary>Source to static graph: shapes pinned, the variant's rewrites applied and each proved harmless.</summary>
public static class PrepareStage
{
    public const string ReportFile = "prepare.json";

    private const string ModelFile = "model.onnx";

    /// <summary>Rewrites of the graph that a variant is quantized from. For the CPU those alone that make int8 better: what the toolkit
    /// needs besides serves nobody else.</summary>
    internal static IReadOnlyList<string> RewritesOf(VariantSpec variant) =>
        variant switch
        {
            { Backend: not Backend.Onnx } => variant.Rewrites,
            { Precision: Precision.W8A8 } => [.. variant.Rewrites.Where(Pass.IsStep)],
            _ => [],
        };

    /// <summary>Whether a variant is made from a graph of its own, not from the source itself.</summary>
    internal static bool IsFor(VariantSpec variant) => variant.Backend != Backend.Onnx || RewritesOf(variant).Count > 0;

    /// <summary>Prepares one shape for one variant, all for one with one file, whose lengths stay open, or any for the CPU. Variants with
    /// the same rewrites share the result.</summary>
    /// <returns>Path of the prepared model.</returns>
    public static async Task<string> RunAsync(ModelBuild build, VariantSpec variant, InputShape shape, StageContext context)
    {
        var (shared, forCpu) = (build.SharesFile(variant), variant.Backend == Backend.Onnx);
        if (shared || forCpu)
            shape = build.LargestShape;
        var folder = build.PreparedFolder(shape, variant);
        var output = Path.Combine(folder, ModelFile);
        var record = Path.Combine(folder, "prepare" + StageRecord.Extension);
        var source = await build.SourceAsync(context).ConfigureAwait(false);
        var inputs = await build.TextInputsAsync(build.Model.Calibration.Corpus, context).ConfigureAwait(false);
        inputs["model"] = source.Sha256;
        var key = StageRecord.KeyOf(
            "prepare",
            StageVersions.Prepare,
            new
            {
                shape = shape.ToString(),
                OneFile = shared,
                ForCpu = forCpu,
                Rewrites = RewritesOf(variant),
                source.Inspection,
                build.CalibrationSettings,
                build.TextSettings,
            },
            inputs
        );
        if (build.IsUpToDate(record, key, context))
            return output;

        var model = OnnxModel.Load(source.Path);
        var rows = CalibrationSet.Create(
            build.Model,
            build.Corpus(build.Model.Calibration.Corpus),
            await build.TokenizerAsync(context).ConfigureAwait(false),
            shape,
            [.. model.Graph.Inputs.Select(input => input.Name)],
            context.Cancellation
        );
        var (prepared, report) = Prepare(forCpu ? model : Pinned(), shape, [.. Pass.Sequence(RewritesOf(variant))], rows.Samples, context);
        Directory.CreateDirectory(folder);
        prepared.Save(output);
        var reportPath = Path.Combine(folder, ReportFile);
        var foreseen = forCpu ? [] : BuildRisks.Of(prepared, model);
        foreach (var finding in foreseen)
            (finding.IsWarning ? context.Warning : context.Info)(
                $"{build.Model.Name} {Path.GetFileName(Path.GetDirectoryName(folder))}: {finding.About}: {finding.Statement}"
            );
        ReportJson.Write(
            reportPath,
            report with
            {
                Foreseen = foreseen,
                Inspection = source.Inspection,
                Raised = RaiseStage.Report(build).Steps,
            }
        );
        build.Finish(record, key, new[] { output, output + ExternalData.Extension, reportPath }.Where(File.Exists), context);
        return output;

        OnnxModel Pinned() => shared ? PinShapes.Batch(model, shape.Batch) : PinShapes.Outputs(PinShapes.Apply(model, shape));
    }

    /// <summary>Applies the passes to a pinned or dynamic model, each only if it keeps every output (<see cref="Proof"/>).</summary>
    internal static (OnnxModel Model, PreparationReport Report) Prepare(
        OnnxModel model,
        InputShape shape,
        IReadOnlyList<Pass> passes,
        IReadOnlyList<IReadOnlyList<long[]>> samples,
        StageContext context
    )
    {
        var before = new Proof(model, samples);
        List<PassReport> reports = [];
        foreach (var (index, pass) in passes.Index())
        {
            context.Cancellation.ThrowIfCancellationRequested();
            context.Progress.Report(new StageProgress($"prepare {shape}", index, passes.Count));
            var nodes = model.Graph.Nodes.Length;
            var rewritten = pass.Apply(model, samples);
            foreach (var warning in rewritten.Warnings)
                context.Warning(warning);
            if (rewritten.Matches.Count == 0)
            {
                reports.Add(new PassReport(pass.Name, nodes, nodes, [], null, true) { Skipped = rewritten.Skipped });
                continue;
            }
            var shift = before.Shift(rewritten.Model, out var failure);
            var isExact = shift <= Proof.Exact;
            reports.Add(
                new PassReport(
                    pass.Name,
                    nodes,
                    rewritten.Model.Graph.Nodes.Length,
                    rewritten.Matches,
                    failure is null ? shift : null,
                    isExact
                )
                {
                    Skipped = failure ?? rewritten.Skipped,
                }
            );
            if (isExact)
                model = rewritten.Model;
            else
                context.Warning(
                    failure is null
                        ? $"rewrite {pass.Name} moves fp32 outputs by {shift:0.#######} of their size (allowed: {Proof.Exact}); left out"
                        : $"rewrite {pass.Name} is left out: {failure}"
                );
        }
        context.Progress.Report(new StageProgress($"prepare {shape}", passes.Count, passes.Count));
        var graph = model.Graph;
        return (
            model,
            new PreparationReport(
                model.Opset,
                model.Producer,
                [.. graph.Inputs.Select(input => input.ToString())],
                [.. graph.Outputs.Select(output => output.ToString())],
                reports
            )
        );
    }
}
