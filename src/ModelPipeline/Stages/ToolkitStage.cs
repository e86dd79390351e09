using System.Runtime.InteropServices;
using ModelPipeline.Calibration;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Onnx;
using ModelPipeline.Packaging;
using ModelPipeline.Text;
using ModelPipeline.Toolkit;
using ModelPipeline.Validation;

namespace ModelPipeline.Stages;

/// <summary>What rknn-toolkit2 does for quantizing and validating.</summary>
public static class ToolkitStage
{
    /// <summary>Added to the time limit of a conversion for each sample that the toolkit's simulator runs.</summary>
    private static readonly TimeSpan PerSample = TimeSpan.FromSeconds(10);

    private const int WorstTensors = 12;

    /// <summary>Measurements that are kept for estimates.</summary>
    private const int MostMeasurements = 64;

    /// <summary>Builds one .rknn file, and beside it compile.json and toolkit.json.</summary>
    /// <returns>Paths of the two.</returns>
    internal static async Task<IReadOnlyList<string>> ConvertAsync(ModelBuild build, VariantSpec variant, NpuInputs inputs, string artifact, StageContext context)
    {
        var made = await ToolkitConversion.RunAsync(
            Request(build, variant, inputs, artifact) with { Analyse = variant.AccuracyAnalysis }, context.Progress, context.Cancellation).ConfigureAwait(false);
        var int8 = made.File.Outputs.Where(output => output.IsInt8).Select(output => output.Shape.Name).ToList();
        foreach (var output in int8)
            context.Warning($"{Path.GetFileName(artifact)}: {output} is int8 and has at most 256 values, so passages may tie; 'fp16: [head]' keeps it finer");
        var suggested = made.Analysis is null ? [] : HybridPlan.Suggest(made.Analysis, OnnxModel.Load(inputs.Prepared).Graph);
        var (compile, notes) = (Beside(artifact, "compile.json"), Beside(artifact, "toolkit.json"));
        ReportJson.Write(compile, made.Compile);
        ReportJson.Write(notes, new ToolkitNotes(made.Hybrid, int8, made.Analysis?.Worst(WorstTensors) ?? [], suggested));
        return [compile, notes];
    }

