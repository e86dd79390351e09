using ModelPipeline.Decision;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.Validation;

/// <summary>Reports of the toolkit's real builds of the tiny reranker, from its recorded scores.</summary>
internal static class SampleReports
{
    public static IReadOnlyList<GateSpec> Gates { get; } =
    [
        new(Metric.NdcgAt10, null, null, 0.01),
        new(Metric.KendallTau, 0.9, null, null),
        new(Metric.SizeMb, null, 5, null),
        new(Metric.LatencyP95Ms, null, 100, null),
    ];

    public static ValidationReport Of(
        string build,
        long size,
        Backend backend = Backend.Simulator,
        DeviceKind device = DeviceKind.Simulator,
        double? p95 = null,
        IReadOnlyList<GateSpec>? gates = null
    ) =>
        ValidationReport
            .Of(
                new()
                {
                    Model = "tiny-reranker",
                    Version = "0.1.0",
                    Task = ModelTask.Rerank,
                    Variant = build,
                    Backend = backend,
                    Precision = build.StartsWith("fp16") ? Precision.Fp16 : Precision.W8A8,
                    Shape = "1x128",
                    Artifact = $"tiny-reranker-{build}-1x128{Ending(backend)}",
                    ArtifactDigest = new(size, new('a', 64)),
                    ReferenceDigest = new(7_530_000, new('f', 64)),
                    Device = device == DeviceKind.Simulator ? "simulator" : "board",
                    DeviceKind = device,
                    Corpus = "sample",
                },
                gates ?? Gates,
                Order,
                Flat(TinyScores.Of("fp32")),
                Flat(TinyScores.Of(build))
            )
            .Timed(
                gates ?? Gates,
                p95 is { } milliseconds ? new Dictionary<string, double> { [Metric.LatencyP95Ms] = milliseconds } : [],
                new Dictionary<string, double>()
            );

    /// <summary>Any scores, of the first queries, as many as there are.</summary>
    public static ValidationReport Scored(IReadOnlyList<float[]> scores, IReadOnlyList<GateSpec> gates) =>
        ValidationReport.Of(
            All[0].Subject,
            gates,
            new(ModelTask.Rerank, [.. TinyScores.Queries.Take(scores.Count)], new Dictionary<string, string>()),
            Flat(TinyScores.Of("fp32").Take(scores.Count)),
            Flat(scores)
        );

    /// <summary>Of the name of an artifact.</summary>
    public static string Ending(Backend backend) =>
        backend switch
        {
            Backend.Rknn => ".rknn",
            Backend.Onnx => ".onnx",
            Backend.Simulator => ".sim.onnx",
        };

    private static ScoringOrder Order { get; } = new(ModelTask.Rerank, TinyScores.Queries, new Dictionary<string, string>());

    private static List<float[]> Flat(IEnumerable<float[]> queries) =>
        [.. queries.SelectMany(scores => scores).Select(score => new[] { score })];

    /// <summary>Each artifact for every length.</summary>
    public static IReadOnlyList<VariantRouting> Routings(IEnumerable<ValidationReport> reports) =>
        [.. reports.Select(report => Whole(report.Subject.Variant, report.Subject.Artifact))];

    public static VariantRouting Whole(string variant, string artifact) =>
        new(variant, [new(128, artifact, 10, 1)], new(0, 0, 0, 0), [], new Dictionary<string, double>(), []);

    public static IReadOnlyList<ValidationReport> All { get; } =
    [Of("fp16", 4_397_502), Of("int8_normal", 2_732_811), Of("int8_unmasked_normal", 2_732_811)];
}
