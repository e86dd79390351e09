using System.Text.Json.Serialization;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Validation;

/// <summary>What was validated, and where.</summary>
public sealed record ValidationSubject
{
    public required string Model { get; init; }
    public required string Version { get; init; }
    public required ModelTask Task { get; init; }
    public required string Variant { get; init; }
    public required Backend Backend { get; init; }
    public required Precision Precision { get; init; }

    /// <summary>As in file names: 1x128.</summary>
    public required string Shape { get; init; }

    /// <summary>File name of the variant's artifact, without folders.</summary>
    public required string Artifact { get; init; }
    public required FileDigest ArtifactDigest { get; init; }

    /// <summary>The fp32 ONNX file that gave the reference figures.</summary>
    public required FileDigest ReferenceDigest { get; init; }

    /// <summary>Key of the device in models.yaml.</summary>
    public required string Device { get; init; }
    public required DeviceKind DeviceKind { get; init; }

    /// <summary>Key of the corpus in models.yaml.</summary>
    public required string Corpus { get; init; }

    /// <summary>The artifact stands in for an .rknn file and must never be shipped as one.</summary>
    [JsonIgnore]
    public bool IsStandIn => Backend == Backend.Simulator;

    /// <summary>The toolkit's own simulator gave the scores, in the place of a board.</summary>
    [JsonIgnore]
    public bool InToolkit => Backend == Backend.Rknn && DeviceKind == DeviceKind.Simulator;

    /// <summary>Something other than the variant on its hardware gave these figures: they predict, they do not measure.</summary>
    public bool Simulated => IsStandIn || (Backend == Backend.Rknn && !DeviceKind.IsBoard());

    /// <summary>Latency figures are measurements.</summary>
    [JsonIgnore]
    public bool OnDevice => !IsStandIn && DeviceKind.IsBoard();
}

