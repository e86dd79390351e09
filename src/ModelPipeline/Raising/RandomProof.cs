using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Core;
using ModelPipeline.Onnx;

namespace ModelPipeline.Raising;

/// <summary>Outputs of a model on seeded random inputs, to be compared with those of what is made of it: two right-padded rows of tokens,
/// as a tokenizer gives them.</summary>
/// <param name="source">The model before the first step.</param>
internal sealed class RandomProof(OnnxModel source)
{
    private const long Sequence = 8,
        Batch = 2;
    private const int Seed = 13,
        FewTokens = 2;
    private IReadOnlyList<float[]>? before;
    private bool isRun;

    /// <summary>Largest difference of any output from the model shown before, relative to outputs larger than 1. Null if that model does
    /// not run here, as a bfloat16 one, or gives no finite numbers.</summary>
    /// <exception cref="PipelineException">The new model does not run, where the one before did.</exception>
    public double? Shift(OnnxModel model, CancellationToken cancellation)
    {
        if (!isRun)
        {
            before = OutputsIfRunnable(source, cancellation);
            isRun = true;
        }
        var after = before is null ? OutputsIfRunnable(model, cancellation) : Outputs(model, cancellation);
        double? shift =
            before is null || after is null || before.Any(output => output.Any(value => !float.IsFinite(value)))
                ? null
                : before.Zip(after, Largest).Max();
        before = after;
        return shift;
    }

    private IReadOnlyList<float[]>? OutputsIfRunnable(OnnxModel model, CancellationToken cancellation)
    {
        try
        {
            return Outputs(model, cancellation);
        }
        catch (PipelineException)
        {
            return null;
        }
    }

    private static double Largest(float[] was, float[] now) =>
        was.Length == now.Length
            ? was.Zip(now, (a, b) => a.Equals(b) ? 0 : Math.Abs((double)a - b) / Math.Max(1, Math.Abs((double)a)))
                .Select(shift => double.IsNaN(shift) ? double.PositiveInfinity : shift)
                .DefaultIfEmpty()
                .Max()
            : double.PositiveInfinity;

    private IReadOnlyList<float[]> Outputs(OnnxModel model, CancellationToken cancellation)
    {
        using var session = InferenceSessions.Open(model);
        var numbers = new SplitMix64(Seed);
        var inputs = model.Graph.Inputs.Select(input => Random(input, numbers)).ToList();
        using var outputs = session.Run(inputs, session.OutputNames, cancellation);
        return [.. outputs.Select(Floats)];
    }

    private OrtValue Random(ValueInfo input, SplitMix64 numbers)
    {
        long[] shape = [.. input.Shape.Select((dimension, axis) => dimension.Value ?? (axis == 0 ? Batch : Sequence))];
        var (count, columns) = (checked((int)Tensor.CountOf(shape)), shape.Length == 0 ? 1 : (int)Math.Max(1, shape[^1]));
        var largest = Rows(input.Name) - 1;
        var values = Enumerable.Range(0, count).Select(Value).ToArray();
        return input.Type switch
        {
            ElementType.Int64 => OrtValue.CreateTensorValueFromMemory(values, shape),
            ElementType.Int32 => OrtValue.CreateTensorValueFromMemory(Array.ConvertAll(values, value => (int)value), shape),
            ElementType.Bool => OrtValue.CreateTensorValueFromMemory(Array.ConvertAll(values, value => value != 0), shape),
            ElementType.Float => OrtValue.CreateTensorValueFromMemory(Array.ConvertAll(values, value => (float)value), shape),
            var type => throw new PipelineException($"input {input} is {type}; a tokenizer's int64 was expected"),
        };

        long Value(int i)
        {
            if (input.Name.Contains("mask", StringComparison.Ordinal))
                return IsToken(i, columns) ? 1 : 0;
            return input.Name.Contains("position", StringComparison.Ordinal) ? i % columns : numbers.Between(0, largest);
        }
    }

    /// <summary>All of the first row, half of the others.</summary>
    private static bool IsToken(int index, int columns) => index < columns || index % columns <= columns / 2;

    /// <summary>Rows of the table that an input picks from, by way of casts and layout; <see cref="FewTokens"/> if there is none.</summary>
    private int Rows(string input)
    {
        var uses = new UseDef(source.Graph);
        var pending = new Queue<string>([input]);
        while (pending.TryDequeue(out var value))
        {
            foreach (var reader in uses.Consumers(value))
            {
                var table = reader.OpType switch
                {
                    "Gather" => reader.Inputs[0],
                    "EmbedLayerNormalization" => reader.Inputs[reader.Inputs[0] == value ? 2 : 4],
                    _ => null,
                };
                if (table is not null && RowsOf(table, uses) is { } rows)
                    return rows;
                if (reader.OpType is "Cast" or "Identity" or "Reshape" or "Unsqueeze" or "Squeeze")
                    pending.Enqueue(reader.Output);
            }
        }
        return FewTokens;
    }

    private static int? RowsOf(string table, UseDef uses)
    {
        while (uses.Constant(table) is null && uses.Producer(table) is { OpType: "Cast" or "Identity", Inputs: [var from] })
            table = from;
        return uses.Constant(table) is { Rank: 2 } tensor ? (int)Math.Min(int.MaxValue, tensor.Shape[0]) : null;
    }

    private static float[] Floats(OrtValue value) =>
        (ElementType)value.GetTensorTypeAndShape().ElementDataType switch
        {
            ElementType.Float => value.GetTensorDataAsSpan<float>().ToArray(),
            ElementType.Float16 => [.. value.GetTensorDataAsSpan<Float16>().ToArray().Select(half => (float)half)],
            ElementType.Double => [.. value.GetTensorDataAsSpan<double>().ToArray().Select(number => (float)number)],
            _ => [],
        };
}
