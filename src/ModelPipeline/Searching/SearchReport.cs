using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Searching;

/// <summary>What Search tried, built and chose: content of search.json.</summary>
public sealed record SearchReport
{
    public required string Model { get; init; }
    public required string Version { get; init; }
    public required string Variant { get; init; }
    public required string Shape { get; init; }

    /// <summary>The metric that was made as good as can be.</summary>
    public required string Objective { get; init; }

    /// <summary>What recipes were compared by: the emulation, or ONNX Runtime.</summary>
    public required string RankedBy { get; init; }

    /// <summary>Where the built recipes were scored: the toolkit's simulator, the emulation, or ONNX Runtime.</summary>
    public required string ScoredBy { get; init; }

    /// <summary>Queries, or an embedder's texts, of the three parts: disjoint.</summary>
    public required SearchCounts Parts { get; init; }

    /// <summary>Texts of the report part that calibration has, too.</summary>
    public required int CalibratedOn { get; init; }

    /// <summary>By the emulation on the search part, best first; those that were left behind by fewer texts have theirs.</summary>
    public required IReadOnlyList<TriedRecipe> Tried { get; init; }

    /// <summary>Built and scored on the confirm part, best first.</summary>
    public required IReadOnlyList<BuiltRecipe> Built { get; init; }

    /// <summary>How the choice was made, in words.</summary>
    public required string Rule { get; init; }

    /// <summary>Null if none keeps to the limits.</summary>
    public Int8Recipe? Choice { get; init; }

    /// <summary>Figures of the choice on the report part, which nothing was chosen by.</summary>
    public IReadOnlyDictionary<string, double> Figures { get; init; } = new Dictionary<string, double>();

    /// <summary>Likewise of the variant as models.yaml has it.</summary>
    public IReadOnlyDictionary<string, double> WrittenFigures { get; init; } = new Dictionary<string, double>();

    /// <summary>What int8 costs in each class of tensors; empty if no time was left for it.</summary>
    public IReadOnlyList<ClassSensitivity> Sensitivity { get; init; } = [];
}

/// <param name="Search">The emulation ranks by these.</param>
/// <param name="Confirm">What was built is chosen by these.</param>
/// <param name="Report">Shown figures are of these.</param>
public readonly record struct SearchCounts(int Search, int Confirm, int Report);

/// <param name="Recipe">In one line.</param>
/// <param name="Items">Queries or texts it was scored on.</param>
/// <param name="Figure">Of the objective.</param>
[OneLine]
public sealed record TriedRecipe(string Recipe, int Items, double Figure);

/// <summary>What int8 costs where it is in one class of tensors alone, by the emulation on the first items of the search part.</summary>
/// <param name="Class">In words.</param>
/// <param name="Remedy">The step that is for it; empty if there is none.</param>
/// <param name="Written">The objective's figure in the graph of the variant as models.yaml has it; null if that lacks the class.</param>
/// <param name="Choice">In that of the choice, likewise.</param>
[OneLine]
public sealed record ClassSensitivity(string Class, string Remedy, double? Written, double? Choice);

/// <param name="Recipe">That was built.</param>
/// <param name="Figures">On the confirm part.</param>
/// <param name="Mb">Size of the file in 10^6 bytes.</param>
/// <param name="Ms">Of a passage on one core: the board's median, or estimated; null where nothing is known of the chip.</param>
public sealed record BuiltRecipe(Int8Recipe Recipe, IReadOnlyDictionary<string, double> Figures, double Mb, double? Ms)
{
    /// <summary>How far from fp32 by the objective; less is better.</summary>
    public required double Loss { get; init; }

    /// <summary>The time is the board's own.</summary>
    public bool OnDevice { get; init; }

    /// <summary>The variant as models.yaml has it.</summary>
    public required bool IsWritten { get; init; }

    /// <summary>No other is better in accuracy, size and time at once.</summary>
    public bool OnFront { get; init; }

    /// <summary>Limits that it does not keep, in words.</summary>
    public IReadOnlyList<string> Breaks { get; init; } = [];
}
