using System.Globalization;
using System.Text.Json.Serialization;
using MathNet.Numerics.Distributions;

namespace ModelPipeline.Toolkit;

/// <summary>What one inference costs by its compile report.</summary>
/// <param name="Cycles">As far as the compiler models them.</param>
/// <param name="TrafficKb">Memory read and written, KiB.</param>
public sealed record CompiledWork(long Cycles, long TrafficKb)
{
    // Only their ratio matters, as the measurements give the scale: the NPU's clock, and the memory bandwidth that one core gets.
    private const double CyclesPerMillisecond = 1e6;
    private const double KbPerMillisecond = 10e9 / 1024 / 1000;

    /// <summary>Null if the log was cut before the end of the report, or has none. Gathers are left out: they read a few rows of the table that the compiler counts as a whole.</summary>
    public static CompiledWork? Of(CompileReport compile) =>
        compile is { Complete: true, Cycles: > 0 } ? new(compile.Cycles, compile.Layers.Where(layer => layer.Operator != "Gather").Sum(layer => layer.TrafficKb)) : null;

    /// <summary>Milliseconds that the counted cycles and traffic would take.</summary>
    [JsonIgnore]
    public double Modelled => (Cycles / CyclesPerMillisecond) + (TrafficKb / KbPerMillisecond);
}

/// <summary>A latency that was measured on a board.</summary>
/// <param name="Source">Device that it was measured on, or models.yaml.</param>
/// <param name="Target">Platform that the file was built for.</param>
/// <param name="Artifact">sha256 of the measured file; empty if unknown.</param>
/// <param name="Work">Of what ran.</param>
/// <param name="Milliseconds">A passage, on one core.</param>
public sealed record MeasuredLatency(string Source, string Target, string Artifact, CompiledWork Work, double Milliseconds);

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

    // Before any residual is known, estimates are taken to be off by this much (standard deviation of the logarithm), with the weight of so many residuals.
    private const double PriorDeviation = 0.25;
    private const int PriorWeight = 4;

    /// <summary>
    /// Scales the modelled time by the geometric mean of measured over modelled times. The interval is the one for a new observation of a log-normal ratio:
    /// exp(mean ± t s sqrt(1 + 1/n)), t the 95 % quantile of Student's distribution, s from the residuals and the prior.
    /// </summary>
    /// <param name="work">Of the file to estimate.</param>
    /// <param name="measured">Of files for the same platform.</param>
    /// <returns>Null if nothing was measured.</returns>
    public static LatencyEstimate? Of(CompiledWork work, IReadOnlyList<MeasuredLatency> measured)
    {
        if (measured.Count == 0)
            return null;
        double[] ratios = [.. measured.Select(pair => Math.Log(pair.Milliseconds / pair.Work.Modelled))];
        var mean = ratios.Average();
        var freedom = PriorWeight + ratios.Length - 1;
        var variance = ((PriorWeight * PriorDeviation * PriorDeviation) + ratios.Sum(ratio => (ratio - mean) * (ratio - mean))) / freedom;
        var spread = StudentT.InvCDF(0, 1, freedom, 0.95) * Math.Sqrt(variance * (1 + (1.0 / ratios.Length)));
        double Rounded(double exponent) => Math.Round(work.Modelled * Math.Exp(exponent), 6);
        return new LatencyEstimate(Rounded(mean), Rounded(mean - spread), Rounded(mean + spread), string.Create(CultureInfo.InvariantCulture,
            $"{work.Cycles / 1e6:0.0} M cycles and {work.TrafficKb / 1024.0:0.0} MB of traffic, scaled by {measured.Count} measured {(measured.Count == 1 ? "file" : "files")} ({Sources(measured)})"));
    }

    /// <summary>models.yaml: 12 ms; board: 11.8, 6 ms</summary>
    private static string Sources(IEnumerable<MeasuredLatency> measured) => string.Join("; ", measured.GroupBy(pair => pair.Source)
        .Select(source => $"{source.Key}: {string.Join(", ", source.Select(pair => pair.Milliseconds.ToString("0.#", CultureInfo.InvariantCulture)))} ms"));

    /// <summary>Two digits that mean something.</summary>
    private static string Short(double value) => value.ToString(value >= 10 ? "0" : "0.0", CultureInfo.InvariantCulture);
}
