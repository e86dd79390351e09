using System.Globalization;
using System.Text.Json.Serialization;

namespace ModelPipeline.Toolkit;

/// <summary>A latency that was measured on a board, with the compile report of what ran.</summary>
/// <param name="Compile">Of the measured file.</param>
/// <param name="Milliseconds">A passage, on one core.</param>
public sealed record MeasuredLatency(CompileReport Compile, double Milliseconds);

/// <summary>What an inference may take, guessed without a board. Never a measurement: no gate takes it for one.</summary>
/// <param name="Milliseconds">A passage, on one core.</param>
/// <param name="Low">Lower end of the 90 % interval.</param>
/// <param name="High">Upper end of the 90 % interval.</param>
/// <param name="Basis">What it rests on, for people.</param>
public sealed record LatencyEstimate(double Milliseconds, double Low, double High, string Basis)
{
    /// <summary>For people: about 93 (46 to 190).</summary>
    [JsonIgnore]
    public string Range => string.Create(CultureInfo.InvariantCulture, $"about {Short(Milliseconds)} ({Short(Low)} to {Short(High)})");

    // Only their ratio matters, as the measurements give the scale: the NPU's clock, and the memory bandwidth that one core gets.
    private const double CyclesPerMillisecond = 1e6;
    private const double KbPerMillisecond = 10e9 / 1024 / 1000;

    // Before any residual is known, estimates are taken to be off by this much (standard deviation of the logarithm), with the weight of so many residuals.
    private const double PriorDeviation = 0.25;
    private const int PriorWeight = 4;

    /// <summary>95 % quantiles of Student's t for 4 degrees of freedom and more.</summary>
    private static readonly double[] Student = [2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782, 1.771, 1.761, 1.753];

    /// <summary>
    /// Scales the modelled time by the geometric mean of measured over modelled times. The interval is the one for a new observation of a log-normal ratio:
    /// exp(mean ± t s sqrt(1 + 1/n)), s from the residuals and the prior.
    /// </summary>
    /// <param name="compile">Of the file to estimate.</param>
    /// <param name="measured">Of other files of the same board.</param>
    /// <returns>Null if nothing was measured or a report is not complete.</returns>
    public static LatencyEstimate? Of(CompileReport compile, IReadOnlyList<MeasuredLatency> measured)
    {
        var pairs = measured.Where(pair => pair is { Compile.Complete: true, Milliseconds: > 0 }).ToList();
        if (!compile.Complete || pairs.Count == 0)
            return null;
        double[] ratios = [.. pairs.Select(pair => Math.Log(pair.Milliseconds / Modelled(pair.Compile)))];
        var mean = ratios.Average();
        var freedom = PriorWeight + ratios.Length - 1;
        var variance = ((PriorWeight * PriorDeviation * PriorDeviation) + ratios.Sum(ratio => (ratio - mean) * (ratio - mean))) / freedom;
        var spread = Student[Math.Min(freedom - PriorWeight, Student.Length - 1)] * Math.Sqrt(variance * (1 + (1.0 / ratios.Length)));
        var modelled = Modelled(compile);
        double Rounded(double exponent) => Math.Round(modelled * Math.Exp(exponent), 6);
        return new LatencyEstimate(Rounded(mean), Rounded(mean - spread), Rounded(mean + spread), string.Create(CultureInfo.InvariantCulture,
            $"{compile.Cycles / 1e6:0.0} M cycles and {compile.TrafficKb / 1024.0:0.0} MB of traffic, scaled by {pairs.Count} measured {(pairs.Count == 1 ? "file" : "files")} ({string.Join(", ", pairs.Select(pair => $"{pair.Milliseconds.ToString("0.#", CultureInfo.InvariantCulture)} ms"))})"));
    }

    /// <summary>Two digits that mean something.</summary>
    private static string Short(double value) => value.ToString(value >= 10 ? "0" : "0.0", CultureInfo.InvariantCulture);

    /// <summary>Milliseconds that counted cycles and traffic would take. Gathers read a few rows of the table that the compiler counts as a whole.</summary>
    private static double Modelled(CompileReport compile) =>
        (compile.Cycles / CyclesPerMillisecond) + (compile.Layers.Where(layer => layer.Operator != "Gather").Sum(layer => layer.TrafficKb) / KbPerMillisecond);
}
