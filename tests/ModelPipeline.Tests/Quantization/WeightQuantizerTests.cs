using CsCheck;
using ModelPipeline.Quantization;
using Tensor = ModelPipeline.Onnx.Tensor;

namespace ModelPipeline.Tests.Quantization;

public sealed class WeightQuantizerTests
{
    private static readonly Gen<(int Rows, int Columns, float[] Values, int Axis)> Matrices =
        from rows in Gen.Int[1, 9]
        from columns in Gen.Int[1, 9]
        from values in Gen.Float[-3, 3].Array[rows * columns]
        from axis in Gen.Int[0, 1]
        select (rows, columns, values, axis);

    [Fact]
    public void A_weight_comes_back_within_its_channels_step() =>
        Matrices.Sample(matrix =>
        {
            var quantized = WeightQuantizer.PerChannel(Tensor.Of([matrix.Rows, matrix.Columns], matrix.Values), matrix.Axis);

            var (scales, zeros, values) = (
                quantized.Scales.Span<float>().ToArray(),
                quantized.ZeroPoints.Span<sbyte>().ToArray(),
                quantized.Values.Span<sbyte>().ToArray()
            );
            Assert.Equal(matrix.Axis == 0 ? matrix.Rows : matrix.Columns, scales.Length);
            for (var i = 0; i < values.Length; i++)
            {
                var channel = matrix.Axis == 0 ? i / matrix.Columns : i % matrix.Columns;
                Assert.Equal(matrix.Values[i], (values[i] - zeros[channel]) * scales[channel], 1.001 * scales[channel]);
            }
        });

    [Fact]
    public void A_channel_has_the_scale_of_its_own_range() =>
        Matrices.Sample(matrix =>
        {
            var quantized = WeightQuantizer.PerChannel(Tensor.Of([matrix.Rows, matrix.Columns], matrix.Values), matrix.Axis);

            var channels = matrix
                .Values.Select((value, i) => (value, Channel: matrix.Axis == 0 ? i / matrix.Columns : i % matrix.Columns))
                .GroupBy(entry => entry.Channel, entry => entry.value);
            Assert.Equal(
                channels.OrderBy(channel => channel.Key).Select(channel => AffineParameters.Covering(channel.Min(), channel.Max()).Scale),
                quantized.Scales.Span<float>().ToArray()
            );
        });

    [Fact]
    public void One_scale_for_a_whole_tensor_quantizes_each_element_by_it() =>
        Gen.Float[-3, 3]
            .Array[1, 20]
            .Sample(values =>
            {
                var parameters = AffineParameters.Covering(values.Min(), values.Max());

                var quantized = WeightQuantizer.PerTensor(Tensor.Of([values.Length], values), parameters);

                Assert.Equal(values.Select(parameters.Quantize), quantized.Span<sbyte>().ToArray());
            });
}
