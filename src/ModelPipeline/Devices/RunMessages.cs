using System.Buffers.Binary;
using System.Runtime.InteropServices;
using ModelPipeline.Npu;

namespace ModelPipeline.Devices;

/// <summary>The binary messages of a run, as native/src/agent/message.h has them.</summary>
internal static class RunMessages
{
    /// <summary>Passages a batch, so that results come soon and a dropped link costs little.</summary>
    public const int MaxPassages = 64;

    /// <summary>Bytes of one batch of rows whose inputs all have the same length.</summary>
    /// <param name="cores">One context each.</param>
    /// <param name="rows">Arrays in the model's order; token ids fit in 32 bits.</param>
    public static byte[] Request(IReadOnlyList<NpuCores> cores, IReadOnlyList<ReadOnlyMemory<long>[]> rows)
    {
        var (inputs, elements) = (rows[0].Length, rows[0][0].Length);
        var bytes = new byte[sizeof(int) * (4 + cores.Count + rows.Count * inputs * elements)];
        var numbers = MemoryMarshal.Cast<byte, int>(bytes.AsSpan());
        numbers[0] = cores.Count;
        for (var i = 0; i < cores.Count; i++)
            numbers[1 + i] = (int)cores[i];
        numbers = numbers[(1 + cores.Count)..];
        (numbers[0], numbers[1], numbers[2]) = (rows.Count, inputs, elements);
        numbers = numbers[3..];
        foreach (var array in rows.SelectMany(row => row))
        {
            for (var i = 0; i < elements; i++)
                numbers[i] = checked((int)array.Span[i]);
            numbers = numbers[elements..];
        }
        return bytes;
    }

    /// <summary>How many rows from <paramref name="first"/> on fit into one batch.</summary>
    public static int BatchSize(IReadOnlyList<ReadOnlyMemory<long>[]> rows, int first)
    {
        var (inputs, elements) = (rows[first].Length, rows[first][0].Length);
        var fits = Math.Clamp(AgentChannel.MaxMessage / 2 / Math.Max(inputs * elements * sizeof(int), 1), 1, MaxPassages);
        var count = 1;
        while (count < fits && first + count < rows.Count && rows[first + count].All(array => array.Length == elements))
            count++;
        return count;
    }

    /// <summary>One passage's index in its batch and what came out. Null if the bytes are not a result.</summary>
    public static (int Index, PassageRun Run)? Result(ReadOnlySpan<byte> payload, int passages)
    {
        const int header = 20,
            maxOutputs = 64;
        if (payload.Length < header)
            return null;
        var index = BinaryPrimitives.ReadUInt32LittleEndian(payload);
        var microseconds = BinaryPrimitives.ReadInt64LittleEndian(payload[8..]);
        var outputs = BinaryPrimitives.ReadUInt32LittleEndian(payload[16..]);
        if (index >= passages || microseconds < 0 || outputs > maxOutputs)
            return null;
        payload = payload[header..];
        var values = new float[outputs][];
        for (var i = 0; i < outputs; i++)
        {
            if (
                payload.Length < sizeof(uint)
                || BinaryPrimitives.ReadUInt32LittleEndian(payload) is var count && count > (payload.Length - sizeof(uint)) / sizeof(float)
            )
                return null;
            var bytes = (int)BinaryPrimitives.ReadUInt32LittleEndian(payload) * sizeof(float);
            values[i] = MemoryMarshal.Cast<byte, float>(payload.Slice(sizeof(uint), bytes)).ToArray();
            payload = payload[(sizeof(uint) + bytes)..];
        }
        return payload.IsEmpty ? ((int)index, new PassageRun(values, TimeSpan.FromMicroseconds(microseconds))) : null;
    }
}
