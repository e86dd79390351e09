using System.Text.Json.Serialization;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Planning;

/// <summary>Kinds of operators that take their time in different ways. Host: what the CPU does for each run besides gathers.</summary>
public enum OperatorClass
{
    Attention,
    Linear,
    Norm,
    Elementwise,
    Gather,
    Host,
}

/// <summary>Operators of one kind and size, and what one run of them has to do.</summary>
/// <param name="Class">Says what the three sizes mean.</param>
/// <param name="Rows">Linear: rows of the input. Attention: heads, of all sequences together. Else: rows of the output. Host: 1.</param>
/// <param name="Inner">Linear: length of a row. Attention: tokens. Else 1.</param>
/// <param name="Columns">Linear: outputs of a row. Attention: width of a head. Else: elements of a row.</param>
[OneLine]
public sealed record OperatorWork(OperatorClass Class, long Rows, long Inner, long Columns)
{
    /// <summary>How many there are.</summary>
    public int Count { get; init; } = 1;

    /// <summary>Linear: a GELU is computed from each output.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool Gelu { get; init; }

    /// <summary>Linear: both operands are computed, as in attention that was kept from being fused; no weights.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool Dynamic { get; init; }

    /// <summary>Elements written by one of them.</summary>
    [JsonIgnore]
    public double Outputs =>
        Class switch
        {
            OperatorClass.Attention => (double)Rows * Inner * Columns,
            OperatorClass.Linear or OperatorClass.Norm or OperatorClass.Elementwise or OperatorClass.Gather => (double)Rows * Columns,
            OperatorClass.Host => 0,
            _ => throw new ArgumentOutOfRangeException(nameof(Class)),
        };

    /// <summary>Multiplications of all of them, as a CPU counts them.</summary>
    [JsonIgnore]
    public double Macs =>
        Class switch
        {
            OperatorClass.Attention => 2.0 * Count * Rows * Inner * Inner * Columns,
            OperatorClass.Linear => (double)Count * Rows * Inner * Columns,
            OperatorClass.Norm or OperatorClass.Elementwise or OperatorClass.Gather or OperatorClass.Host => 0,
            _ => throw new ArgumentOutOfRangeException(nameof(Class)),
        };

    /// <summary>Elements of all their weights.</summary>
    [JsonIgnore]
    public double Weights => Class == OperatorClass.Linear && !Dynamic ? (double)Count * Inner * Columns : 0;

    /// <summary>Bytes of an element on the NPU.</summary>
    public static int BytesOf(Precision precision) =>
        precision switch
        {
            Precision.W8A8 => 1,
            Precision.Fp16 => 2,
            Precision.Fp32 => 4,
        };
}

/// <summary>Where and how operators run.</summary>
/// <param name="Chip">As target in models.yaml.</param>
/// <param name="Precision">Of weights and activations.</param>
public sealed record RunPlace(string Chip, Precision Precision)
{
    /// <summary>Cores that share one context.</summary>
    public int Cores { get; init; } = 1;

    /// <summary>Clock of the NPU; null is the chip's own.</summary>
    public double? Mhz { get; init; }

    /// <summary>On the chip's CPU instead.</summary>
    public bool Cpu { get; init; }
}
