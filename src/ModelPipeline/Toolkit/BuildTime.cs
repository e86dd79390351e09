using ModelPipeline.Manifest;

namespace ModelPipeline.Toolkit;

/// <summary>
/// How long rknn-toolkit2 takes, and when to stop waiting. Coefficients fit builds of a 12-layer model of 134 MB (fp16 22 s, int8 43 s,
/// kl_divergence 86 s, each further shape in one file 7 s, its simulator 0.45 s a passage of 128 tokens) and of the sample's, on two cores.
/// </summary>
internal static class BuildTime
{
    /// <summary>Estimates are this much too short for a time limit: another machine, a busy one, another architecture.</summary>
    private const double Patience = 10;

    private const double Start = 5;
    private const double ShapePerMb = 0.13;
    private const double QuantizationPerMb = 0.15;
    private const double CalibrationPerMbToken = 4e-6;
    private const double AnalysisPerMb = 0.3;
    private const double SimulationPerMbToken = 2.6e-5;

    /// <summary>No limit is shorter.</summary>
    private static readonly TimeSpan Least = TimeSpan.FromMinutes(10);

    /// <summary>Ten times the estimate, at least ten minutes.</summary>
    public static TimeSpan Limit(BuildWork work) =>
        TimeSpan.FromSeconds(Math.Max(Least.TotalSeconds, Patience * Estimate(work).TotalSeconds));

    /// <summary>What it should take.</summary>
    public static TimeSpan Estimate(BuildWork work)
    {
        var quantization =
            work.Precision == Precision.Fp16
                ? 0
                : QuantizationPerMb + (CalibrationPerMbToken * work.CalibrationTokens * Passes(work.Algorithm));
        var perMb =
            (ShapePerMb * work.Shapes) + quantization + (work.Analyse ? AnalysisPerMb : 0) + (SimulationPerMbToken * work.SimulatedTokens);
        return TimeSpan.FromSeconds(Start + (work.ModelMb * perMb));
    }

    /// <summary>How much more than ranges an algorithm computes from each sample.</summary>
    private static double Passes(QuantizationAlgorithm algorithm) =>
        algorithm switch
        {
            QuantizationAlgorithm.Normal => 1,
            QuantizationAlgorithm.KlDivergence => 7,
            QuantizationAlgorithm.Mmse => 20,
        };
}

/// <summary>What a build has to do.</summary>
/// <param name="ModelMb">Size of the fp32 graph in MB.</param>
/// <param name="Precision">fp16 needs no calibration.</param>
/// <param name="Algorithm">That finds the int8 ranges.</param>
internal sealed record BuildWork(double ModelMb, Precision Precision, QuantizationAlgorithm Algorithm)
{
    /// <summary>In one file.</summary>
    public int Shapes { get; init; } = 1;

    /// <summary>Of all calibration samples.</summary>
    public long CalibrationTokens { get; init; }

    /// <summary>Of all samples that the toolkit's simulator runs.</summary>
    public long SimulatedTokens { get; init; }

    /// <summary>Compare every layer with fp32.</summary>
    public bool Analyse { get; init; }
}
