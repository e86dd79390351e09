namespace ModelPipeline.Text.Tokenization;

/// <summary>What becomes of the matches that a text is split at.</summary>
internal enum SplitBehavior
{
    Removed,
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

/// <summary>Splits by a pattern.</summary>
/// <param name="Invert">Take what lies between the matches for the matches.</param>
internal sealed record SplitPreTokenizer(TextPattern Pattern, SplitBehavior Behavior, bool Invert) : PreTokenizer
{
    public override void Split(ReadOnlyMemory<char> text, List<ReadOnlyMemory<char>> words) =>
        Pieces(text, Pattern, Behavior, Invert, words);

    public static void Pieces(
        ReadOnlyMemory<char> text,
        TextPattern pattern,
        SplitBehavior behavior,
        bool invert,
        List<ReadOnlyMemory<char>> words
    )
    {
        var pieces = new List<(int Start, int End, bool Flag)>();
        var kept = 0;
        foreach (var (start, end) in pattern.Matches(text))
        {
            if (start > kept)
                pieces.Add((kept, start, invert));
            pieces.Add((start, end, !invert));
            kept = end;
        }
        if (kept < text.Length)
            pieces.Add((kept, text.Length, invert));
        Merge(pieces, behavior);
        foreach (var (start, end, isRemoved) in pieces)
        {
            if (!isRemoved && end > start)
                words.Add(text[start..end]);
        }
    }

    /// <summary>From pieces that match or not to pieces that are removed or not.</summary>
    private static void Merge(List<(int Start, int End, bool Flag)> pieces, SplitBehavior behavior)
    {
        switch (behavior)
        {
            case SplitBehavior.Removed:
                break;
            case SplitBehavior.Isolated:
                Join(pieces, (_, _) => false);
                break;
            case SplitBehavior.Contiguous:
                Join(pieces, (isMatch, before) => isMatch == before);
                break;
            case SplitBehavior.MergedWithPrevious:
                Join(pieces, (isMatch, before) => isMatch && !before);
                break;
            case SplitBehavior.MergedWithNext:
                pieces.Reverse();
                Join(pieces, (isMatch, before) => isMatch && !before);
                pieces.Reverse();
                break;
        }
    }

    /// <summary>Joins each piece to the last one where <paramref name="joins"/>, told whether it and the last are matches, says so. None is
    /// removed.</summary>
    private static void Join(List<(int Start, int End, bool Flag)> pieces, Func<bool, bool, bool> joins)
    {
        var (length, before) = (0, false);
        foreach (var (start, end, isMatch) in pieces.ToArray())
        {
            if (length > 0 && joins(isMatch, before))
                pieces[length - 1] = (Math.Min(pieces[length - 1].Start, start), Math.Max(pieces[length - 1].End, end), false);
            else
                pieces[length++] = (start, end, false);
            before = isMatch;
        }
        pieces.RemoveRange(length, pieces.Count - length);
    }
}
