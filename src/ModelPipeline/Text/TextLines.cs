using System.Text;
using ModelPipeline.Core;

namespace ModelPipeline.Text;

/// <summary>Reads UTF-8 text files line by line without ever holding more than one bounded line of an untrusted file.</summary>
internal static class TextLines
{
    /// <summary>Longest acceptable line in bytes.</summary>
    public const int MaxLineBytes = 1 << 20;

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Lines without their '\n' or "\r\n", numbered from 1. A byte order mark is skipped; nothing follows the last line's
    /// end.</summary>
    /// <exception cref="PipelineException">The file cannot be read, is not UTF-8, or has a line over
    /// <see cref="MaxLineBytes"/>.</exception>
    public static IEnumerable<(int Number, string Line)> Read(string path)
    {
        using var stream = Open(path);
        var buffer = new byte[1 << 16];
        var (start, end, number) = (0, 0, 0);
        while (true)
        {
            var newline = buffer.AsSpan(start, end - start).IndexOf((byte)'\n');
            if (newline >= 0)
            {
                yield return (++number, Decode(path, number, buffer.AsSpan(start, newline)));
                start += newline + 1;
                continue;
            }
            if (end - start > MaxLineBytes)
                throw new PipelineException(
                    $"{path}:{number + 1}: the line is longer than {MaxLineBytes} bytes; split the text or check that this is the right "
                        + $"file."
                );
            buffer.AsSpan(start, end - start).CopyTo(buffer);
            (start, end) = (0, end - start);
            if (end == buffer.Length)
                Array.Resize(ref buffer, buffer.Length * 2);
            var read = stream.Read(buffer, end, buffer.Length - end);
            if (read == 0)
                break;
            end += read;
        }
        if (end > 0)
            yield return (++number, Decode(path, number, buffer.AsSpan(0, end)));
    }

    private static FileStream Open(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PipelineException($"{path}: cannot be read: {e.Message}", inner: e);
        }
    }

    private static string Decode(string path, int number, ReadOnlySpan<byte> line)
    {
        if (number == 1 && line.StartsWith("\uFEFF"u8))
            line = line[3..];
        if (line.EndsWith("\r"u8))
            line = line[..^1];
        try
        {
            return Strict.GetString(line);
        }
        catch (DecoderFallbackException e)
        {
            throw new PipelineException(
                $"{path}:{number}: not valid UTF-8 at byte {e.Index + 1} of the line; save the file as UTF-8.",
                inner: e
            );
        }
    }
}
