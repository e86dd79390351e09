using System.Collections.Frozen;
using System.Globalization;
using System.Text;

namespace ModelPipeline.Text;

/// <summary>
/// Unicode's canonical decomposition (NFD without reordering of marks) from an embedded table.
/// <see cref="string.Normalize()"/> changes nothing under InvariantGlobalization, and with ICU would depend on the machine's version.
/// </summary>
internal static class CanonicalDecomposition
{
    private const int HangulBase = 0xAC00, HangulCount = 11172, LeadBase = 0x1100, VowelBase = 0x1161, TrailBase = 0x11A7;
    private const int Vowels = 21, Trails = 28;

    private static readonly FrozenDictionary<int, Rune[]> Table = Load();

    /// <summary>Appends the full decomposition of <paramref name="rune"/>, itself if it has none, to <paramref name="into"/>.</summary>
    public static void Decompose(Rune rune, List<Rune> into)
    {
        var syllable = rune.Value - HangulBase;
        if (syllable is >= 0 and < HangulCount)
        {
            // The Unicode Standard, section 3.12.
            into.Add(new Rune(LeadBase + syllable / (Vowels * Trails)));
            into.Add(new Rune(VowelBase + syllable % (Vowels * Trails) / Trails));
            if (syllable % Trails != 0)
                into.Add(new Rune(TrailBase + syllable % Trails));
        }
        else if (Table.TryGetValue(rune.Value, out var parts))
        {
            into.AddRange(parts);
        }
        else
        {
            into.Add(rune);
        }
    }

    private static FrozenDictionary<int, Rune[]> Load()
    {
        using var stream = typeof(CanonicalDecomposition).Assembly.GetManifestResourceStream("canonical-decompositions.txt")!;
        using var reader = new StreamReader(stream);
        var table = new Dictionary<int, Rune[]>();
        while (reader.ReadLine() is { } line)
        {
            if (line.StartsWith('#'))
                continue;
            var codes = line.Split(' ').Select(code => int.Parse(code, NumberStyles.HexNumber, CultureInfo.InvariantCulture)).ToArray();
            table.Add(codes[0], [.. codes[1..].Select(code => new Rune(code))]);
        }
        return table.ToFrozenDictionary();
    }
}
