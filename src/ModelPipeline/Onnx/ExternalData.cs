using System.Buffers;
using System.Collections.Concurrent;
using System.IO.MemoryMappedFiles;
using ModelPipeline.Core;
using ModelPipeline.Onnx.Proto;

namespace ModelPipeline.Onnx;

/// <summary>
/// Files beside an ONNX file that hold data of its tensors. They are mapped, not read: pages come when a tensor is looked at, and the
/// system takes them back at will, so that models beyond 2 GB, and beyond memory, can be gone through. The files must not be cut meanwhile.
/// </summary>
/// <param name="pathOf">Path of a file by its location; null if it is not there.</param>
internal sealed class ExternalData(Func<string, string?> pathOf)
{
    /// <summary>Behind the model's name, where this program writes such a file.</summary>
    public const string Extension = ".data";

    private static readonly ConcurrentDictionary<(string Path, long Length, DateTime Changed), MappedFile> Mapped = new();

    private readonly Dictionary<string, (MappedFile? File, long Length)> files = new(StringComparer.Ordinal);

    /// <summary>Files in the model's own folder.</summary>
    public static ExternalData Beside(string model) =>
        new(location =>
            Path.Combine(Path.GetDirectoryName(Path.GetFullPath(model))!, location) is var path && File.Exists(path) ? path : null
        );

    /// <summary>The name of the file that a tensor's data are in, with slashes.</summary>
    /// <exception cref="FormatException">There is none, or it leads out of the model's folder.</exception>
    public static string LocationOf(TensorProto tensor)
    {
        var location = Entry(tensor, "location");
        if (string.IsNullOrEmpty(location))
            throw new FormatException($"tensor '{tensor.Name}' keeps its data in another file, and does not say in which");
        return
            location.Contains('\\')
            || location.Contains(':')
            || location.Any(char.IsControl)
            || location.Split('/').Any(part => part is "" or "." or "..")
            ? throw new FormatException(
                $"tensor '{tensor.Name}' keeps its data in '{location}', which leads out of the model's folder; save the model again with "
                    + $"its data beside it"
            )
            : location;
    }

    /// <summary>A tensor's data in place.</summary>
    /// <param name="tensor">Kept elsewhere.</param>
    /// <param name="bytes">That its shape needs.</param>
    /// <exception cref="FormatException">The file is missing or too short, or the tensor says another length.</exception>
    public ReadOnlyMemory<byte> Of(TensorProto tensor, long bytes)
    {
        var location = LocationOf(tensor);
        var (file, length) = Open(location, tensor.Name);
        var offset = Number(tensor, "offset") ?? 0;
        var declared = Number(tensor, "length") ?? bytes;
        if (bytes > int.MaxValue)
            throw new FormatException($"tensor '{tensor.Name}' has {bytes:N0} bytes; a model may have more than 2 GB, one tensor may not");
        if (declared != bytes)
            throw new FormatException($"tensor '{tensor.Name}' needs {bytes:N0} bytes, and declares {declared:N0} in '{location}'");
        if (offset > length - bytes)
            throw new FormatException(
                $"tensor '{tensor.Name}' is bytes {offset:N0} to {offset + bytes:N0} of '{location}', which has {length:N0}: the file is "
                    + $"cut; fetch it again"
            );
        return bytes == 0 || file is null ? ReadOnlyMemory<byte>.Empty : new MappedBytes(file, offset, (int)bytes).Memory;
    }

    private (MappedFile? File, long Length) Open(string location, string tensor)
    {
        if (files.TryGetValue(location, out var open))
            return open;
        var path =
            pathOf(location)
            ?? throw new FormatException(
                $"tensor '{tensor}' keeps its data in '{location}', and there is no such file beside the model; put it there"
            );
        try
        {
            var info = new FileInfo(path);
            return files[location] = (
                info.Length == 0
                    ? null
                    : Mapped.GetOrAdd((info.FullName, info.Length, info.LastWriteTimeUtc), file => new MappedFile(file.Path)),
                info.Length
            );
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PipelineException($"{path}: cannot be read: {e.Message}", inner: e);
        }
    }

    private static string? Entry(TensorProto tensor, string key) => tensor.ExternalData.LastOrDefault(entry => entry.Key == key)?.Value;

    private static long? Number(TensorProto tensor, string key)
    {
        if (Entry(tensor, key) is not { } text)
            return null;
        return long.TryParse(text, System.Globalization.CultureInfo.InvariantCulture, out var number) && number >= 0
            ? number
            : throw new FormatException($"tensor '{tensor.Name}': external {key} '{text}' is no number of bytes");
    }

    /// <summary>A file that stays mapped until this process ends: spans of it may be anywhere. It takes addresses, no memory, and is mapped
    /// once.</summary>
    private sealed unsafe class MappedFile
    {
        private readonly MemoryMappedViewAccessor view;

        public MappedFile(string path)
        {
            using var file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
            view = file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
            byte* start = null;
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
            Start = start + view.PointerOffset;
        }

        public byte* Start { get; }
    }

    private sealed unsafe class MappedBytes(MappedFile file, long offset, int length) : MemoryManager<byte>
    {
        public override Span<byte> GetSpan() => new(file.Start + offset, length);

        public override MemoryHandle Pin(int elementIndex = 0) => new(file.Start + offset + elementIndex, default, this);

        public override void Unpin() { }

        protected override void Dispose(bool disposing) { }
    }
}
