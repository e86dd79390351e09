using System.Text;

namespace ModelPipeline.Text.Tokenization;

/// <summary>A step that splits text into what the model sees as words. Pure; it never joins what an earlier step split.</summary>
internal abstract record PreTokenizer
{
    /// <summary>Appends the words of <paramref name="text"/>, none of them empty.</summary>
    public abstract void Split(ReadOnlyMemory<char> text, List<ReadOnlyMemory<char>> words);
}

internal sealed record PreTokenizerSequence(IReadOnlyList<PreTokenizer> Steps) : PreTokenizer
{
    public override void Split(ReadOnlyMemory<char> text, List<ReadOnlyMemory<char>> words)
    {
        List<ReadOnlyMemory<char>> current = [text];
        foreach (var step in Steps)
        {
            var next = new List<ReadOnlyMemory<char>>(current.Count);
            foreach (var word in current)
                step.Split(word, next);
            current = next;
        }
        words.AddRange(current);
    }
}

/// <summary>Splits at spaces, which it drops, and makes each punctuation mark a word.</summary>
internal sealed record BertPreTokenizer : PreTokenizer
{
    public override void Split(ReadOnlyMemory<char> text, List<ReadOnlyMemory<char>> words)
    {
        var span = text.Span;
        var start = 0;
        var i = 0;
        while (i < span.Length)
        {
            Rune.DecodeFromUtf16(span[i..], out var rune, out var length);
            var space = ReferenceCharacters.IsSpace(rune.Value);
            if (space || ReferenceCharacters.Is(rune.Value, CharacterTraits.Punctuation))
            {
                if (i > start)
                    words.Add(text[start..i]);
                if (!space)
                    words.Add(text.Slice(i, length));
                start = i + length;
            }
            i += length;
        }
        if (start < span.Length)
            words.Add(text[start..]);
    }
}

/// <summary>Splits at spaces, which it drops.</summary>
internal sealed record WhitespaceSplitPreTokenizer : PreTokenizer
{
    public override void Split(ReadOnlyMemory<char> text, List<ReadOnlyMemory<char>> words)
    {
        var span = text.Span;
        var start = 0;
        for (var i = 0; i <= span.Length; i++)
        {
            if (i < span.Length && !char.IsWhiteSpace(span[i]))
                continue;
            if (i > start)
                words.Add(text[start..i]);
            start = i + 1;
        }
    }
}

/// <summary>SentencePiece's: spaces become a replacement character, every word begins with one.</summary>
/// <param name="Prepend">Put the replacement before the text, if it does not begin with it.</param>
/// <param name="SplitWords">Split before each replacement; else the text stays whole.</param>
internal sealed record MetaspacePreTokenizer(char Replacement, bool Prepend, bool SplitWords) : PreTokenizer
{
    public override void Split(ReadOnlyMemory<char> text, List<ReadOnlyMemory<char>> words)
    {
        var replaced = text.Span.Contains(' ') ? text.ToString().Replace(' ', Replacement).AsMemory() : text;
        if (Prepend && replaced.Span[0] != Replacement)
            replaced = $"{Replacement}{replaced}".AsMemory();
        if (!SplitWords)
        {
            words.Add(replaced);
            return;
        }
        var span = replaced.Span;
        var start = 0;
        while (start < span.Length)
        {
            var next = span[(start + 1)..].IndexOf(Replacement);
            var end = next < 0 ? span.Length : start + 1 + next;
            words.Add(replaced[start..end]);
            start = end;
        }
    }
}

/// <summary>Writes text as one character for each UTF-8 byte, as GPT-2's vocabulary does: printable bytes as themselves, the others from
/// U+0100 on.</summary>
/// <param name="Pattern">Splits first; null leaves the text whole.</param>
internal sealed record ByteLevelPreTokenizer(bool AddPrefixSpace, TextPattern? Pattern) : PreTokenizer
{
    /// <summary>GPT-2's own.</summary>
    public const string DefaultPattern = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    private static readonly char[] Characters = MapBytes();

    public override void Split(ReadOnlyMemory<char> text, List<ReadOnlyMemory<char>> words)
    {
        if (AddPrefixSpace && text.Span[0] != ' ')
            text = $" {text}".AsMemory();
        if (Pattern is null)
        {
            words.Add(Write(text.Span));
            return;
        }
        var start = words.Count;
        SplitPreTokenizer.Pieces(text, Pattern, SplitBehavior.Isolated, invert: false, words);
        for (var i = start; i < words.Count; i++)
            words[i] = Write(words[i].Span);
    }

    private static ReadOnlyMemory<char> Write(ReadOnlySpan<char> word)
    {
        var bytes = word.Length <= 64 ? stackalloc byte[192] : new byte[3 * word.Length];
        bytes = bytes[..Encoding.UTF8.GetBytes(word, bytes)];
        var written = new char[bytes.Length];
        for (var i = 0; i < bytes.Length; i++)
            written[i] = Characters[bytes[i]];
        return written;
    }

    private static char[] MapBytes()
    {
        var characters = new char[256];
        var next = '\u0100';
        for (var b = 0; b < 256; b++)
            characters[b] = b is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or >= 0xAE ? (char)b : next++;
        return characters;
    }
}
