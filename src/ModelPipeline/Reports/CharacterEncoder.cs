using System.Buffers;
using System.Text.Encodings.Web;

namespace ModelPipeline.Reports;

/// <summary>Writes something else for certain characters of ASCII, and all others as they are.</summary>
internal sealed class CharacterEncoder : TextEncoder
{
    private readonly IReadOnlyDictionary<char, string> replacements;
    private readonly SearchValues<char> replaced;

    private CharacterEncoder(IReadOnlyDictionary<char, string> replacements) =>
        (this.replacements, replaced) = (replacements, SearchValues.Create([.. replacements.Keys]));

    /// <summary>Text and attributes in quotes of either kind.</summary>
    public static CharacterEncoder Html { get; } =
        new(
            new Dictionary<char, string>
            {
                ['&'] = "&amp;",
                ['<'] = "&lt;",
                ['>'] = "&gt;",
                ['"'] = "&quot;",
                ['\''] = "&#39;",
            }
        );

    /// <summary>Text that Markdown and its HTML show as it is, on one line and in one cell.</summary>
    public static CharacterEncoder Markdown { get; } =
        new(
            @"\`*[]<>|#&"
                .Select(letter => (letter, Text: $"\\{letter}"))
                .Concat(Enumerable.Range(0, 128).Select(code => (char)code).Where(char.IsControl).Select(control => (control, Text: " ")))
                .ToDictionary()
        );

    public override int MaxOutputCharactersPerInputCharacter => 6;

    public override bool WillEncode(int unicodeScalar) => unicodeScalar <= char.MaxValue && replacements.ContainsKey((char)unicodeScalar);

    public override unsafe int FindFirstCharacterToEncode(char* text, int textLength) =>
        new ReadOnlySpan<char>(text, textLength).IndexOfAny(replaced);

    public override unsafe bool TryEncodeUnicodeScalar(int unicodeScalar, char* buffer, int bufferLength, out int numberOfCharactersWritten)
    {
        var text = WillEncode(unicodeScalar) ? replacements[(char)unicodeScalar] : char.ConvertFromUtf32(unicodeScalar);
        numberOfCharactersWritten = text.TryCopyTo(new Span<char>(buffer, bufferLength)) ? text.Length : 0;
        return numberOfCharactersWritten > 0;
    }
}
