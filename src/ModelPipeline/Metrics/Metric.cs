using ModelPipeline.Core;

namespace ModelPipeline.Metrics;

public enum MetricKind
{
    Accuracy,
    Size,
    Compile,
    Latency,
}

/// <summary>A figure that gates may limit and reports show. <see cref="All"/> is the whole vocabulary.</summary>
/// <param name="Name">Key in models.yaml, below gates, and in validation.json.</param>
/// <param name="Label">For people, short.</param>
/// <param name="Kind">Latency figures count only when measured on a device.</param>
/// <param name="Decimals">Digits after the point that mean something to a reader.</param>
/// <param name="Description">Definition, unit and range.</param>
/// <param name="Low">Least value there can be; null if that is not bounded.</param>
/// <param name="High">Largest value there can be; null if that is not bounded.</param>
public sealed record Metric(
    string Name,
    string Label,
    MetricKind Kind,
    int Decimals,
    string Description,
    double? Low = 0,
    double? High = null
)
{
    public const string NdcgAt10 = "ndcg_at_10";
    public const string NdcgAt10TieAveraged = "ndcg_at_10_tie_averaged";
    public const string MrrAt10 = "mrr_at_10";
    public const string RecallAt5 = "recall_at_5";
    public const string RecallAt10 = "recall_at_10";
    public const string KendallTau = "kendall_tau";
    public const string Spearman = "spearman";
    public const string Top1Agreement = "top1_agreement";
    public const string Top3Agreement = "top3_agreement";
    public const string TiedPairs = "tied_pairs";
    public const string DistinctScores = "distinct_scores";
    public const string MaxScoreDifference = "max_score_difference";
    public const string MeanScoreDifference = "mean_score_difference";
    public const string WithinQueryResidual = "within_query_residual";
    public const string CosineMean = "cosine_mean";
    public const string CosineMin = "cosine_min";
    public const string SimilaritySpearman = "similarity_spearman";
    public const string RecallOverlapAt10 = "recall_overlap_at_10";
    public const string Accuracy = "accuracy";
    public const string MacroF1 = "macro_f1";
    public const string LabelAgreement = "label_agreement";
    public const string SizeMb = "size_mb";
    public const string CompileCpuOps = "compile.cpu_ops";
    public const string CompileFusedAttention = "compile.fused_attention";
    public const string CompileWeightMb = "compile.weight_mb";
    public const string CompileInternalMb = "compile.internal_mb";
    public const string LatencyMeanMs = "latency_mean_ms";
    public const string LatencyP50Ms = "latency_p50_ms";
    public const string LatencyP95Ms = "latency_p95_ms";
    public const string LatencyP99Ms = "latency_p99_ms";
    public const string RequestP50Ms = "request_p50_ms";
    public const string RequestP95Ms = "request_p95_ms";

    /// <summary>For the narrowest columns.</summary>
    public string Brief { get; init; } = Label;

    /// <summary>The figure is of queries or texts and no extreme of them, so that it has an <see cref="Interval"/>.</summary>
    public bool HasInterval { get; init; }

    /// <summary>It compares with fp32, and is best for fp32 itself; else it judges by the corpus, or is no accuracy.</summary>
    public bool ComparesWithFp32 { get; init; }

    /// <summary>What is resampled for it.</summary>
    public string Units { get; init; } = "queries";

    /// <summary>In the order reports show them.</summary>
    public static IReadOnlyList<Metric> All { get; } =
    [
        new(
            NdcgAt10,
            "NDCG@10",
            MetricKind.Accuracy,
            3,
            "Mean NDCG@10 of the ranking, gain 2^grade - 1, ideal over all judged passages, tied scores in candidate order; 0 to 1.",
            High: 1
        )
        {
            HasInterval = true,
        },
        new(
            NdcgAt10TieAveraged,
            "NDCG@10, ties averaged",
            MetricKind.Accuracy,
            3,
            "NDCG@10 averaged over all orders of tied candidates; 0 to 1.",
            High: 1
        )
        {
            HasInterval = true,
        },
        new(
            MrrAt10,
            "MRR@10",
            MetricKind.Accuracy,
            3,
            "Mean reciprocal rank of the first candidate with grade 1 or more within the first 10; 0 to 1.",
            High: 1
        )
        {
            HasInterval = true,
        },
        new(
            RecallAt5,
            "Recall@5",
            MetricKind.Accuracy,
            3,
            "Mean share of the judged passages with grade 1 or more that are among the first 5; 0 to 1.",
            High: 1
        )
        {
            HasInterval = true,
        },
        new(
            RecallAt10,
            "Recall@10",
            MetricKind.Accuracy,
            3,
            "Mean share of the judged passages with grade 1 or more that are among the first 10; 0 to 1.",
            High: 1
        )
        {
            HasInterval = true,
        },
        new(
            KendallTau,
            "Kendall tau",
            MetricKind.Accuracy,
            3,
            "Mean over the queries of Kendall's tau-b between the scores and fp32's; -1 to 1.",
            Low: -1,
            High: 1
        )
        {
            ComparesWithFp32 = true,
            HasInterval = true,
            Brief = "tau",
        },
        new(
            Spearman,
            "Spearman",
            MetricKind.Accuracy,
            3,
            "Spearman's rho between the scores of all pairs and fp32's, pooled over the queries; -1 to 1.",
            Low: -1,
            High: 1
        )
        {
            ComparesWithFp32 = true,
            HasInterval = true,
        },
        new(
            Top1Agreement,
            "Top-1 agreement",
            MetricKind.Accuracy,
            3,
            "Share of queries whose first candidate is fp32's first; 0 to 1.",
            High: 1
        )
        {
            ComparesWithFp32 = true,
            HasInterval = true,
        },
        new(
            Top3Agreement,
            "Top-3 agreement",
            MetricKind.Accuracy,
            3,
            "Mean share of fp32's first three candidates that are among the first three; 0 to 1.",
            High: 1
        )
        {
            ComparesWithFp32 = true,
            HasInterval = true,
        },
        new(TiedPairs, "Tied pairs", MetricKind.Accuracy, 0, "Pairs of candidates of one query with equal scores, summed over the queries.")
        {
            HasInterval = true,
        },
        new(DistinctScores, "Distinct scores", MetricKind.Accuracy, 0, "Number of different scores over all pairs."),
        new(MaxScoreDifference, "Max score difference", MetricKind.Accuracy, 4, "Largest |score - fp32 score| over all pairs, in logits.")
        {
            ComparesWithFp32 = true,
        },
        new(MeanScoreDifference, "Mean score difference", MetricKind.Accuracy, 4, "Mean |score - fp32 score| over all pairs, in logits.")
        {
            ComparesWithFp32 = true,
            HasInterval = true,
        },
        new(
            WithinQueryResidual,
            "Residual within queries",
            MetricKind.Accuracy,
            3,
            "What remains of fp32's scores within queries after the best monotone map of the variant's to them, root mean square in logits."
        )
        {
            ComparesWithFp32 = true,
            HasInterval = true,
            Brief = "residual",
        },
        new(
            CosineMean,
            "Cosine, mean",
            MetricKind.Accuracy,
            4,
            "Mean cosine of each text's embedding to fp32's; -1 to 1.",
            Low: -1,
            High: 1
        )
        {
            ComparesWithFp32 = true,
            HasInterval = true,
            Units = "texts",
            Brief = "cosine",
        },
        new(CosineMin, "Cosine, min", MetricKind.Accuracy, 4, "Smallest cosine of a text's embedding to fp32's; -1 to 1.", Low: -1, High: 1)
        {
            ComparesWithFp32 = true,
        },
        new(
            SimilaritySpearman,
            "Similarity Spearman",
            MetricKind.Accuracy,
            4,
            "Spearman's rho between the cosines of all pairs of texts and fp32's; -1 to 1.",
            Low: -1,
            High: 1
        )
        {
            ComparesWithFp32 = true,
            HasInterval = true,
            Units = "texts",
            Brief = "Spearman",
        },
        new(
            RecallOverlapAt10,
            "Overlap@10",
            MetricKind.Accuracy,
            3,
            "Mean share of a query's 10 nearest passages by fp32, over the corpus by cosine, that are among its 10 nearest; 0 to 1.",
            High: 1
        )
        {
            ComparesWithFp32 = true,
            HasInterval = true,
        },
        new(Accuracy, "Accuracy", MetricKind.Accuracy, 3, "Share of judged pairs that get the label they have; 0 to 1.", High: 1)
        {
            HasInterval = true,
        },
        new(MacroF1, "Macro F1", MetricKind.Accuracy, 3, "Mean F1 over the labels that the judgements have; 0 to 1.", High: 1)
        {
            HasInterval = true,
        },
        new(LabelAgreement, "Label agreement", MetricKind.Accuracy, 3, "Share of pairs whose label is fp32's; 0 to 1.", High: 1)
        {
            ComparesWithFp32 = true,
            HasInterval = true,
        },
        new(SizeMb, "Size, MB", MetricKind.Size, 2, "Size of the artifact in 10^6 bytes."),
        new(CompileCpuOps, "Operators on the CPU", MetricKind.Compile, 0, "Kinds of operators that the NPU's compiler left to the CPU."),
        new(CompileFusedAttention, "Attentions fused", MetricKind.Compile, 0, "Attentions that the NPU's compiler made one operator each."),
        new(
            CompileWeightMb,
            "Weight memory, MB",
            MetricKind.Compile,
            2,
            "Memory for weights on the NPU in MB of 1000 KiB, by the compile report."
        ),
        new(
            CompileInternalMb,
            "Internal memory, MB",
            MetricKind.Compile,
            2,
            "Memory for activations on the NPU in MB of 1000 KiB, by the compile report."
        ),
        new(LatencyMeanMs, "Mean latency, ms", MetricKind.Latency, 1, "Mean milliseconds a passage."),
        new(LatencyP50Ms, "p50, ms", MetricKind.Latency, 1, "Median milliseconds a passage."),
        new(LatencyP95Ms, "p95, ms", MetricKind.Latency, 1, "95th percentile of milliseconds a passage."),
        new(LatencyP99Ms, "p99, ms", MetricKind.Latency, 1, "99th percentile of milliseconds a passage."),
        new(RequestP50Ms, "Request p50, ms", MetricKind.Latency, 1, "Median milliseconds a request under the fastest core plan."),
        new(
            RequestP95Ms,
            "Request p95, ms",
            MetricKind.Latency,
            1,
            "95th percentile of milliseconds a request under the fastest core plan."
        ),
    ];

    /// <summary>The metric of that name.</summary>
    /// <exception cref="PipelineException">There is none; the message lists what there is.</exception>
    public static Metric Named(string name) =>
        All.FirstOrDefault(metric => metric.Name == name)
        ?? throw new PipelineException(
            $"Unknown metric '{name}'. Use one of {string.Join(", ", All.Select(metric => metric.Name))}.",
            PipelineException.ConfigurationError
        );

    /// <summary>A figure for people: <see cref="Decimals"/> digits, invariant culture.</summary>
    public string Format(double figure)
    {
        var text = figure.ToString("F" + Decimals, System.Globalization.CultureInfo.InvariantCulture);
        // What rounds to 0 has no sign.
        return text.AsSpan().ContainsAnyInRange('1', '9') ? text : text.TrimStart('-');
    }
}
