using System.Globalization;
using ModelPipeline.Core;

namespace ModelPipeline.Planning;

/// <summary>How many passages of a corpus have up to so many tokens.</summary>
/// <param name="Tokens">Upper end, a multiple of 32.</param>
/// <param name="Passages">Longer than the entry before allows, up to here.</param>
[OneLine]
public sealed record LengthCount(int Tokens, int Passages);

/// <summary>What a corpus would take, and how best to serve it: content of plan.json. Estimates throughout.</summary>
public sealed record PlanReport
{
    public required string Model { get; init; }
    public required string Version { get; init; }

    /// <summary>As target in models.yaml.</summary>
    public required string Chip { get; init; }

    /// <summary>What the estimates rest on, for people.</summary>
    public required string Basis { get; init; }

    /// <summary>Ends of the 90 % interval over the estimate.</summary>
    public required double Low { get; init; }
    public required double High { get; init; }

    /// <summary>In a request.</summary>
    public required int Passages { get; init; }

    /// <summary>Of the corpus.</summary>
    public required IReadOnlyList<LengthCount> Lengths { get; init; }

    /// <summary>A request on the chip's CPU, each passage at its own length; null where nothing is known of that CPU.</summary>
    public required double? CpuRequestMs { get; init; }

    /// <summary>To take; null if no plan keeps to the limits.</summary>
    public required ServingPlan? Best { get; init; }

    /// <summary>Plans that no other beats in time, memory and cut passages at once, fastest first.</summary>
    public required IReadOnlyList<ServingPlan> Front { get; init; }

    /// <summary>The best plan and why, in one sentence.</summary>
    public string Sentence =>
        Best is null
            ? "no plan keeps to the limits on memory and file size"
            : string.Create(
                CultureInfo.InvariantCulture,
                $"{Best.PrecisionText} at {Best.ShapesText}, {Best.CorePlan.Replace('_', ' ')}: {Passages} "
                    + $"passages in about {Ms(Best.RequestMs)} ms"
            )
                + string.Create(CultureInfo.InvariantCulture, $" (estimated, {Ms(Best.RequestMs * Low)} to {Ms(Best.RequestMs * High)})")
                + (CpuRequestMs is { } cpu ? $", on the CPU about {Ms(cpu)}" : "")
                + (Best.CutShare > 0 ? string.Create(CultureInfo.InvariantCulture, $"; {Best.CutShare:P1} of the passages are cut") : "");

    private static string Ms(double value) => value.ToString(value >= 10 ? "0" : "0.0", CultureInfo.InvariantCulture);
}
