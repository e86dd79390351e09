using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Packaging;
using ModelPipeline.Toolkit;
using ModelPipeline.Validation;

namespace ModelPipeline.Stages;

/// <summary>What rknn-toolkit2 told of artifacts, for validation.</summary>
public static class ToolkitStage
{
    /// <summary>Measurements that are kept for estimates.</summary>
    private const int MostMeasurements = 64;

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
            Toolkit = new ToolkitFindings(summary, ReportJson.Read<ToolkitNotes>(NotesPath(artifact))),
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

    internal static string NotesPath(string artifact) => Beside(artifact, "toolkit.json");

    private static string Beside(string artifact, string name) => Path.Combine(Path.GetDirectoryName(artifact)!, name);
}
