using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using ModelPipeline.Core;
using NumSharp;

namespace ModelPipeline.Calibration;

/// <summary>
/// int64 rows [B, N] as a NumPy file. NumSharp writes; reading is done here, since a file may be of any origin and its header must be
/// checked against its length before anything is allocated.
/// </summary>
internal static partial class NpyFile
{
    private const int MaxHeaderBytes = 1024;

    /// <summary>Longest acceptable row, and most numbers of all.</summary>
    private const int MaxRow = 1 << 20,
        MaxNumbers = 1 << 22;

    private static ReadOnlySpan<byte> Magic => [0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y'];

    /// <summary>Format version 1.0, little-endian, C order, shape (B, N).</summary>
    /// <param name="path">Of the file.</param>
    /// <param name="values">B * N of them, row-major.</param>
    /// <param name="batch">B.</param>
    public static void Write(string path, long[] values, int batch = 1)
    {
        using var stream = File.Create(path);
        np.save(stream, new NDArray(values, new Shape(batch, values.Length / batch)));
    }

    /// <summary>The values of a file of shape (B, N), row-major.</summary>
    /// <exception cref="PipelineException">The file cannot be read, is no such array, or is cut or overlong.</exception>
    public static (long[] Values, int Batch) Read(string path)
    {
        try
        {
            using var stream = File.OpenRead(path);
            return Read(path, stream);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Bad(path, $"cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Layout: numpy.lib.format, versions 1.0 and 2.0.</summary>
    private static (long[] Values, int Batch) Read(string path, FileStream stream)
    {
        Span<byte> prefix = stackalloc byte[12];
        if (stream.ReadAtLeast(prefix[..10], 10, throwOnEndOfStream: false) < 10 || !prefix[..6].SequenceEqual(Magic))
            throw Bad(path, "is no .npy file");
        uint headerBytes = BinaryPrimitives.ReadUInt16LittleEndian(prefix[8..]);
        if (prefix[6] == 2)
        {
            stream.ReadExactly(prefix[10..]);
            headerBytes = BinaryPrimitives.ReadUInt32LittleEndian(prefix[8..]);
        }
        else if (prefix[6] != 1)
        {
            throw Bad(path, $"has .npy version {prefix[6]}.{prefix[7]}; expected 1.0 or 2.0");
        }
        if (headerBytes > MaxHeaderBytes || headerBytes > stream.Length - stream.Position)
            throw Bad(path, $"has a header of {headerBytes} bytes in a file of {stream.Length}");

        var header = new byte[headerBytes];
        stream.ReadExactly(header);
        var text = Encoding.Latin1.GetString(header);
        var shape = Header().Match(text).Groups;
        if (!shape["rows"].TryParse(out var rows) || !shape["columns"].TryParse(out var columns) || rows * columns > MaxNumbers)
            throw Bad(path, $"has the header {text.TrimEnd()}; expected '<i8' in C order of shape (B, N), N at most {MaxRow}");
        if (stream.Length - stream.Position != rows * columns * sizeof(long))
            throw Bad(path, $"has {stream.Length - stream.Position} bytes of data; its header says {rows} x {columns} x 8");

        var values = new long[rows * columns];
        stream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
        if (!BitConverter.IsLittleEndian)
            BinaryPrimitives.ReverseEndianness(values, values);
        return (values, (int)rows);
    }

    private static bool TryParse(this Group columns, out long value) =>
        long.TryParse(columns.ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value is > 0 and <= MaxRow;

    private static PipelineException Bad(string path, string problem, Exception? inner = null) =>
        new($"{path}: {problem}. Delete the calibration folder and calibrate again.", inner: inner);

    [GeneratedRegex(
        @"^\{'descr': '<i8', 'fortran_order': False, 'shape': \((?<rows>[0-9]{1,18}), (?<columns>[0-9]{1,18})\), \} *\n$",
        RegexOptions.CultureInvariant
    )]
    private static partial Regex Header();
}
