using System.Globalization;
using System.Text.Json.Serialization;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;

namespace ModelPipeline.Planning;

/// <summary>One way to serve a corpus, with what it is expected to take. Nothing of it is measured.</summary>
[OneLine]
public sealed record ServingPlan
{
    public required Precision Precision { get; init; }

    /// <summary>Name of the core plan.</summary>
    public required string CorePlan { get; init; }

    /// <summary>Tokens of the shapes, ascending.</summary>
    public required IReadOnlyList<int> Shapes { get; init; }

    /// <summary>Passages that a run of each shape takes.</summary>
    public required int Batch { get; init; }

    /// <summary>All shapes in one file; else a file a shape.</summary>
    public required bool OneFile { get; init; }

    /// <summary>Of the run that takes a passage.</summary>
    public required double PassageP50Ms { get; init; }
    public required double PassageP95Ms { get; init; }

    /// <summary>Mean over the corpus' requests of the time until the last context is done.</summary>
    public required double RequestMs { get; init; }
    public required double RequestP50Ms { get; init; }
    public required double RequestP95Ms { get; init; }
    public required double DiskMb { get; init; }

    /// <summary>With all contexts of the core plan.</summary>
    public required double MemoryMb { get; init; }

    /// <summary>Of the passages, 0 to 1: longer than the largest shape.</summary>
    public required double CutShare { get; init; }

    /// <summary>What that does to fp32's ranking; null if nothing is cut or it was not scored.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public TruncationCost? Cost { get; init; }

    /// <summary>As in tables: 64/96/128, or 4x64/128 for runs of four passages.</summary>
    [JsonIgnore]
    public string ShapesText => (Batch == 1 ? "" : string.Create(CultureInfo.InvariantCulture, $"{Batch}x")) + string.Join('/', Shapes);

    /// <summary>As people say it: fp16, int8.</summary>
    [JsonIgnore]
    public string PrecisionText =>
        Precision switch
        {
            Precision.Fp32 => "fp32",
            Precision.Fp16 => "fp16",
            Precision.W8A8 => "int8",
        };

    public override string ToString() => $"{PrecisionText} at {ShapesText}, {CorePlan}";
}

/// <summary>What a plan is chosen for and from.</summary>
/// <param name="Tokens">Length of every passage with its query, in the order of requests; at least one.</param>
/// <param name="Passages">In a request.</param>
/// <param name="Candidates">Lengths of shapes to choose from, ascending.</param>
/// <param name="Precisions">That may be built, the most exact first.</param>
/// <param name="CorePlans">That the chip has.</param>
internal sealed record PlanQuestion(
    IReadOnlyList<int> Tokens,
    int Passages,
    IReadOnlyList<int> Candidates,
    IReadOnlyList<Precision> Precisions,
    IReadOnlyList<PlannedCores> CorePlans
)
{
    /// <summary>Precisions whose shapes are all in one file, which shares its weights; else a file a shape.</summary>
    public IReadOnlyList<Precision> InOneFile { get; init; } = [];

    /// <summary>Passages that a run may take.</summary>
    public IReadOnlyList<int> Batches { get; init; } = [1];

    /// <summary>Shapes at most.</summary>
    public int MostShapes { get; init; } = 8;

    /// <summary>Limits in MB; null allows anything.</summary>
    public double? MostDiskMb { get; init; }
    public double? MostMemoryMb { get; init; }
}

/// <summary>A core plan as times are computed for it.</summary>
/// <param name="Name">As reports show it.</param>
/// <param name="Contexts">That take passages side by side.</param>
/// <param name="Cores">That share each context.</param>
internal sealed record PlannedCores(string Name, int Contexts, int Cores);
