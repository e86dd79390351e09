using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using ModelPipeline.Core;

namespace ModelPipeline.Text.Tokenization;

/// <summary>
/// SentencePiece's normalizer: a map from character sequences to texts. Its bytes are a little-endian uint32 length, a double-array trie
/// (Aoe 1989, in the units of darts-clone) of that many bytes, and UTF-8 texts that each end with a zero byte.
/// </summary>
internal sealed record PrecompiledNormalizer : Normalizer
{
    /// <summary>Longer sequences are looked up character by character, as the reference has it.</summary>
    private const int LongestCluster = 5;

    private readonly uint[] _units;
    private readonly byte[] _texts;
    private readonly string?[] _ascii = new string?[128];

    /// <param name="map">The map's bytes.</param>
    /// <param name="place">Named in errors.</param>
    /// <exception cref="PipelineException">It is not such a map.</exception>
    public PrecompiledNormalizer(ReadOnlySpan<byte> map, string place)
    {
        var length = map.Length < 4 ? uint.MaxValue : BinaryPrimitives.ReadUInt32LittleEndian(map);
        if (length % 4 != 0 || length == 0 || length > map.Length - 4)
            throw new PipelineException($"{place}: not a precompiled map of characters; take the file from the model's author again.");
        _units = new uint[length / 4];
        for (var i = 0; i < _units.Length; i++)
            _units[i] = BinaryPrimitives.ReadUInt32LittleEndian(map[(4 + 4 * i)..]);
        _texts = map[(4 + (int)length)..].ToArray();
        for (var c = 0; c < _ascii.Length; c++)
            _ascii[c] = Find([(byte)c]);
    }

    public override string Apply(string text)
    {
        var result = default(StringBuilder);
        var kept = 0;
        Span<byte> bytes = stackalloc byte[LongestCluster];
        var start = 0;
        while (start < text.Length)
        {
            var length = ClusterLength(text, start);
            if (length == 1 && text[start] < 0x80)
            {
                Replace(start, 1, _ascii[text[start]]);
            }
            else if (
                Utf8Length(text.AsSpan(start, length)) <= LongestCluster
                && Find(bytes[..Encoding.UTF8.GetBytes(text.AsSpan(start, length), bytes)]) is { } whole
            )
            {
                Replace(start, length, whole);
            }
            else
            {
                var i = start;
                while (i < start + length)
                {
                    Rune.DecodeFromUtf16(text.AsSpan(i), out var rune, out var consumed);
                    Replace(i, consumed, Find(bytes[..rune.EncodeToUtf8(bytes)]));
                    i += consumed;
                }
            }
            start += length;
        }
        return result is null ? text : result.Append(text, kept, text.Length - kept).ToString();

        void Replace(int start, int length, string? by)
        {
            if (by is null)
                return;
            (result ??= new StringBuilder(text.Length + 16)).Append(text, kept, start - kept).Append(by);
            kept = start + length;
        }
    }

    /// <summary>UTF-16 units of the grapheme cluster (UAX 29) at <paramref name="start"/>.</summary>
    private static int ClusterLength(string text, int start)
    {
        var next = start + 1;
        return text[start] is < '\u0080' and not '\r' && (next == text.Length || text[next] < 0x80)
            ? 1
            : StringInfo.GetNextTextElementLength(text.AsSpan(start));
    }

    private static int Utf8Length(ReadOnlySpan<char> cluster) =>
        cluster.Length > LongestCluster ? int.MaxValue : Encoding.UTF8.GetByteCount(cluster);

    /// <summary>What the shortest sequence in the map that <paramref name="key"/> begins with is replaced by; null if there is
    /// none.</summary>
    private string? Find(ReadOnlySpan<byte> key)
    {
        var position = Offset(_units[0]);
        foreach (var b in key)
        {
            if (b == 0)
                return null;
            position ^= b;
            if (position >= _units.Length)
                return null;
            var unit = _units[position];
            if ((unit & 0x800000FF) != b)
                return null;
            position ^= Offset(unit);
            if ((unit >> 8 & 1) == 1)
                return position < _units.Length ? TextAt(_units[position] & 0x7FFFFFFF) : null;
        }
        return null;
    }

    private static uint Offset(uint unit) => unit >> 10 << (int)((unit & 1u << 9) >> 6);

    private string? TextAt(uint start)
    {
        if (start >= _texts.Length)
            return null;
        var text = _texts.AsSpan((int)start);
        var end = text.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? text : text[..end]);
    }
}
