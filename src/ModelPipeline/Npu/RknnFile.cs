using System.Buffers.Binary;
using System.Text.Json;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Npu;

/// <summary>What a .rknn file says of itself: the envelope and the JSON behind the compiled payload, which stays closed.</summary>
/// <param name="FormatVersion">6 for toolkit 2.3.2.</param>
/// <param name="PayloadBytes">Size of the compiled part.</param>
/// <param name="Platforms">What it runs on, such as rk3588.</param>
/// <param name="Compiler">Version of the toolkit that wrote it.</param>
/// <param name="Inputs">In the model's order.</param>
/// <param name="Outputs">In the model's order.</param>
public sealed record RknnFile(
    long FormatVersion,
    long PayloadBytes,
    IReadOnlyList<string> Platforms,
    string Compiler,
    IReadOnlyList<RknnTensor> Inputs,
    IReadOnlyList<RknnTensor> Outputs
)
{
    private const int HeaderBytes = 64;
    private const int MaxTrailerBytes = 16 << 20;

    /// <summary>Reads header and trailer. Every length is checked against the file's before anything is allocated by it.</summary>
    /// <exception cref="PipelineException">The file is missing, cut, damaged or no .rknn.</exception>
    public static RknnFile Read(string path)
    {
        try
        {
            using var file = File.OpenRead(path);
            Span<byte> header = stackalloc byte[HeaderBytes];
            if (file.ReadAtLeast(header, HeaderBytes, throwOnEndOfStream: false) < HeaderBytes)
                throw Bad(path, $"{file.Length} bytes, where the header alone has {HeaderBytes}");
            if (!header[..8].SequenceEqual("RKNN\0\0\0\0"u8))
                throw Bad(path, "it does not begin with RKNN and four zero bytes, so it is a file of another kind");
            var version = BinaryPrimitives.ReadInt64LittleEndian(header[8..]);
            var payload = BinaryPrimitives.ReadUInt64LittleEndian(header[16..]);
            var room = file.Length - HeaderBytes - sizeof(ulong);
            if (room < 0 || payload > (ulong)room)
                throw Bad(path, $"its header announces a payload of {payload} bytes, and the file has {file.Length}: it was cut");
            file.Position = HeaderBytes + (long)payload;
            Span<byte> size = stackalloc byte[sizeof(ulong)];
            file.ReadExactly(size);
            var trailer = BinaryPrimitives.ReadUInt64LittleEndian(size);
            if (trailer != (ulong)(room - (long)payload))
                throw Bad(
                    path,
                    $"its description has {trailer} bytes by its own account and {room - (long)payload} in the file: it was cut or "
                        + $"something was added"
                );
            if (trailer > MaxTrailerBytes)
                throw Bad(path, $"its description has {trailer} bytes; at most {MaxTrailerBytes} are accepted");
            var json = new byte[trailer];
            file.ReadExactly(json);
            return Describe(path, version, (long)payload, json);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new PipelineException($"{path}: cannot be read: {failure.Message}", inner: failure);
        }
    }

    /// <summary>Fails on the first thing that is not as models.yaml and the prepared model say.</summary>
    /// <param name="path">For messages.</param>
    /// <param name="platform">Target of the variant.</param>
    /// <param name="toolkit">Version that was to build it.</param>
    /// <param name="inputs">Name and shape of each input, in order.</param>
    /// <param name="outputs">Name and shape of each output, in order.</param>
    /// <exception cref="PipelineException">What was expected and what is there.</exception>
    public void Require(string path, string platform, string toolkit, IReadOnlyList<TensorShape> inputs, IReadOnlyList<TensorShape> outputs)
    {
        if (!Platforms.Contains(platform))
            throw Bad(path, $"it is built for {string.Join(", ", Platforms)}, not for {platform}");
        if (Compiler != toolkit)
            throw Bad(path, $"toolkit {Compiler} wrote it, where models.yaml asks for {toolkit}");
        Same("inputs", inputs, Inputs);
        Same("outputs", outputs, Outputs);

        void Same(string what, IReadOnlyList<TensorShape> expected, IReadOnlyList<RknnTensor> found)
        {
            var there = found.Select(tensor => tensor.Shape).ToList();
            if (expected.Count != there.Count || !expected.Zip(there).All(pair => pair.First.Admits(pair.Second)))
                throw Bad(path, $"its {what} are {string.Join(", ", there)}; expected {string.Join(", ", expected)}");
        }
    }

    private static RknnFile Describe(string path, long version, long payload, byte[] json)
    {
        try
        {
            using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 32 });
            var root = document.RootElement;
            var tensors = root.GetProperty("norm_tensor")
                .EnumerateArray()
                .ToDictionary(tensor => tensor.GetProperty("tensor_id").GetInt32(), Tensor);
            IReadOnlyList<RknnTensor> Side(string side, string count)
            {
                RknnTensor[] found =
                [
                    .. root.GetProperty("graph")
                        .EnumerateArray()
                        .Where(edge => edge.GetProperty("left").GetString() == side)
                        .OrderBy(edge => edge.GetProperty("left_tensor_id").GetInt32())
                        .Select(edge => tensors[edge.GetProperty("right_tensor_id").GetInt32()]),
                ];
                return found.Length == root.GetProperty(count).GetInt32()
                    ? found
                    : throw new KeyNotFoundException($"{count} and the graph disagree.");
            }
            return new RknnFile(
                version,
                payload,
                [.. root.GetProperty("target_platform").EnumerateArray().Select(platform => platform.GetString()!)],
                root.GetProperty("version").GetString()!,
                Side("input", "input_num"),
                Side("output", "output_num")
            );
        }
        catch (Exception failure)
            when (failure is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or ArgumentException)
        {
            throw Bad(path, $"its description cannot be read ({failure.Message.TrimEnd('.')})", failure);
        }
    }

    private static RknnTensor Tensor(JsonElement tensor)
    {
        var type = tensor.GetProperty("dtype");
        return new RknnTensor(
            new TensorShape(
                tensor.GetProperty("url").GetString()!,
                [.. tensor.GetProperty("size").EnumerateArray().Select(size => size.GetInt64())]
            ),
            type.GetProperty("vx_type").GetString()!,
            type.GetProperty("qnt_method").GetString()!
        );
    }

    private static PipelineException Bad(string path, string problem, Exception? inner = null) =>
        new($"{path}: not the .rknn file that was expected: {problem}. Convert the model again.", inner: inner);
}

/// <summary>A name and fixed dimensions; as an expectation, none stand for any.</summary>
public sealed record TensorShape(string Name, IReadOnlyList<long> Dims)
{
    internal bool Admits(TensorShape other) => Name == other.Name && (Dims.Count == 0 || Dims.SequenceEqual(other.Dims));

    public override string ToString() => $"{Name} [{string.Join(',', Dims)}]";
}

/// <summary>An input or output of a .rknn file.</summary>
/// <param name="Shape">Name and dimensions.</param>
/// <param name="Type">Element type: int8 for quantized outputs, empty where the file leaves it to the source model.</param>
/// <param name="QuantizationMethod">layer or channel; empty if not quantized.</param>
public sealed record RknnTensor(TensorShape Shape, string Type, string QuantizationMethod)
{
    /// <summary>True if values have at most 256 levels: int8 scores of different passages may tie.</summary>
    public bool IsInt8 => Type == "int8";
}
