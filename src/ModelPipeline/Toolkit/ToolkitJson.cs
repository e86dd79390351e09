using System.Text.Json.Serialization;

namespace ModelPipeline.Toolkit;

/// <summary>What goes to driver.py and comes from it.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull
)]
[JsonSerializable(typeof(ToolkitSettings))]
[JsonSerializable(typeof(ToolkitOutcome))]
[JsonSerializable(typeof(InstalledToolkit))]
internal sealed partial class ToolkitJson : JsonSerializerContext;

internal sealed record ToolkitSettings
{
    public required string Toolkit { get; init; }
    public required string Precision { get; init; }
    public required string Algorithm { get; init; }
    public required string Method { get; init; }
    public required int OptimizationLevel { get; init; }
    public required IReadOnlyList<ToolkitInput> Inputs { get; init; }
    public string? Dataset { get; init; }
    public string? Keep { get; init; }
    public string? Step1 { get; init; }
    public IReadOnlyList<string> Float16 { get; init; } = [];
    public IReadOnlyDictionary<string, float[]> Ranges { get; init; } = new Dictionary<string, float[]>();
    public bool SingleCore { get; init; }
    public ToolkitThresholds? AutoHybrid { get; init; }
    public IReadOnlyList<SimulatorRun> Simulate { get; init; } = [];
    public bool Analyse { get; init; }
}

internal sealed record ToolkitInput(string Name, IReadOnlyList<long[]> Shapes);

internal sealed record ToolkitThresholds(double Cos, double? Euc);

internal sealed record ToolkitOutcome
{
    public IReadOnlyList<string>? Tensors { get; init; }
    public string? ErrorAnalysis { get; init; }
}
