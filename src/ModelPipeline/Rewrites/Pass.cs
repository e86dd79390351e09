using ModelPipeline.Core;
using ModelPipeline.Onnx;

namespace ModelPipeline.Rewrites;

/// <summary>A named rewrite of a model that leaves its fp32 scores as they are. Pure and idempotent.</summary>
/// <param name="Name">As written under <c>rewrites</c> in models.yaml.</param>
/// <param name="Rewrite">The rewrite, given the model and calibration samples (inputs in the model's order, [1, sequence] each; none if there are none).</param>
public sealed record Pass(string Name, Func<OnnxModel, IReadOnlyList<IReadOnlyList<long[]>>, Rewritten> Rewrite)
{
    private Pass(string name, Func<OnnxModel, Rewritten> rewrite) : this(name, (model, _) => rewrite(model)) { }

    /// <summary>Every pass that models.yaml can name.</summary>
    public static IReadOnlyList<Pass> All { get; } =
    [
        new("fold-shapes", FoldShapes.Apply),
        new("dead-nodes", DeadNodes.Apply),
        new("share-initializers", ShareInitializers.Apply),
        new("mask", AttentionMask.Apply),
        new("outlier-split", OutlierSplit.Apply),
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
