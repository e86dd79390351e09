using ModelPipeline.Chips;
using ModelPipeline.Core;
using ModelPipeline.Devices;
using ModelPipeline.Latency;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Planning;
using ModelPipeline.Tasks;
using ModelPipeline.Text;

namespace ModelPipeline.Stages;

/// <summary>Latency of fp32 and of every variant at every shape, in one session on the validation's device.</summary>
public static class MeasureStage
{
    public const string FileName = "latency.json";

    /// <summary>Times from what is no board are shown and decide nothing: a few requests are enough.</summary>
    private const int RequestsOffBoard = 4;

    /// <summary>Measures and writes latency.json, or reads it if artifacts, device and settings are those it was measured with.</summary>
    public static async Task<LatencyReport> RunAsync(ModelBuild build, StageContext context)
    {
        var model = build.Model;
        var folder = Path.Combine(build.Folder, "latency");
        var (output, record) = (Path.Combine(folder, FileName), Path.Combine(folder, "measure" + StageRecord.Extension));
        var source = await build.SourceAsync(context).ConfigureAwait(false);
        var artifacts = new List<(VariantSpec Variant, InputShape Shape, string Path)>();
        foreach (var (variant, shape) in build.Artifacts)
            artifacts.Add((variant, shape, await QuantizeStage.RunAsync(build, variant, shape, context).ConfigureAwait(false)));

        var device = build.Manifest.Devices[model.Validation.Device];
        var inputs = await build.TextInputsAsync(model.Validation.Corpus, context).ConfigureAwait(false);
        inputs["model"] = source.Sha256;
        foreach (var path in artifacts.Select(artifact => artifact.Path).Distinct())
            inputs[Path.GetFileName(path)] = FileDigest.Of(path, context.Cancellation).Sha256;
        var key = StageRecord.KeyOf(
            "measure",
            StageVersions.Measure,
            new
            {
                Device = device with
                {
                    Limits = new(),
                },
                Latency = model.Latency with
                {
                    Again = false,
                },
                model.Validation,
                Artifacts = artifacts.Select(artifact => new
                {
                    Variant = QuantizeStage.SettingsOf(artifact.Variant),
                    Shape = artifact.Shape.ToString(),
                }),
                build.TextSettings,
            },
            inputs
        );
        if (build.IsUpToDate(record, key, context, model.Latency.Again || build.Restored is not null))
            return ReportJson.Read<LatencyReport>(output);

        var report = (await MeasureAsync(build, source.Path, artifacts, context).ConfigureAwait(false)).Concluded();
        var work = new Dictionary<AttentionForm, ModelWork>();
        if (report.OnDevice || report.Artifacts.Any(artifact => artifact.Operators is not null))
        {
            foreach (var form in model.Variants.Select(variant => variant.Attention).Distinct())
                work[form] = await Estimates.WorkAsync(build, form, context).ConfigureAwait(false);
            report = Estimates.Expecting(build, report, work);
        }
        Directory.CreateDirectory(folder);
        ReportJson.Write(output, report);
        if (report.OnDevice)
            Estimates.Learn(build, report, work, context);
        build.Finish(record, key, [output], context);
        return report;
    }

