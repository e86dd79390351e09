using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using ModelPipeline.Core;
using NumSharp;

namespace ModelPipeline.Calibration;

/// <summary>
/// One int64 row [1, N] as a NumPy file. NumSharp writes; reading is done here, since a file may be of any origin and its header must be
/// checked against its length
/// before anything is allocated.
/// </summary>
internal static partial class NpyFile
{
    private const int MaxHeaderBytes = 1024;

    /// <summary>Longest acceptable row.</summary>
    private const int MaxRow = 1 << 20;

    private static ReadOnlySpan<byte> Magic => [0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y'];

    /// <summary>Format version 1.0, little-endian, C order, shape (1, N).</summary>
    public static void Write(string path, long[] row)
    {
        using var stream = File.Create(path);
        np.save(stream, new NDArray(row, new Shape(1, row.Length)));
    }

    /// <summary>The N values of a file of shape (1, N).</summary>
    /// <exception cref="PipelineException">The file cannot be read, is no such array, or is cut or overlong.</exception>
    public static long[] Read(string path)
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
    private static long[] Read(string path, FileStream stream)
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
        if (!Header().Match(text).Groups["columns"].TryParse(out var columns))
            throw Bad(path, $"has the header {text.TrimEnd()}; expected '<i8' in C order of shape (1, N), N at most {MaxRow}");
        if (stream.Length - stream.Position != columns * sizeof(long))
            throw Bad(path, $"has {stream.Length - stream.Position} bytes of data; its header says {columns} x 8");

        var row = new long[columns];
        stream.ReadExactly(MemoryMarshal.AsBytes(row.AsSpan()));
        if (!BitConverter.IsLittleEndian)
            BinaryPrimitives.ReverseEndianness(row, row);
        return row;
    }

    private static bool TryParse(this Group columns, out long value) =>
        long.TryParse(columns.ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value is > 0 and <= MaxRow;

    private static PipelineException Bad(string path, string problem, Exception? inner = null) =>
        new($"{path}: {problem}. Delete the calibration folder and calibrate again.", inner: inner);

    [GeneratedRegex(
        @"^\{'descr': '<i8', 'fortran_order': False, 'shape': \(1, (?<columns>[0-9]{1,18})\), \} *\n$",
        RegexOptions.CultureInvariant
    )]
    private static partial Regex Header();
}
