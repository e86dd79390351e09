using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using ModelPipeline.Onnx;

namespace ModelPipeline.Quantization;

/// <summary>A matrix as symmetric int8: <c>real = q * scale</c>, q in [-127, 127].</summary>
/// <param name="Values">int8, the shape of the matrix.</param>
/// <param name="Scales">float, positive: [columns] for columns, [rows, 1] for rows.</param>
internal sealed record CpuWeight(Tensor Values, Tensor Scales);

/// <summary>Weights for ONNX Runtime's integer kernels on any CPU.</summary>
internal static class CpuWeights
{
    private const float Largest = 127;

    /// <summary>
    /// What two weights that stand one above the other may add up to. CPUs without a dot product instruction multiply 8-bit activations (up
    /// to 255) and weights into pairwise 16-bit sums that saturate: 255 * 128 = 32640 is the last multiple that fits. Rounding may add half
    /// a step to each.
    /// </summary>
    private const float LargestPair = 127;

    /// <summary>
    /// One scale a column: the smallest with which no weight passes <see cref="Largest"/> and no pair of rows (2i, 2i + 1) passes
    /// <see cref="LargestPair"/>. Weights of one column are rarely large side by side, so this keeps nearly all of the eighth bit that
    /// a reduced range of [-64, 64] gives away.
    /// </summary>
    /// <param name="matrix">float [rows, columns], row-major: the right operand of a MatMul.</param>
    /// <param name="factors">Multiplies each row first, if given: [rows].</param>
    public static CpuWeight Columns(Tensor matrix, float[]? factors = null)
    {
        var (rows, columns) = (checked((int)matrix.Shape[0]), checked((int)matrix.Shape[1]));
        var values = factors is null ? matrix.Span<float>() : RowsTimes(matrix.Span<float>(), factors, columns);
        var steps = new float[columns];
        for (var row = 0; row < rows; row += 2)
            WidenForPair(
                values.Slice(row * columns, columns),
                row + 1 < rows ? values.Slice((row + 1) * columns, columns) : default,
                steps
            );
        var inverse = new float[columns];
        for (var column = 0; column < columns; column++)
            (steps[column], inverse[column]) = Scale(steps[column]);
        var quantized = new byte[values.Length];
        for (var row = 0; row < rows; row++)
            Round(values.Slice(row * columns, columns), inverse, MemoryMarshal.Cast<byte, sbyte>(quantized.AsSpan(row * columns, columns)));
        return new CpuWeight(new Tensor(ElementType.Int8, matrix.Shape, quantized), Tensor.Vector(steps));
    }

    /// <summary>One scale a row, for tables of which rows are gathered and for weights that are turned back into float.</summary>
    public static CpuWeight Rows(Tensor matrix)
    {
        var (rows, columns) = (checked((int)matrix.Shape[0]), checked((int)matrix.Shape[1]));
        var steps = new float[rows];
        var quantized = new byte[(long)rows * columns];
        Parallel.For(
            0,
            (rows + RowsATask - 1) / RowsATask,
            task =>
            {
                var values = matrix.Span<float>();
                var inverse = new float[columns];
                for (var row = task * RowsATask; row < Math.Min(rows, (task + 1) * RowsATask); row++)
                {
                    var from = values.Slice(row * columns, columns);
                    (steps[row], var factor) = Scale(columns == 0 ? 0 : MathF.Abs(TensorPrimitives.MaxMagnitude(from)) / Largest);
                    inverse.AsSpan().Fill(factor);
                    Round(from, inverse, MemoryMarshal.Cast<byte, sbyte>(quantized.AsSpan(row * columns, columns)));
                }
            }
        );
        return new CpuWeight(new Tensor(ElementType.Int8, matrix.Shape, quantized), Tensor.Of([rows, 1], steps));
    }

    private static float[] RowsTimes(ReadOnlySpan<float> values, float[] factors, int columns)
    {
        var product = new float[values.Length];
        for (var row = 0; row < factors.Length; row++)
            TensorPrimitives.Multiply(values.Slice(row * columns, columns), factors[row], product.AsSpan(row * columns, columns));
        return product;
    }

    private const int RowsATask = 1024;

    /// <summary>Raises each column's step to what rows <paramref name="even"/> and <paramref name="odd"/> (empty after the last)
    /// need.</summary>
    private static void WidenForPair(ReadOnlySpan<float> even, ReadOnlySpan<float> odd, Span<float> steps)
    {
        var column = 0;
        for (; column <= steps.Length - Vector<float>.Count; column += Vector<float>.Count)
        {
            var a = new Vector<float>(even[column..]);
            var b = odd.IsEmpty ? Vector<float>.Zero : new Vector<float>(odd[column..]);
            var single = Vector.Max(Vector.Abs(a), Vector.Abs(b));
            var positive = Vector.Max(a, Vector<float>.Zero) + Vector.Max(b, Vector<float>.Zero);
            var negative = Vector.Min(a, Vector<float>.Zero) + Vector.Min(b, Vector<float>.Zero);
            var step = Vector.Max(single * (1 / Largest), Vector.Max(positive, -negative) * (1 / LargestPair));
            Vector.Max(step, new Vector<float>(steps[column..])).CopyTo(steps[column..]);
        }
        for (; column < steps.Length; column++)
        {
            var (a, b) = (even[column], odd.IsEmpty ? 0 : odd[column]);
            var pair = MathF.Max(MathF.Max(a, 0) + MathF.Max(b, 0), -(MathF.Min(a, 0) + MathF.Min(b, 0)));
            steps[column] = MathF.Max(steps[column], MathF.Max(MathF.Max(MathF.Abs(a), MathF.Abs(b)) / Largest, pair / LargestPair));
        }
    }

    /// <summary>A step and its reciprocal; a step too small for a normal reciprocal stands for zeros.</summary>
    private static (float Step, float Inverse) Scale(float step) => step < AffineParameters.SmallestNormal * 4 ? (1, 0) : (step, 1 / step);

    /// <summary>Nearest step, ties to even.</summary>
    private static void Round(ReadOnlySpan<float> values, ReadOnlySpan<float> inverse, Span<sbyte> rounded)
    {
        var width = Vector<float>.Count;
        var i = 0;
        for (; i <= values.Length - 4 * width; i += 4 * width)
        {
            var low = Vector.Narrow(Steps(values, inverse, i), Steps(values, inverse, i + width));
            var high = Vector.Narrow(Steps(values, inverse, i + 2 * width), Steps(values, inverse, i + 3 * width));
            Vector.Narrow(low, high).CopyTo(rounded[i..]);
        }
        for (; i < values.Length; i++)
            rounded[i] = (sbyte)Math.Clamp(MathF.Round(values[i] * inverse[i]), -Largest, Largest);

        static Vector<int> Steps(ReadOnlySpan<float> values, ReadOnlySpan<float> inverse, int at) =>
            Vector.ConvertToInt32(
                Vector.Min(
                    Vector.Max(
                        Vector.Round(new Vector<float>(values[at..]) * new Vector<float>(inverse[at..])),
                        new Vector<float>(-Largest)
                    ),
                    new Vector<float>(Largest)
                )
            );
    }
}