/// <summary>The outcome of validating one variant at one shape: what validation.json holds, and all that reports, the decision and packages
/// are made from.</summary>
/// <param name="Subject">What was validated.</param>
/// <param name="Reference">fp32's figures by metric name.</param>
/// <param name="Figures">The variant's figures by metric name; of latency only what a device measured.</param>
/// <param name="Gates">In the order of models.yaml.</param>
/// <param name="Queries">Of a task that ranks: query by query; else empty.</param>
/// <param name="Texts">Of a task that embeds: text by text; else empty.</param>
public sealed record ValidationReport(
    ValidationSubject Subject,
    IReadOnlyDictionary<string, double> Reference,
    IReadOnlyDictionary<string, double> Figures,
    IReadOnlyList<GateOutcome> Gates,
    IReadOnlyList<QueryFigures> Queries,
    IReadOnlyList<TextFigures> Texts
)
{
    /// <summary>Artifacts of rknn-toolkit2: what it says of them.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ToolkitFindings? Toolkit { get; init; }

    /// <summary>fp32's ranking beside BM25's and chance; null for a task that ranks nothing.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public RankingBaselines? Baselines { get; init; }

    /// <summary>Of the figures on accuracy; none in files of versions that had none.</summary>
    public Intervals Intervals { get; init; } = Intervals.None;

    /// <summary>Of parts of the texts; none in files of versions that had none.</summary>
    public IReadOnlyList<SliceFigures> Slices { get; init; } = [];

    /// <summary>No gate failed or is undecided. Gates that were not measured do not fail, but let nothing be published.</summary>
    [JsonIgnore]
    public bool Holds => Gates.All(gate => gate.Result.Holds());

    /// <summary>Of a task that gives classes: label by label; else empty.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public IReadOnlyList<ClassFigures>? Classes { get; init; }

    /// <summary>What the task's figures came from.</summary>
    [JsonIgnore]
    public TaskFigures Measured =>
        new(Figures)
        {
            Queries = Queries,
            Texts = Texts,
            Classes = Classes ?? [],
        };

    /// <summary>Validates outputs against fp32's by the task of the subject.</summary>
    /// <param name="subject">What gave the outputs.</param>
    /// <param name="gates">To judge the figures by.</param>
    /// <param name="order">The texts.</param>
    /// <param name="reference">fp32's outputs, one a text.</param>
    /// <param name="outputs">The variant's, likewise.</param>
    /// <exception cref="PipelineException">Outputs are not finite or do not fit the texts, or a gate is malformed.</exception>
    public static ValidationReport Of(
        ValidationSubject subject,
        IReadOnlyList<GateSpec> gates,
        ScoringOrder order,
        IReadOnlyList<float[]> reference,
        IReadOnlyList<float[]> outputs
    )
    {
        var (whole, own) = (subject.Task.Measure(order, reference, reference), subject.Task.Measure(order, reference, outputs));
        var report = new ValidationReport(
            subject,
            WithSize(whole.Figures, subject.ReferenceDigest),
            WithSize(own.Figures, subject.ArtifactDigest),
            [],
            own.Queries,
            own.Texts
        )
        {
            Classes = own.Classes.Count == 0 ? null : own.Classes,
            Intervals = Bootstrap.Of(own.Samples, whole.Samples),
            Slices = subject.Task.Slices(order, reference, outputs),
        };
        return report.Timed(gates, new Dictionary<string, double>(), new Dictionary<string, double>());
    }

    /// <summary>The report with latency figures, and with the gates judged by all figures.</summary>
    /// <param name="gates">In the order of models.yaml.</param>
    /// <param name="latency">The variant's figures by metric name (latency_p95_ms ...), measured on a device; empty if not
    /// measured.</param>
    /// <param name="reference">fp32's, likewise.</param>
    public ValidationReport Timed(
        IReadOnlyList<GateSpec> gates,
        IReadOnlyDictionary<string, double> latency,
        IReadOnlyDictionary<string, double> reference
    )
    {
        var (figures, whole) = (Joined(Figures, latency), Joined(Reference, reference));
        // Those on the compile report do not depend on any figure here.
        var compiled = Gates.Where(gate => Metric.Named(gate.Metric).Kind == MetricKind.Compile);
        return this with
        {
            Figures = figures,
            Reference = whole,
            Gates =
            [
                .. gates.SelectMany(gate => SlicesOf(gate).Prepend(Gate.Judge(gate, figures, whole, Subject.OnDevice, Intervals))),
                .. compiled,
            ],
        };
    }

    /// <summary>The gate on each of the parts that it asks for.</summary>
    private IEnumerable<GateOutcome> SlicesOf(GateSpec gate) =>
        Slices
            .Where(slice => (gate.ByLength && slice.By == SliceFigures.Length) || (gate.ByQuery && slice.By == SliceFigures.Query))
            .Select(slice =>
            {
                var outcome = Gate.Judge(gate, slice.Figures, slice.Reference, onDevice: false, slice.Intervals);
                return outcome with { Slice = $"{slice.By} {slice.Name}", Statement = $"{slice.By} {slice.Name}: {outcome.Statement}" };
            });

    /// <summary>How another report scored the same texts, told beside this one.</summary>
    /// <param name="source">Who gave the other's scores.</param>
    /// <param name="other">Of the same corpus.</param>
    public Opinion OpinionOf(string source, ValidationReport other) =>
        new(
            source,
            Figure.Set(
                other
                    .Figures.Where(figure => Metric.Named(figure.Key).Kind == MetricKind.Accuracy)
                    .Select(figure => KeyValuePair.Create(figure.Key, (double?)figure.Value))
            ),
            Figure.Round(Queries.Zip(other.Queries, (own, others) => Tau(own.Scores, others.Scores)).Average())
        );

    private static double? Tau(IReadOnlyList<float> a, IReadOnlyList<float> b) =>
        RankCorrelation.KendallTauB<float>([.. a], [.. b]) is var tau && double.IsNaN(tau) ? null : tau;

    private static IReadOnlyDictionary<string, double> WithSize(IEnumerable<KeyValuePair<string, double>> accuracy, FileDigest artifact) =>
        Joined(accuracy, [new(Metric.SizeMb, artifact.Size / 1e6)]);

    private static IReadOnlyDictionary<string, double> Joined(params IEnumerable<KeyValuePair<string, double>>[] figures) =>
        Figure.Set(figures.SelectMany(each => each).Select(figure => KeyValuePair.Create(figure.Key, (double?)figure.Value)));
}
