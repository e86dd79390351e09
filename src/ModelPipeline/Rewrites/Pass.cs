using ModelPipeline.Core;
using ModelPipeline.Onnx;

namespace ModelPipeline.Rewrites;

/// <summary>A named rewrite of a model that leaves its fp32 scores as they are. Pure and idempotent.</summary>
/// <param name="Name">As written under <c>rewrites</c> in models.yaml.</param>
/// <param name="Summary">One line for reports.</param>
/// <param name="Rewrite">The rewrite, given the model and calibration samples (inputs in the model's order, [1, sequence] each; none if there are none).</param>
public sealed record Pass(string Name, string Summary, Func<OnnxModel, IReadOnlyList<IReadOnlyList<long[]>>, Rewritten> Rewrite)
{
    private Pass(string name, string summary, Func<OnnxModel, Rewritten> rewrite) : this(name, summary, (model, _) => rewrite(model)) { }

    /// <summary>Every pass that models.yaml can name.</summary>
    public static IReadOnlyList<Pass> All { get; } =
    [
        new("fold-shapes", "computes whatever depends on shapes and constants alone", FoldShapes.Apply),
        new("dead-nodes", "drops nodes and initializers that no output needs", DeadNodes.Apply),
        new("share-initializers", "keeps one copy of equal initializers", ShareInitializers.Apply),
        new("mask", "rewrites the attention mask's huge negative constant to -30", AttentionMask.Apply),
        new("outlier-split", "computes the few channels that ruin an int8 scale apart from the rest, and keeps them in fp16", OutlierSplit.Apply),
    ];

    public Rewritten Apply(OnnxModel model, IReadOnlyList<IReadOnlyList<long[]>>? samples = null) => Rewrite(model, samples ?? []);

    /// <exception cref="PipelineException">No pass has that name.</exception>
    public static Pass Named(string name) =>
        All.FirstOrDefault(pass => pass.Name == name)
        ?? throw new PipelineException($"'{name}' is not a rewrite; known are {string.Join(", ", All.Select(pass => pass.Name))}", PipelineException.ConfigurationError);
}

/// <summary>What a pass made.</summary>
/// <param name="Model">The rewritten model; the same object if nothing matched.</param>
/// <param name="Matches">What it found, one line each, for the report.</param>
public sealed record Rewritten(OnnxModel Model, IReadOnlyList<string> Matches)
{
    public static Rewritten Nothing(OnnxModel model) => new(model, []);
}
