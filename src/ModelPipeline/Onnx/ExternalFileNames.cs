using Google.Protobuf;
using ModelPipeline.Core;
using ModelPipeline.Onnx.Proto;

namespace ModelPipeline.Onnx;

/// <summary>Finds the files that hold data of a model's tensors without reading the model: it goes from field to field of the
/// file.</summary>
internal static class ExternalFileNames
{
    /// <summary>A tensor without data is some names and numbers.</summary>
    private const int MostBytes = 1 << 16;

    private const int Varint = 0,
        Fixed64 = 1,
        LengthDelimited = 2,
        Fixed32 = 5;

    /// <summary>See <see cref="OnnxModel.ExternalFiles"/>.</summary>
    public static IReadOnlyList<string> Of(string path)
    {
        List<TensorProto> tensors;
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            tensors =
            [
                .. Contents(file, ModelProto.GraphFieldNumber, file.Length)
                    .SelectMany(graph => Contents(file, GraphProto.InitializerFieldNumber, graph.End))
                    .Where(tensor => tensor.End - file.Position <= MostBytes)
                    .Select(tensor => Read(file, tensor.End))
                    .Where(OnnxReader.IsExternal),
            ];
        }
        catch (Exception e) when (e is InvalidProtocolBufferException or EndOfStreamException)
        {
            // Whoever reads the model tells what is wrong with it.
            return [];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PipelineException($"{path}: cannot be read: {e.Message}", inner: e);
        }
        try
        {
            return [.. tensors.Select(ExternalData.LocationOf).Distinct(StringComparer.Ordinal)];
        }
        catch (FormatException e)
        {
            throw new PipelineException($"{path}: not a usable ONNX model: {e.Message}", inner: e);
        }
    }

    /// <summary>The fields of one number in the message that the file stands in, up to its end. The file stands at a field's content when
    /// it is given out, and behind it when the next is asked for.</summary>
    private static IEnumerable<(long Start, long End)> Contents(FileStream file, int number, long end)
    {
        while (file.Position < end)
        {
            var tag = Number(file);
            var (start, length) = (tag & 7) switch
            {
                Varint => Behind(file, _ => Number(file)),
                Fixed64 => (file.Position, 8L),
                LengthDelimited when Number(file) is var bytes && bytes <= (ulong)end => (file.Position, (long)bytes),
                Fixed32 => (file.Position, 4L),
                _ => throw new EndOfStreamException(),
            };
            if (start + length > end)
                throw new EndOfStreamException();
            if (tag >> 3 == (ulong)number && (tag & 7) == LengthDelimited)
                yield return (start, start + length);
            file.Position = start + length;
        }
    }

    private static (long Start, long Length) Behind(FileStream file, Action<FileStream> read)
    {
        read(file);
        return (file.Position, 0);
    }

    private static TensorProto Read(FileStream file, long end)
    {
        var bytes = new byte[end - file.Position];
        file.ReadExactly(bytes);
        return TensorProto.Parser.WithDiscardUnknownFields(true).ParseFrom(bytes);
    }

    private static ulong Number(FileStream file)
    {
        var number = 0UL;
        for (var shift = 0; shift < 64; shift += 7)
        {
            var next = file.ReadByte();
            if (next < 0)
                throw new EndOfStreamException();
            number |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
                return number;
        }
        throw new EndOfStreamException();
    }
}
