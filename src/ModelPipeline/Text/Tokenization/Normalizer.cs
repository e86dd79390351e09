using System.Text;

namespace ModelPipeline.Text.Tokenization;

/// <summary>A step that rewrites text before it is split. Pure; texts have no unpaired surrogates, before or after.</summary>
internal abstract record Normalizer
{
    public abstract string Apply(string text);
}

internal sealed record NormalizerSequence(IReadOnlyList<Normalizer> Steps) : Normalizer
{
    public override string Apply(string text) => Steps.Aggregate(text, (current, step) => step.Apply(current));
}

internal sealed record FormNormalizer(UnicodeForm Form) : Normalizer
{
    public override string Apply(string text) => UnicodeForms.Normalize(text, Form);
}

/// <summary>Drops marks of every kind, as they stand: accents of composed letters stay.</summary>
internal sealed record StripAccentsNormalizer : Normalizer
{
    public override string Apply(string text) => RemoveAll(text, CharacterTraits.Mark);

    internal static string RemoveAll(string text, CharacterTraits trait)
    {
        if (!text.AsSpan().ContainsAnyInRange('\u0300', '\uFFFF'))
            return text;
        var result = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            if (!ReferenceCharacters.Is(rune.Value, trait))
                result.Append(rune);
        }
        return result.ToString();
    }
}

internal sealed record LowercaseNormalizer : Normalizer
{
    public override string Apply(string text)
    {
        if (Ascii.IsValid(text))
            return text.ToLowerInvariant();
        var result = new StringBuilder(text.Length + 8);
        foreach (var rune in text.EnumerateRunes())
        {
            if (rune.Value == 0x130)
                result.Append("i\u0307");
            else
                result.Append(new Rune(ReferenceCharacters.ToLower(rune.Value)));
        }
        return result.ToString();
    }
}

internal sealed record StripNormalizer(bool Left, bool Right) : Normalizer
{
    public override string Apply(string text)
    {
        var start = Left ? text.AsSpan().TrimStart().Length : text.Length;
        var kept = text.AsSpan(text.Length - start);
        return (Right ? kept.TrimEnd() : kept).ToString();
    }
}

internal sealed record PrependNormalizer(string Prefix) : Normalizer
{
    public override string Apply(string text) => text.Length == 0 ? text : Prefix + text;
}

/// <summary>Replaces what a literal or a regular expression matches.</summary>
internal sealed record ReplaceNormalizer(TextPattern Pattern, string Content) : Normalizer
{
    public override string Apply(string text)
    {
        var result = default(StringBuilder);
        var kept = 0;
        foreach (var (start, end) in Pattern.Matches(text.AsMemory()))
        {
            result ??= new StringBuilder(text.Length);
            result.Append(text, kept, start - kept).Append(Content);
            kept = end;
        }
        return result is null ? text : result.Append(text, kept, text.Length - kept).ToString();
    }
}

/// <summary>BERT's basic cleaning (Devlin et al. 2018), each step apart.</summary>
/// <param name="CleanText">Drop control and format characters, and make every space U+0020.</param>
/// <param name="HandleChineseChars">Put spaces around CJK ideographs.</param>
/// <param name="StripAccents">Decompose, and drop nonspacing marks.</param>
internal sealed record BertNormalizer(bool CleanText, bool HandleChineseChars, bool StripAccents, bool Lowercase) : Normalizer
{
    private static readonly LowercaseNormalizer Lower = new();

    public override string Apply(string text)
    {
        if (CleanText && text.AsSpan().ContainsAnyExceptInRange(' ', '~'))
            text = Clean(text);
        if (HandleChineseChars && text.AsSpan().ContainsAnyInRange('\u3400', '\uFFFF'))
            text = SpaceIdeographs(text);
        if (StripAccents)
            text = StripAccentsNormalizer.RemoveAll(UnicodeForms.Normalize(text, UnicodeForm.Nfd), CharacterTraits.NonspacingMark);
        return Lowercase ? Lower.Apply(text) : text;
    }

    private static string Clean(string text)
    {
        var result = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            if (rune.Value is '\t' or '\n' or '\r')
                result.Append(' ');
            else if (rune.Value is 0 or 0xFFFD || ReferenceCharacters.Is(rune.Value, CharacterTraits.Dropped))
                continue;
            else if (ReferenceCharacters.IsSpace(rune.Value))
                result.Append(' ');
            else
                result.Append(rune);
        }
        return result.ToString();
    }

    private static string SpaceIdeographs(string text)
    {
        var result = new StringBuilder(text.Length * 2);
        foreach (var rune in text.EnumerateRunes())
        {
            if (IsIdeograph(rune.Value))
                result.Append(' ').Append(rune).Append(' ');
            else
                result.Append(rune);
        }
        return result.ToString();
    }

    /// <summary>The blocks that the reference tokenizer splits one by one (its 0x2B920 included); kana and Hangul are not among
    /// them.</summary>
    private static bool IsIdeograph(int code) =>
        code
            is (>= 0x4E00 and <= 0x9FFF)
                or (>= 0x3400 and <= 0x4DBF)
                or (>= 0xF900 and <= 0xFAFF)
                or (>= 0x20000 and <= 0x2A6DF)
                or (>= 0x2A700 and <= 0x2B73F)
                or (>= 0x2B740 and <= 0x2B81F)
                or (>= 0x2B920 and <= 0x2CEAF)
                or (>= 0x2F800 and <= 0x2FA1F);
}
