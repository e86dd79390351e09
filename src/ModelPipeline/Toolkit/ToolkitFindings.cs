using ModelPipeline.Planning;

namespace ModelPipeline.Toolkit;

/// <summary>What a conversion with the toolkit told besides its file and compile report: content of toolkit.json.</summary>
/// <param name="Fp16">Tensors that stayed in fp16, in the toolkit's names.</param>
/// <param name="Int8Outputs">Outputs with at most 256 values.</param>
/// <param name="Worst">Tensors that lose most, the worst first; empty unless an accuracy analysis was asked for.</param>
/// <param name="SuggestedFp16">An <c>fp16</c> list against them, in names of the prepared graph.</param>
public sealed record ToolkitNotes(
    IReadOnlyList<string> Fp16,
    IReadOnlyList<string> Int8Outputs,
    IReadOnlyList<LayerError> Worst,
    IReadOnlyList<string> SuggestedFp16
);

/// <summary>All that the toolkit says of one validated artifact.</summary>
/// <param name="Compile">From its compile report.</param>
/// <param name="Notes">From its conversion.</param>
public sealed record ToolkitFindings(CompileSummary Compile, ToolkitNotes Notes)
{
    /// <summary>If latencies of a board are known.</summary>
    public LatencyEstimate? Estimate { get; init; }

    /// <summary>Version of the last release and what has changed since; null if none was named or it has no such artifact.</summary>
    public ReleaseComparison? Release { get; init; }

    /// <summary>Who else scored this build, or a stand-in for it.</summary>
    public IReadOnlyList<Opinion> Opinions { get; init; } = [];
}

/// <param name="Version">Of the release that this build is compared with.</param>
/// <param name="Changes">Figures that differ.</param>
public sealed record ReleaseComparison(string Version, IReadOnlyList<CompileChange> Changes);

/// <summary>How the same texts were scored somewhere else.</summary>
/// <param name="Source">Who scored them.</param>
/// <param name="Figures">Accuracy against fp32, by metric name.</param>
/// <param name="TauToVariant">Rerankers: mean Kendall tau-b to the validated scores, else null.</param>
public sealed record Opinion(string Source, IReadOnlyDictionary<string, double> Figures, double? TauToVariant);
