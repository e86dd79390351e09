using ModelPipeline.Text;

namespace ModelPipeline.Reports;

/// <summary>What the report tells besides the figures.</summary>
public sealed record ReportContext
{
    /// <summary>The paragraph that the page opens with.</summary>
    public string Advice { get; init; } = "";

    /// <summary>Of the same artifacts; null leaves the section out.</summary>
    public LatencySection? Latency { get; init; }

    /// <summary>Of the same model; null leaves the section out.</summary>
    public PlanSection? Plan { get; init; }

    /// <summary>Of variants whose int8 was searched, at their version.</summary>
    public IReadOnlyList<SearchSection> Searches { get; init; } = [];

    /// <summary>Texts of the queries that lose most; null leaves them out.</summary>
    public Corpus? Corpus { get; init; }

    /// <summary>What was done to the graphs.</summary>
    public IReadOnlyList<AppliedRewrite> Rewrites { get; init; } = [];

    /// <summary>What the artifacts were made of and by, name and value, in the order shown.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Provenance { get; init; } = [];
}

/// <summary>What a rewrite did to the graph of some variants.</summary>
/// <param name="Variants">Their names and, of several, the shape.</param>
/// <param name="Name">As in models.yaml.</param>
/// <param name="Places">In how many places it found what it is for.</param>
/// <param name="Shift">Largest change of any fp32 output, relative to the largest output or 1; null if there is none to tell.</param>
/// <param name="Outcome">"applied", or why it was not.</param>
public sealed record AppliedRewrite(string Variants, string Name, int Places, double? Shift, string Outcome);
