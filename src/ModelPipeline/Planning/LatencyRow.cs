using System.Text.Json.Serialization;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Planning;

/// <summary>One measurement: a line of pipeline/latency/*.jsonl.</summary>
public sealed record LatencyRow
{
    /// <summary>For people: what ran.</summary>
    public required string Name { get; init; }

    /// <summary>Measurements of one model on one board in one go: they are off together.</summary>
    public required string Session { get; init; }
    public required string Chip { get; init; }
    public required Precision Precision { get; init; }

    /// <summary>Milliseconds.</summary>
    public required double Ms { get; init; }

    /// <summary>Who measured it where.</summary>
    public required string Source { get; init; }

    /// <summary>Of a whole encoder at [<see cref="Batch"/>, <see cref="Tokens"/>]; null if <see cref="Operators"/> say what ran.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public EncoderShape? Encoder { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public int Tokens { get; init; }
    public int Batch { get; init; } = 1;

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<OperatorWork>? Operators { get; init; }

    /// <summary>That share one context.</summary>
    public int Cores { get; init; } = 1;

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? Mhz { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool Cpu { get; init; }

    /// <summary>By a run of this pipeline; where there are such rows of a chip, they outweigh what others measured on theirs.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool Own { get; init; }

    /// <summary>Plain rows alone tell of attention that is not fused.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public AttentionForm Attention { get; init; }

    /// <summary>Of the time, what the host did besides; it is taken off.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public double HostMs { get; init; }

    [JsonIgnore]
    public IReadOnlyList<OperatorWork> Work => Operators ?? Encoder!.At(new InputShape(Batch, Tokens));

    /// <summary>A run of a whole model, not of single operators.</summary>
    [JsonIgnore]
    public bool IsModel => Encoder is not null || Operators!.Any(work => work.Class == OperatorClass.Host);

    [JsonIgnore]
    public RunPlace Place =>
        new(Chip, Precision)
        {
            Cores = Cores,
            Mhz = Mhz,
            Cpu = Cpu,
        };

    /// <summary>What the row wants to be estimated.</summary>
    [JsonIgnore]
    public double Measured => Ms - HostMs;
}
