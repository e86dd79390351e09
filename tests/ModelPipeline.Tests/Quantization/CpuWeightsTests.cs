using CsCheck;
using ModelPipeline.Onnx;
using ModelPipeline.Quantization;

namespace ModelPipeline.Tests.Quantization;

public sealed class CpuWeightsTests
{
    private static readonly Gen<(int Rows, int Columns, float[] Values)> Matrices =
        from rows in Gen.Int[1, 40]
        from columns in Gen.Int[1, 70]
        from power in Gen.Int[-30, 4]
        let magnitude = MathF.Pow(10, power)
        from values in Gen.Float[-1, 1].Array[rows * columns]
        select (rows, columns, values.Select(value => value * value * value * magnitude).ToArray());

    [Fact]
    public void A_weight_of_columns_is_at_most_half_a_step_off() =>
        Matrices.Sample(matrix =>
        {
            var (values, scales) = Quantize(matrix, CpuWeights.Columns);
            for (var i = 0; i < values.Length; i++)
            {
                var scale = scales[i % matrix.Columns];
                Assert.True(
                    Math.Abs(values[i] * (double)scale - matrix.Values[i]) <= scale * 0.5001,
                    $"{matrix.Values[i]} became {values[i]} * {scale}"
                );
            }
        });

    [Fact]
    public void A_weight_of_rows_is_at_most_half_a_step_off() =>
        Matrices.Sample(matrix =>
        {
            var (values, scales) = Quantize(matrix, CpuWeights.Rows);
            for (var i = 0; i < values.Length; i++)
            {
                var scale = scales[i / matrix.Columns];
                Assert.True(
                    Math.Abs(values[i] * (double)scale - matrix.Values[i]) <= scale * 0.5001,
                    $"{matrix.Values[i]} became {values[i]} * {scale}"
                );
            }
        });

    [Fact]
    public void No_pair_of_rows_can_overflow_sixteen_bits() =>
        Matrices.Sample(matrix =>
        {
            var (values, _) = Quantize(matrix, CpuWeights.Columns);
            for (var row = 0; row + 1 < matrix.Rows; row += 2)
            {
                for (var column = 0; column < matrix.Columns; column++)
                {
                    int[] pair = [values[row * matrix.Columns + column], values[(row + 1) * matrix.Columns + column]];
                    // The worst activations: 255 where the weight has the sign in question, 0 elsewhere.
                    Assert.InRange(255 * pair.Where(weight => weight > 0).Sum(), 0, short.MaxValue);
                    Assert.InRange(255 * pair.Where(weight => weight < 0).Sum(), short.MinValue, 0);
                }
            }
        });

    [Fact]
    public void A_column_without_neighbours_of_the_same_sign_uses_all_eight_bits()
    {
        var (values, scales) = Quantize((4, 1, [1f, -1f, 0.5f, 0f]), CpuWeights.Columns);
        Assert.Equal([127, -127, 64, 0], values);
        Assert.Equal(1 / 127f, scales[0], 1e-7f);
    }

    [Fact]
    public void Zero_columns_stay_zero()
    {
        var (values, scales) = Quantize((3, 2, [0f, 1f, 0f, 2f, 0f, 3f]), CpuWeights.Columns);
        Assert.All(new[] { 0, 2, 4 }, i => Assert.Equal(0, values[i]));
        Assert.All(scales, scale => Assert.True(scale > 0));
    }

    [Fact]
    public void Row_factors_multiply_the_matrix_before_it_is_quantized() =>
        Matrices.Sample(matrix =>
        {
            var factors = Enumerable.Range(1, matrix.Rows).Select(row => 1f / row).ToArray();
            var scaled = matrix.Values.Select((value, i) => value * factors[i / matrix.Columns]).ToArray();
            var (values, scales) = Quantize(matrix, tensor => CpuWeights.Columns(tensor, factors));
            var (expected, expectedScales) = Quantize((matrix.Rows, matrix.Columns, scaled), CpuWeights.Columns);
            Assert.Equal(expected, values);
            Assert.Equal(expectedScales, scales);
        });

    private static (sbyte[] Values, float[] Scales) Quantize(
        (int Rows, int Columns, float[] Values) matrix,
        Func<Tensor, float[]?, CpuWeight> quantize
    ) => Quantize(matrix, tensor => quantize(tensor, null));

    private static (sbyte[] Values, float[] Scales) Quantize(
        (int Rows, int Columns, float[] Values) matrix,
        Func<Tensor, CpuWeight> quantize
    )
    {
        var weight = quantize(Tensor.Of([matrix.Rows, matrix.Columns], matrix.Values));
        return (weight.Values.Span<sbyte>().ToArray(), weight.Scales.Span<float>().ToArray());
    }
}
