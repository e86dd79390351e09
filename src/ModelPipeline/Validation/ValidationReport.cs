using System.Text.Json.Serialization;
using ModelPipeline.Manifest;
using ModelPipeline.Text;
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

    /// <summary>Something other than the variant on its hardware gave these figures: they predict, they do not measure.</summary>
    public bool Simulated => IsStandIn || (Backend == Backend.Rknn && DeviceKind == DeviceKind.Simulator);

    /// <summary>Latency figures are measurements.</summary>
    [JsonIgnore]
    public bool OnDevice => !IsStandIn && DeviceKind != DeviceKind.Simulator;
}

/// <summary>The outcome of validating one variant at one shape: what validation.json holds, and all that reports, the decision and packages are made from.</summary>
/// <param name="Subject">What was validated.</param>
/// <param name="Reference">fp32's figures by metric name.</param>
/// <param name="Figures">The variant's figures by metric name. Latency figures of a simulator are shown but judged by no gate.</param>
/// <param name="Gates">In the order of models.yaml.</param>
/// <param name="Queries">Rerankers: query by query; else empty.</param>
/// <param name="Texts">Embedders: text by text; else empty.</param>
public sealed record ValidationReport(
    ValidationSubject Subject,
    IReadOnlyDictionary<string, double> Reference,
    IReadOnlyDictionary<string, double> Figures,
    IReadOnlyList<GateOutcome> Gates,
    IReadOnlyList<QueryFigures> Queries,
    IReadOnlyList<TextFigures> Texts)
{
    /// <summary>Artifacts of rknn-toolkit2: what it says of them.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ToolkitFindings? Toolkit { get; init; }

    /// <summary>No gate failed. Gates that were not measured do not fail, but let nothing be published.</summary>
    [JsonIgnore]
    public bool Holds => Gates.All(gate => gate.Result != GateResult.Failed);

    /// <summary>Validates a reranker.</summary>
    /// <param name="subject">What gave the scores.</param>
    /// <param name="gates">To judge the figures by.</param>
    /// <param name="queries">The test collection.</param>
    /// <param name="reference">fp32 scores, [query][candidate].</param>
    /// <param name="scores">The variant's, likewise.</param>
    /// <param name="latency">Milliseconds a passage by metric name (latency_p95_ms ...); empty if not timed.</param>
    /// <exception cref="PipelineException">Scores are not finite or do not fit the queries, or a gate is malformed.</exception>
    public static ValidationReport OfReranker(
        ValidationSubject subject,
        IReadOnlyList<GateSpec> gates,
        IReadOnlyList<CorpusQuery> queries,
        IReadOnlyList<float[]> reference,
        IReadOnlyList<float[]> scores,
        IReadOnlyDictionary<string, double> latency)
    {
        var validation = RerankValidation.Measure(queries, reference, scores);
        return Judged(subject, gates, RerankValidation.Measure(queries, reference, reference).Figures, validation.Figures, latency, validation.Queries, []);
    }

    /// <summary>Validates an embedder on pooled embeddings, [text][dimension].</summary>
    /// <exception cref="PipelineException">Embeddings have no direction or do not fit the texts, or a gate is malformed.</exception>
    public static ValidationReport OfEmbedder(
        ValidationSubject subject,
        IReadOnlyList<GateSpec> gates,
        IReadOnlyList<string> ids,
        IReadOnlyList<float[]> reference,
        IReadOnlyList<float[]> embeddings,
        IReadOnlyDictionary<string, double> latency)
    {
        var validation = EmbeddingValidation.Measure(ids, reference, embeddings);
        return Judged(subject, gates, EmbeddingValidation.Measure(ids, reference, reference).Figures, validation.Figures, latency, [], validation.Texts);
    }

    private static ValidationReport Judged(
        ValidationSubject subject,
        IReadOnlyList<GateSpec> gates,
        IReadOnlyDictionary<string, double> reference,
        IReadOnlyDictionary<string, double> accuracy,
        IReadOnlyDictionary<string, double> latency,
        IReadOnlyList<QueryFigures> queries,
        IReadOnlyList<TextFigures> texts)
    {
        var whole = WithSize(reference, subject.ReferenceDigest, []);
        var figures = WithSize(accuracy, subject.ArtifactDigest, latency);
        return new(subject, whole, figures, [.. gates.Select(gate => Gate.Judge(gate, figures, whole, subject.OnDevice))], queries, texts);
    }

    private static IReadOnlyDictionary<string, double> WithSize(
        IEnumerable<KeyValuePair<string, double>> accuracy, FileDigest artifact, IEnumerable<KeyValuePair<string, double>> latency) =>
        Figure.Set(accuracy.Concat(latency).Append(new(Metric.SizeMb, artifact.Size / 1e6)).Select(figure => KeyValuePair.Create(figure.Key, (double?)figure.Value)));
}
