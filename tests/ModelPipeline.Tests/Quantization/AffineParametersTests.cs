using CsCheck;
using ModelPipeline.Quantization;

namespace ModelPipeline.Tests.Quantization;

public sealed class AffineParametersTests
{
    private static readonly Gen<float> Finite = Gen.OneOf(
        Gen.Float[-1e3f, 1e3f],
        Gen.Float[-1, 1],
        Gen.Float[-1e30f, 1e30f],
        Gen.Const(0f),
        Gen.Const(1e-39f)
    );
    private static readonly Gen<(float Min, float Max)> Ranges = Gen.Select(Finite, Finite)
        .Select((a, b) => (MathF.Min(a, b), MathF.Max(a, b)));

    [Fact]
    public void Zero_is_exact_in_every_range() =>
        Ranges.Sample(range =>
        {
            var parameters = AffineParameters.Covering(range.Min, range.Max);

            Assert.Equal(0, parameters.Dequantize(parameters.Quantize(0)));
            Assert.True(parameters.Scale > 0 && float.IsFinite(parameters.Scale));
        });

    [Fact]
    public void A_value_within_the_range_comes_back_within_half_a_step_and_at_the_ends_within_one() =>
        Gen.Select(Ranges, Gen.Double[0, 1])
            .Sample(
                (range, at) =>
                {
                    var (min, max) = (MathF.Min(range.Min, 0), MathF.Max(range.Max, 0));
                    var parameters = AffineParameters.Covering(min, max);
                    var value = (float)(min + at * ((double)max - min));

                    var error = Math.Abs((double)value - parameters.Dequantize(parameters.Quantize(value)));

                    // Rounding the zero point moves the covered range by up to half a step, which saturates that much at one end.
                    var lowest = parameters.Dequantize(-128);
                    var highest = parameters.Dequantize(127);
                    var allowed = value < lowest || value > highest ? 1 : 0.5;
                    Assert.True(
                        error <= parameters.Scale * (allowed + 1e-4) || parameters.Scale == 1,
                        $"{value} in [{min}, {max}] is off by {error / parameters.Scale} steps"
                    );
                }
            );

    [Fact]
    public void A_value_beyond_the_range_saturates() =>
        Ranges
            .Where(range => range.Max - (double)range.Min > 1e-3 && range.Max < 1e29f && range.Min > -1e29f)
            .Sample(range =>
            {
                var parameters = AffineParameters.Covering(range.Min, range.Max);
                var beyond = 10 * MathF.Max(MathF.Abs(range.Min), MathF.Abs(range.Max)) + 1;

                Assert.Equal((127, -128), (parameters.Quantize(beyond), parameters.Quantize(-beyond)));
                Assert.Equal((127, -128), (parameters.Quantize(float.PositiveInfinity), parameters.Quantize(float.NegativeInfinity)));
            });

    [Theory]
    [InlineData(-2, 1, 3 / 255f, 42)]
    [InlineData(0, 1, 1 / 255f, -128)]
    [InlineData(-30, 0, 30 / 255f, 127)]
    [InlineData(3, 5, 5 / 255f, -128)]
    [InlineData(0, 0, 1, 0)]
    public void Scale_and_zero_point_are_those_of_the_formula(float min, float max, float scale, sbyte zeroPoint) =>
        Assert.Equal(new AffineParameters(scale, zeroPoint), AffineParameters.Covering(min, max));

    [Fact]
    public void A_range_that_is_no_number_is_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => AffineParameters.Covering(0, float.PositiveInfinity));
        Assert.Throws<ArgumentOutOfRangeException>(() => AffineParameters.Covering(float.NegativeInfinity, 0));
    }
}