    private static async Task<LatencyReport> MeasureAsync(
        ModelBuild build,
        string source,
        List<(VariantSpec Variant, InputShape Shape, string Path)> artifacts,
        StageContext context
    )
    {
        var model = build.Model;
        var spec = build.Manifest.Devices[model.Validation.Device];
        var order = ScoringOrder.Of(model, build.Corpus(model.Validation.Corpus));
        var tokenizer = await build.TokenizerAsync(context).ConfigureAwait(false);
        await using var device = await Device
            .OpenAsync(spec, warning: context.Warning, cancellation: context.Cancellation)
            .ConfigureAwait(false);
        string[] notes = (await device.FixFrequencyAsync(context.Cancellation).ConfigureAwait(false)).Note is { Length: > 0 } note
            ? [note]
            : [];
        foreach (var each in notes)
            context.Warning($"latency on {spec.Name}: {each}");
        var measurement = new LatencyMeasurement(device, model.Latency);
        var requests = model.Shapes.ToDictionary(
            shape => shape,
            shape => Requests(shape, spec.IsBoard ? model.Latency.Requests : Math.Min(RequestsOffBoard, model.Latency.Requests))
        );
        var reference = new List<ArtifactLatency>();
        foreach (var shape in model.Shapes)
            reference.Add(
                await RunAsync(ArtifactLatency.Of("fp32", Backend.Onnx, shape, source), source, [CorePlan.Sequence], shape)
                    .ConfigureAwait(false)
            );
        var measured = new List<ArtifactLatency>();
        foreach (var (variant, shape, path) in artifacts)
            measured.Add(
                await RunAsync(
                        ArtifactLatency.Of(variant.Name, variant.Backend, shape, path),
                        path,
                        variant.Backend == Backend.Onnx ? [CorePlan.Sequence] : CorePlan.Of(Chip.Named(variant.Target)),
                        shape
                    )
                    .ConfigureAwait(false)
            );
        return new LatencyReport
        {
            Model = model.Name,
            Version = model.Version,
            Device = spec.Name,
            DeviceKind = spec.Kind,
            Machine = device.Facts,
            Notes = notes,
            Passages = model.Latency.Passages,
            Lengths = new TokenLengths([.. order.Texts.Select(text => ScoringOrder.Count(tokenizer, text))]),
            Reference = reference,
            Artifacts = measured,
        };

        IReadOnlyList<IReadOnlyList<TokenizedInput>> Requests(InputShape shape, int count) =>
            [
                .. Enumerable
                    .Range(0, count)
                    .Select(request =>
                        (IReadOnlyList<TokenizedInput>)
                            [
                                .. Enumerable
                                    .Range(request * model.Latency.Passages, model.Latency.Passages)
                                    .Select(index => order.Encode(tokenizer, order.Texts[index % order.Texts.Count], shape.Sequence)),
                            ]
                    ),
            ];

        async Task<ArtifactLatency> RunAsync(ArtifactLatency subject, string path, IReadOnlyList<CorePlan> plans, InputShape shape)
        {
            if (subject.Backend == Backend.Rknn && !spec.IsBoard)
                return subject with { NotMeasured = Gate.NeedsDevice };
            if (subject.Backend == Backend.Simulator && spec.IsBoard)
                return subject with { NotMeasured = "not measured: what stands in for an .rknn file runs on no board" };
            try
            {
                var latency = await measurement
                    .RunAsync(subject, path, plans, requests[shape], context.Progress, context.Cancellation)
                    .ConfigureAwait(false);
                foreach (var doubt in latency.OnDevice ? latency.Doubts : [])
                    context.Warning($"latency of {subject.Variant} at {shape} on {spec.Name}: {doubt}");
                return model.Latency.Profile && subject.Backend != Backend.Onnx
                    ? await ProfileAsync(latency, path, requests[shape][0]).ConfigureAwait(false)
                    : latency;
            }
            catch (PipelineException e) when (subject.Backend == Backend.Onnx)
            {
                // A board need not have ONNX Runtime; the comparison then lacks the CPU.
                context.Warning($"latency of {subject.Variant} at {shape} on {spec.Name} not measured: {e.Message}");
                return subject with { NotMeasured = $"not measured: {e.Message}" };
            }
        }

        async Task<ArtifactLatency> ProfileAsync(ArtifactLatency latency, string path, IReadOnlyList<TokenizedInput> passages)
        {
            var name = $"operators of {latency.Variant} at {latency.Shape} on {spec.Name}";
            try
            {
                var profile = await measurement.ProfileAsync(latency, path, passages, context.Cancellation).ConfigureAwait(false);
                if (profile.Unread > 0)
                    context.Warning($"{name}: {profile.Unread} lines of the runtime's table of layers could not be read");
                return latency with { Operators = profile };
            }
            catch (PipelineException e)
            {
                // Older runtimes keep no such table; what was timed stands without it.
                context.Warning($"{name} not timed: {e.Message}");
                return latency;
            }
        }
    }
}
