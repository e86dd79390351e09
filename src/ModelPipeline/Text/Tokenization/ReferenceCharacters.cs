using System.Collections.Frozen;
using System.Globalization;
using System.Text;

namespace ModelPipeline.Text.Tokenization;

[Flags]
internal enum CharacterTraits : byte
{
    None = 0,

    /// <summary>General category P, and all ASCII symbols.</summary>
    Punctuation = 1,

    /// <summary>General category Mn.</summary>
    NonspacingMark = 2,

    /// <summary>General category M.</summary>
    Mark = 4,

    /// <summary>General category Cc, Cf or Co: BERT's cleaning removes it, if it is no space.</summary>
    Dropped = 8,

    /// <summary>Decomposes canonically, but nothing is composed to it.</summary>
    NeverComposed = 16,

    /// <summary>Has a canonical combining class other than 0.</summary>
    Combining = 32,

    /// <summary>Lower-casing changes it.</summary>
    Cased = 64,
}

/// <summary>
/// Properties of code points as the reference tokenizer has them, from an embedded table: its Unicode versions are older than the
/// runtime's, and the runtime's casing would depend on the machine's ICU.
/// </summary>
internal static class ReferenceCharacters
{
    private const int CodePoints = 0x110000;

    private static readonly CharacterTraits[] Table = new CharacterTraits[CodePoints];
    private static readonly FrozenDictionary<int, byte> Classes;
    private static readonly FrozenDictionary<int, int> CaseOffsets;

    static ReferenceCharacters()
    {
        var (classes, offsets) = (new Dictionary<int, byte>(), new Dictionary<int, int>());
        foreach (var line in UnicodeData.Lines("reference-characters.txt"))
        {
            var parts = line.Split(' ');
            var (first, last) = (UnicodeData.CodePoint(parts[1]), UnicodeData.CodePoint(parts[2]));
            var trait = parts[0] switch
            {
                "punctuation" => CharacterTraits.Punctuation,
                "nonspacing" => CharacterTraits.NonspacingMark,
                "mark" => CharacterTraits.Mark,
                "dropped" => CharacterTraits.Dropped,
                "excluded" => CharacterTraits.NeverComposed,
                "class" => CharacterTraits.Combining,
                "lower" => CharacterTraits.Cased,
                var other => throw new InvalidOperationException(other),
            };
            for (var code = first; code <= last; code++)
            {
                Table[code] |= trait;
                if (trait == CharacterTraits.Combining)
                    classes.Add(code, byte.Parse(parts[3], CultureInfo.InvariantCulture));
                if (trait == CharacterTraits.Cased)
                    offsets.Add(code, int.Parse(parts[3], CultureInfo.InvariantCulture));
            }
        }
        (Classes, CaseOffsets) = (classes.ToFrozenDictionary(), offsets.ToFrozenDictionary());
    }

    public static bool Is(int code, CharacterTraits trait) => (Table[code] & trait) != 0;

    /// <summary>Canonical combining class, 0 to 254.</summary>
    public static int CombiningClass(int code) => Is(code, CharacterTraits.Combining) ? Classes[code] : 0;

    /// <summary>Lower case of one code point; U+0130, which becomes two, is left as it is.</summary>
    public static int ToLower(int code) => Is(code, CharacterTraits.Cased) ? code + CaseOffsets[code] : code;

    /// <summary>Unicode's White_Space.</summary>
    public static bool IsSpace(int code) => code < 0x10000 && char.IsWhiteSpace((char)code);

    /// <summary>Unicode's word characters (UTS 18): alphabetic, marks, decimal digits, connectors and the two joiners.</summary>
    public static bool IsWord(int code) =>
        CharUnicodeInfo.GetUnicodeCategory(code)
            is UnicodeCategory.UppercaseLetter
                or UnicodeCategory.LowercaseLetter
                or UnicodeCategory.TitlecaseLetter
                or UnicodeCategory.ModifierLetter
                or UnicodeCategory.OtherLetter
                or UnicodeCategory.NonSpacingMark
                or UnicodeCategory.SpacingCombiningMark
                or UnicodeCategory.EnclosingMark
                or UnicodeCategory.DecimalDigitNumber
                or UnicodeCategory.LetterNumber
                or UnicodeCategory.ConnectorPunctuation
        || code
            is 0x200C
                or 0x200D
                or (>= 0x24B6 and <= 0x24E9)
                or (>= 0x1F130 and <= 0x1F149)
                or (>= 0x1F150 and <= 0x1F169)
                or (>= 0x1F170 and <= 0x1F189);

    /// <summary>Text without unpaired surrogates: each reads as U+FFFD.</summary>
    public static string WellFormed(string text)
    {
        if (!text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF'))
            return text;
        var result = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
            result.Append(rune);
        return result.ToString();
    }
}

/// <summary>The embedded tables.</summary>
internal static class UnicodeData
{
    public static IEnumerable<string> Lines(string name)
    {
        using var stream = typeof(UnicodeData).Assembly.GetManifestResourceStream(name)!;
        using var reader = new StreamReader(stream);
        while (reader.ReadLine() is { } line)
        {
            if (!line.StartsWith('#'))
                yield return line;
        }
    }

    public static int CodePoint(string hexadecimal) => int.Parse(hexadecimal, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
