namespace ModelPipeline.Text.Tokenization;

/// <summary>What Split and Replace steps look for.</summary>
internal abstract class TextPattern
{
    /// <summary>Matches from left to right, without overlap: [start, end) in UTF-16 units.</summary>
    public abstract IEnumerable<(int Start, int End)> Matches(ReadOnlyMemory<char> text);
}

internal sealed class LiteralPattern(string literal) : TextPattern
{
    public override IEnumerable<(int Start, int End)> Matches(ReadOnlyMemory<char> text)
    {
        var start = 0;
        while (text.Span[start..].IndexOf(literal) is >= 0 and var found)
        {
            yield return (start + found, start + found + literal.Length);
            start += found + literal.Length;
        }
    }
}
