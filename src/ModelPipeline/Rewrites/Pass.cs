using System.Globalization;
using ModelPipeline.Core;
using ModelPipeline.Onnx;

namespace ModelPipeline.Rewrites;

/// <summary>A named rewrite of a model that leaves its fp32 scores as they are. Pure and idempotent.</summary>
/// <param name="Name">As written under <c>rewrites</c> in models.yaml.</param>
/// <param name="Rewrite">The rewrite, given the model and calibration samples (inputs in the model's order, [1, sequence] each; none if
/// there are none).</param>
public sealed record Pass(string Name, Func<OnnxModel, IReadOnlyList<IReadOnlyList<long[]>>, Rewritten> Rewrite)
{
    private Pass(string name, Func<OnnxModel, Rewritten> rewrite)
        : this(name, (model, _) => rewrite(model)) { }

    /// <summary>What every family of encoders needs before the toolkit, in this order; each does nothing where it does not apply.</summary>
    public static IReadOnlyList<Pass> Families { get; } =
    [
        new("fold-shapes", FoldShapes.Apply),
        new("positions", Positions.Apply),
        new("nan-guard", NanGuard.Apply),
        new("mask", AttentionMask.Apply),
        new("opset", LowerOpset.Apply),
        new("gelu-order", GeluOrder.Apply),
        new("skew", Skew.Apply),
        new("rank-four", RankFour.Apply),
        new("bias-merge", BiasMerge.Apply),
    ];

    /// <summary>Every pass that models.yaml can name.</summary>
    public static IReadOnlyList<Pass> All { get; } =
    [
        .. Families,
        new("dead-nodes", DeadNodes.Apply),
        new("share-initializers", ShareInitializers.Apply),
        new("balance", Balance.Apply),
        Hidden(HiddenSplitName, Rewrites.HiddenSplit.DefaultChannels),
        new("outlier-split", OutlierSplit.Apply),
        new("norm-copy", NormCopy.Apply),
        new(PlainAttention.Name, PlainAttention.Apply),
    ];

    public const string HiddenSplitName = "hidden-split";

    /// <summary>The steps to a better int8, on an NPU and on the CPU, in the order in which they are exact and make sense.</summary>
    public static IReadOnlyList<string> Steps { get; } = ["balance", HiddenSplitName, "outlier-split", "norm-copy"];

    /// <summary>Whether a name is that of one of the <see cref="Steps"/>, whatever its strength.</summary>
    public static bool IsStep(string name) => Steps.Contains(StepOf(name));

    /// <summary>The name of hidden-split with so many channels; models.yaml writes it <c>hidden-split: { channels: 32 }</c>.</summary>
    public static string HiddenSplit(int channels) =>
        channels == Rewrites.HiddenSplit.DefaultChannels
            ? HiddenSplitName
            : string.Create(CultureInfo.InvariantCulture, $"{HiddenSplitName}-{channels}");

    /// <summary>The name of a pass without its strength.</summary>
    public static string StepOf(string name) => Strength(name) is null ? name : HiddenSplitName;

    private static int? Strength(string name) =>
        name.StartsWith(HiddenSplitName + "-", StringComparison.Ordinal)
        && int.TryParse(name.AsSpan(HiddenSplitName.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var channels)
        && channels > 0
            ? channels
            : null;

    private static Pass Hidden(string name, int channels) =>
        new(name, (model, samples) => Rewrites.HiddenSplit.Apply(model, samples, channels));

    public Rewritten Apply(OnnxModel model, IReadOnlyList<IReadOnlyList<long[]>>? samples = null) => Rewrite(model, samples ?? []);

    /// <summary>Stands for <see cref="Families"/> in models.yaml.</summary>
    public const string FamiliesName = "families";

    /// <summary>The passes that models.yaml names, in its order.</summary>
    /// <exception cref="PipelineException">No pass has one of the names.</exception>
    public static IEnumerable<Pass> Sequence(IEnumerable<string> names) =>
        names.SelectMany(name => name == FamiliesName ? Families : [Named(name)]).DistinctBy(pass => pass.Name);

    /// <exception cref="PipelineException">No pass has that name.</exception>
    public static Pass Named(string name) =>
        All.FirstOrDefault(pass => pass.Name == name)
        ?? (Strength(name) is { } channels ? Hidden(name, channels) : null)
        ?? throw new PipelineException(
            $"'{name}' is not a rewrite; known are {string.Join(", ", All.Select(pass => pass.Name))}",
            PipelineException.ConfigurationError
        );
}

/// <summary>What a pass made.</summary>
/// <param name="Model">The rewritten model; the same object if nothing matched.</param>
/// <param name="Matches">What it found, one line each, for the report.</param>
public sealed record Rewritten(OnnxModel Model, IReadOnlyList<string> Matches)
{
    /// <summary>Why nothing, or not all, was rewritten; null if there is nothing to say.</summary>
    public string? Skipped { get; init; }

    /// <summary>What the user should know.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];

    public static Rewritten Nothing(OnnxModel model, string? reason = null) => new(model, []) { Skipped = reason };
}