    /// <summary>What the toolkit's simulator says about each row. It runs only what was built in the same process, so the build is repeated for it.</summary>
    /// <param name="build">The model.</param>
    /// <param name="variant">Of the model.</param>
    /// <param name="inputs">As the artifact was built from.</param>
    /// <param name="artifact">To compare the repeated build with.</param>
    /// <param name="rows">What to score, in order.</param>
    /// <param name="context">Says if the toolkit did not make the same bytes again.</param>
    internal static async Task<List<float[]>> ScoreAsync(
        ModelBuild build, VariantSpec variant, NpuInputs inputs, string artifact, IReadOnlyList<TokenizedInput> rows, StageContext context)
    {
        var folder = Directory.CreateDirectory($"{artifact}.{Environment.ProcessId}-simulator{AtomicFile.TemporarySuffix}").FullName;
        try
        {
            var names = OnnxModel.Load(inputs.Prepared).Graph.Inputs.Select(input => input.Name).ToList();
            new CalibrationSet(names, [.. rows.Select(row => (IReadOnlyList<long[]>)[.. names.Select(name => row[name])])]).Write(Path.Combine(folder, "samples"), context.Progress, context.Cancellation);
            var request = Request(build, variant, inputs, Path.Combine(folder, Path.GetFileName(artifact)));
            var run = new SimulatorRun(Path.Combine(folder, "samples", CalibrationSet.DatasetFile), Path.Combine(folder, "outputs"));
            await ToolkitConversion.RunAsync(request with
            {
                Simulate = run,
                Limits = request.Limits with { Time = request.Limits.Time + (rows.Count * PerSample) },
            }, context.Progress, context.Cancellation).ConfigureAwait(false);
            if (FileDigest.Of(request.Artifact, context.Cancellation) != FileDigest.Of(artifact, context.Cancellation))
                context.Warning($"{Path.GetFileName(artifact)}: the toolkit made other bytes from the same inputs when it built the file again for its simulator");
            return Read(run.Outputs, rows, build.Model.Task);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>The outputs that the toolkit's simulator wrote, equally many numbers for each row.</summary>
    private static List<float[]> Read(string path, IReadOnlyList<TokenizedInput> rows, ModelTask task)
    {
        using var file = File.OpenRead(path);
        if (file.Length == 0 || file.Length % (rows.Count * sizeof(float)) != 0)
            throw new PipelineException($"The toolkit's simulator wrote {file.Length} bytes of outputs for {rows.Count} samples: they do not belong together. Look at its log.");
        var output = new float[file.Length / sizeof(float) / rows.Count];
        var scores = new List<float[]>(rows.Count);
        foreach (var row in rows)
        {
            file.ReadExactly(MemoryMarshal.AsBytes(output.AsSpan()));
            scores.Add(ModelOutput.Read(output, task, row.AttentionMask));
        }
        return scores;
    }

    /// <summary>The report with the toolkit's findings, its compile figures and the gates on them; as it is for artifacts that the toolkit did not make.</summary>
    internal static ValidationReport WithFindings(ValidationReport report, VariantSpec variant, string artifact)
    {
        if (variant.Backend != Backend.Rknn)
            return report;
        var summary = CompileSummary.Of(Compile(artifact));
        return report with
        {
            Figures = Figure.Set(report.Figures.Concat(summary.Figures).Select(figure => KeyValuePair.Create(figure.Key, (double?)figure.Value))),
            Gates = [.. report.Gates, .. summary.Judge(variant.Compile)],
            Toolkit = new ToolkitFindings(summary, ReportJson.Read<ToolkitNotes>(Beside(artifact, "toolkit.json"))),
        };
    }

    /// <summary>The report of an artifact that the toolkit made with another's scores beside its own; others as they are.</summary>
    internal static ValidationReport WithOpinion(ValidationReport report, string source, ValidationReport other) =>
        report.Toolkit is { } findings
            ? report with { Toolkit = findings with { Opinions = [.. findings.Opinions, report.OpinionOf(source, other)] } }
            : report;

    /// <summary>Reports with what they only tell together: estimated latencies, what our emulation says of the same build, and what the last release had.</summary>
    /// <param name="build">Of the model.</param>
    /// <param name="reports">Of its variants.</param>
    /// <param name="release">Manifest of the last release's package; null if none is known.</param>
    public static IReadOnlyList<ValidationReport> Compare(ModelBuild build, IReadOnlyList<ValidationReport> reports, PackageManifest? release)
    {
        var compiled = Compiled(build, reports);
        List<MeasuredLatency> measured =
        [
            .. from pair in build.Model.Measured
               let match = compiled.FirstOrDefault(each => each.Report.Subject.Precision == pair.Precision && each.Report.Subject.Shape == pair.Shape.ToString())
               where match is not null
               select new MeasuredLatency("models.yaml", match.Target, match.Report.Subject.ArtifactDigest.Sha256, match.Work, pair.Ms),
            .. OnDevice(build, compiled),
        ];
        return [.. reports.Select(report => report.Toolkit is null ? report : Compared(report))];

        ValidationReport Compared(ValidationReport report)
        {
            var estimate = compiled.Find(each => each.Report == report) is { IsMeasured: false } own ? LatencyEstimate.Of(own.Work, [.. measured.Where(pair => pair.Target == own.Target)]) : null;
            var before = release?.Variants.FirstOrDefault(variant => variant.Subject.Variant == report.Subject.Variant && variant.Subject.Shape == report.Subject.Shape)?.Toolkit;
            report = reports.Where(other => other.Subject.Backend == Backend.Simulator && other.Subject.Precision == report.Subject.Precision && other.Subject.Shape == report.Subject.Shape)
                .Aggregate(report, (own, other) => WithOpinion(own, $"our emulation ({other.Subject.Variant})", other));
            return report with
            {
                Toolkit = report.Toolkit! with
                {
                    Estimate = estimate,
                    Release = before is null ? null : new ReleaseComparison(release!.Version, CompileChange.Between(before.Compile, report.Toolkit.Compile)),
                },
            };
        }
    }

    /// <summary>A validated artifact of the toolkit with a whole compile report.</summary>
    private sealed record CompiledArtifact(ValidationReport Report, string Target, CompiledWork Work)
    {
        public bool IsMeasured => Report.Subject.OnDevice && Report.Figures.GetValueOrDefault(Metric.LatencyP50Ms) > 0;
    }

    private static List<CompiledArtifact> Compiled(ModelBuild build, IReadOnlyList<ValidationReport> reports) =>
    [
        .. from report in reports
           where report.Toolkit is not null
           let artifact = build.Artifacts.First(each => each.Variant.Name == report.Subject.Variant && each.Shape.ToString() == report.Subject.Shape)
           let work = CompiledWork.Of(Compile(build.Artifact(artifact.Variant, artifact.Shape)))
           where work is not null
           select new CompiledArtifact(report, artifact.Variant.Target, work),
    ];

    /// <summary>What this run and those before it measured on devices, the last time for each file. It is kept, so that a board refines the estimates of what is built later without one.</summary>
    private static IReadOnlyList<MeasuredLatency> OnDevice(ModelBuild build, IEnumerable<CompiledArtifact> compiled)
    {
        var path = Path.Combine(build.Folder, "latency", "on-device.json");
        IReadOnlyList<MeasuredLatency> kept = File.Exists(path) ? ReportJson.Read<IReadOnlyList<MeasuredLatency>>(path) : [];
        MeasuredLatency[] now =
        [
            .. compiled.Where(each => each.IsMeasured).Select(each => new MeasuredLatency(
                each.Report.Subject.Device, each.Target, each.Report.Subject.ArtifactDigest.Sha256, each.Work, each.Report.Figures[Metric.LatencyP50Ms])),
        ];
        if (now.Length == 0)
            return kept;
        MeasuredLatency[] all = [.. kept.Where(old => !now.Any(each => (each.Source, each.Artifact) == (old.Source, old.Artifact))), .. now];
        all = all[^Math.Min(all.Length, MostMeasurements)..];
        ReportJson.Write<IReadOnlyList<MeasuredLatency>>(path, all);
        return all;
    }

    /// <summary>The compile report of an artifact.</summary>
    internal static CompileReport Compile(string artifact) => ReportJson.Read<CompileReport>(CompilePath(artifact));

    internal static string CompilePath(string artifact) => Beside(artifact, "compile.json");

    private static string Beside(string artifact, string name) => Path.Combine(Path.GetDirectoryName(artifact)!, name);

    private static ToolkitRequest Request(ModelBuild build, VariantSpec variant, NpuInputs inputs, string artifact) => new()
    {
        Environment = ToolkitEnvironment.Find(variant.Toolkit, build.Cache, Environment.GetEnvironmentVariable),
        Source = inputs.Prepared,
        Artifact = artifact,
        Variant = variant,
        Dataset = Path.Combine(inputs.Calibration, CalibrationSet.DatasetFile),
        CustomString = inputs.Provenance.ToString(),
        Shapes = variant.DynamicInput ? [.. build.Model.Shapes.OrderBy(shape => shape.Batch * shape.Sequence)] : [],
        Limits = new() { KeepScratch = build.KeepScratch },
    };
}
