using System.Collections.Frozen;
using System.Text;

namespace ModelPipeline.Text.Tokenization;

internal enum UnicodeForm
{
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
}

/// <summary>
/// Unicode's normalization forms (The Unicode Standard, section 3.11) from embedded tables. <see cref="string.Normalize()"/> changes
/// nothing under InvariantGlobalization, and with ICU would depend on the machine's version.
/// </summary>
internal static class UnicodeForms
{
    private const int HangulBase = 0xAC00,
        LeadBase = 0x1100,
        VowelBase = 0x1161,
        TrailBase = 0x11A7;
    private const int Leads = 19,
        Vowels = 21,
        Trails = 28,
        Syllables = Leads * Vowels * Trails;

    private static readonly FrozenDictionary<int, int[]> Canonical = Load("canonical-decompositions.txt");
    private static readonly FrozenDictionary<int, int[]> Compatibility = Load("compatibility-decompositions.txt");
    private static readonly FrozenDictionary<(int First, int Second), int> Compositions = FindCompositions();

    /// <summary><paramref name="text"/>, which has no unpaired surrogates, in a form.</summary>
    public static string Normalize(string text, UnicodeForm form)
    {
        var compatibility = form is UnicodeForm.Nfkc or UnicodeForm.Nfkd;
        var compose = form is UnicodeForm.Nfc or UnicodeForm.Nfkc;
        if (!text.AsSpan().ContainsAnyInRange(FirstChanged(form), '\uFFFF'))
            return text;
        var codes = Decompose(text, compatibility);
        if (compose)
            Compose(codes);
        var result = new StringBuilder(text.Length);
        foreach (var code in codes)
            result.Append(new Rune(code));
        return result.ToString();
    }

    /// <summary>Below it nothing changes in this form.</summary>
    private static char FirstChanged(UnicodeForm form) =>
        form switch
        {
            UnicodeForm.Nfc => '\u0300',
            UnicodeForm.Nfd => '\u00C0',
            UnicodeForm.Nfkc or UnicodeForm.Nfkd => '\u00A0',
            var other => throw new ArgumentOutOfRangeException(nameof(form), other, null),
        };

    private static List<int> Decompose(string text, bool compatibility)
    {
        var codes = new List<int>(text.Length + 16);
        var marks = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            var start = codes.Count;
            Decompose(rune.Value, compatibility, codes);
            for (var i = start; i < codes.Count; i++)
            {
                if (ReferenceCharacters.Is(codes[i], CharacterTraits.Combining))
                    continue;
                Reorder(codes, marks, i);
                marks = i + 1;
            }
        }
        Reorder(codes, marks, codes.Count);
        return codes;
    }

    private static void Decompose(int code, bool compatibility, List<int> into)
    {
        var syllable = code - HangulBase;
        if (syllable is >= 0 and < Syllables)
        {
            // The Unicode Standard, section 3.12.
            into.Add(LeadBase + syllable / (Vowels * Trails));
            into.Add(VowelBase + syllable % (Vowels * Trails) / Trails);
            if (syllable % Trails != 0)
                into.Add(TrailBase + syllable % Trails);
        }
        else if ((compatibility && Compatibility.TryGetValue(code, out var parts)) || Canonical.TryGetValue(code, out parts))
        {
            into.AddRange(parts);
        }
        else
        {
            into.Add(code);
        }
    }

    /// <summary>Sorts the combining marks from <paramref name="start"/> to <paramref name="end"/> by class; equals keep their
    /// order.</summary>
    private static void Reorder(List<int> codes, int start, int end)
    {
        if (end - start < 2)
            return;
        int[] sorted = [.. codes.Skip(start).Take(end - start).OrderBy(ReferenceCharacters.CombiningClass)];
        for (var i = 0; i < sorted.Length; i++)
            codes[start + i] = sorted[i];
    }

    private static void Compose(List<int> codes)
    {
        // The last starter's place, and the class of the last mark kept behind it, which blocks those of no higher class.
        var (starter, blocked, length) = (-1, -1, 0);
        for (var i = 0; i < codes.Count; i++)
        {
            var (code, mark) = (codes[i], ReferenceCharacters.CombiningClass(codes[i]));
            if (starter >= 0 && blocked < mark && ComposeTwo(codes[starter], code) is { } composed)
            {
                codes[starter] = composed;
                continue;
            }
            if (mark == 0)
                (starter, blocked) = (length, -1);
            else
                blocked = mark;
            codes[length++] = code;
        }
        codes.RemoveRange(length, codes.Count - length);
    }

    private static int? ComposeTwo(int first, int second)
    {
        if (first - LeadBase is >= 0 and < Leads && second - VowelBase is >= 0 and < Vowels)
            return HangulBase + ((first - LeadBase) * Vowels + second - VowelBase) * Trails;
        if (first - HangulBase is >= 0 and < Syllables && (first - HangulBase) % Trails == 0 && second - TrailBase is > 0 and < Trails)
            return first + second - TrailBase;
        return Compositions.TryGetValue((first, second), out var composed) ? composed : null;
    }

    /// <summary>Each composite is what the composite of all but its last part, and that part, are composed to.</summary>
    private static FrozenDictionary<(int, int), int> FindCompositions()
    {
        var composites = Canonical
            .Where(pair => pair.Value.Length > 1 && !ReferenceCharacters.Is(pair.Key, CharacterTraits.NeverComposed))
            .ToList();
        var byParts = composites.ToDictionary(pair => string.Join(' ', pair.Value), pair => pair.Key);
        return composites.ToFrozenDictionary(
            pair => (pair.Value.Length == 2 ? pair.Value[0] : byParts[string.Join(' ', pair.Value[..^1])], pair.Value[^1]),
            pair => pair.Key
        );
    }

    private static FrozenDictionary<int, int[]> Load(string name) =>
        UnicodeData
            .Lines(name)
            .Select(line => line.Split(' ').Select(UnicodeData.CodePoint).ToArray())
            .ToFrozenDictionary(codes => codes[0], codes => codes[1..]);
}
