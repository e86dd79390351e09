using ModelPipeline.Calibration;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Packaging;
using ModelPipeline.Toolkit;
using ModelPipeline.Validation;

namespace ModelPipeline.Stages;

/// <summary>What rknn-toolkit2 does for quantizing and validating.</summary>
public static class ToolkitStage
{
    /// <summary>Added to the time limit of a conversion for each sample that the toolkit's simulator runs.</summary>
    private static readonly TimeSpan PerSample = TimeSpan.FromSeconds(10);

    private const int WorstTensors = 12;

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

    /// <summary>Outputs of the toolkit's simulator, which runs only what was built in the same process: the build is repeated for it.</summary>
    /// <param name="build">The model.</param>
    /// <param name="variant">Of a reranker.</param>
    /// <param name="inputs">As the artifact was built from.</param>
    /// <param name="artifact">To compare the repeated build with.</param>
    /// <param name="rows">What to score, in order.</param>
    /// <param name="context">Says if the toolkit did not make the same bytes again.</param>
    internal static async Task<List<float[]>> ScoreAsync(
        ModelBuild build, VariantSpec variant, NpuInputs inputs, string artifact, IReadOnlyList<IReadOnlyList<long[]>> rows, StageContext context)
    {
        var folder = Directory.CreateDirectory($"{artifact}.{Environment.ProcessId}-simulator{AtomicFile.TemporarySuffix}").FullName;
        try
        {
            var names = OnnxModel.Load(inputs.Prepared).Graph.Inputs.Select(input => input.Name).ToList();
            new CalibrationSet(names, rows).Write(Path.Combine(folder, "samples"), context.Progress, context.Cancellation);
            var request = Request(build, variant, inputs, Path.Combine(folder, Path.GetFileName(artifact)));
            var made = await ToolkitConversion.RunAsync(request with
            {
                Score = Path.Combine(folder, "samples", CalibrationSet.DatasetFile),
                Limits = request.Limits with { Time = request.Limits.Time + (rows.Count * PerSample) },
            }, context.Progress, context.Cancellation).ConfigureAwait(false);
            if (FileDigest.Of(request.Artifact, context.Cancellation) != FileDigest.Of(artifact, context.Cancellation))
                context.Warning($"{Path.GetFileName(artifact)}: the toolkit made other bytes from the same inputs when it built the file again for its simulator");
            return [.. made.Scores.Select(outputs => (float[])[.. outputs.Select(value => (float)value)])];
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
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
    internal static ValidationReport WithOpinion(ValidationReport report, string source, IReadOnlyDictionary<string, double> figures, IReadOnlyList<QueryFigures> queries) =>
        report.Toolkit is { } findings && report.Queries.Count == queries.Count && queries.Count > 0
            ? report with { Toolkit = findings with { Opinions = [.. findings.Opinions, Opinion.Of(source, report, figures, queries)] } }
            : report;

    /// <summary>Reports with what they only tell together: estimated latencies, what our emulation says of the same build, and what the last release had.</summary>
    /// <param name="build">Of the model.</param>
    /// <param name="reports">Of its variants.</param>
    /// <param name="release">Manifest of the last release's package; null if none is known.</param>
    public static IReadOnlyList<ValidationReport> Compare(ModelBuild build, IReadOnlyList<ValidationReport> reports, PackageManifest? release)
    {
        var compiled = reports.Where(report => report.Toolkit is not null).ToDictionary(report => report, report => Compile(ArtifactOf(build, report)));
        List<MeasuredLatency> measured =
        [
            .. from pair in build.Model.Measured
               let match = compiled.FirstOrDefault(each => each.Key.Subject.Precision == pair.Precision && each.Key.Subject.Shape == pair.Shape.ToString())
               where match.Key is not null
               select new MeasuredLatency(match.Value, pair.Ms),
            .. from each in compiled
               where each.Key.Subject.OnDevice && each.Key.Figures.ContainsKey(Metric.LatencyP50Ms)
               select new MeasuredLatency(each.Value, each.Key.Figures[Metric.LatencyP50Ms]),
        ];
        return [.. reports.Select(report => report.Toolkit is null ? report : Compared(report))];

        ValidationReport Compared(ValidationReport report)
        {
            report = reports.Where(other => other.Subject.Backend == Backend.Simulator && other.Subject.Precision == report.Subject.Precision && other.Subject.Shape == report.Subject.Shape)
                .Aggregate(report, (own, other) => WithOpinion(own, $"our emulation ({other.Subject.Variant})", other.Figures, other.Queries));
            var before = release?.Variants.FirstOrDefault(variant => variant.Subject.Variant == report.Subject.Variant && variant.Subject.Shape == report.Subject.Shape)?.Toolkit;
            return report with
            {
                Toolkit = report.Toolkit! with
                {
                    Estimate = LatencyEstimate.Of(compiled[reports.First(each => each.Subject == report.Subject)], measured),
                    Release = before is null ? null : new ReleaseComparison(release!.Version, CompileChange.Between(before.Compile, report.Toolkit.Compile)),
                },
            };
        }
    }

    private static string ArtifactOf(ModelBuild build, ValidationReport report) =>
        build.Artifacts.Select(each => build.Artifact(each.Variant, each.Shape)).First(path => Path.GetFileName(path) == report.Subject.Artifact);

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
