using ModelPipeline.Manifest;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>Estimates against what builds of the 12-layer model took on two cores, and the limits that follow.</summary>
public sealed class BuildTimeTests
{
    [Theory]
    [InlineData(Precision.Fp16, QuantizationAlgorithm.Normal, 1, 0, 0, 22)]
    [InlineData(Precision.Fp16, QuantizationAlgorithm.Normal, 7, 0, 0, 130)]
    [InlineData(Precision.W8A8, QuantizationAlgorithm.Normal, 1, 12_800, 0, 47)]
    [InlineData(Precision.W8A8, QuantizationAlgorithm.KlDivergence, 1, 12_800, 0, 86)]
    [InlineData(Precision.W8A8, QuantizationAlgorithm.Normal, 1, 12_800, 128 * 250, 160)]
    public void Estimates_are_near_what_was_measured(
        Precision precision,
        QuantizationAlgorithm algorithm,
        int shapes,
        long calibration,
        long simulated,
        double seconds
    )
    {
        var work = new BuildWork(133.7, precision, algorithm)
        {
            Shapes = shapes,
            CalibrationTokens = calibration,
            SimulatedTokens = simulated,
        };

        Assert.InRange(BuildTime.Estimate(work).TotalSeconds, seconds / 1.3, seconds * 1.3);
        Assert.Equal(Math.Max(600, 10 * BuildTime.Estimate(work).TotalSeconds), BuildTime.Limit(work).TotalSeconds, 1e-3);
    }

    [Fact]
    public void No_limit_is_shorter_than_ten_minutes() =>
        Assert.Equal(TimeSpan.FromMinutes(10), BuildTime.Limit(new BuildWork(0.1, Precision.Fp16, QuantizationAlgorithm.Normal)));
}
