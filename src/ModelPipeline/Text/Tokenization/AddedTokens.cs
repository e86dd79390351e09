using System.Buffers;
using System.Text;
using ModelPipeline.Manifest;

namespace ModelPipeline.Text.Tokenization;

/// <summary>A token that is taken as itself where it stands literally in a text.</summary>
/// <param name="Normalized">Looked for in normalized text, in its normalized spelling.</param>
/// <param name="LeftStrip">Takes the spaces before it.</param>
/// <param name="RightStrip">Takes the spaces behind it.</param>
/// <param name="SingleWord">Not inside a word.</param>
internal sealed record AddedToken(
    string Content,
    int Id,
    bool Normalized = false,
    bool LeftStrip = false,
    bool RightStrip = false,
    bool SingleWord = false
);

/// <summary>A part of a text: an added token, or what lies between two.</summary>
internal readonly record struct TextPiece(ReadOnlyMemory<char> Text, int? Token);

/// <summary>Finds added tokens: at the leftmost place the longest. Immutable.</summary>
internal sealed class AddedTokens
{
    private readonly IReadOnlyList<AddedToken> _tokens;
    private readonly TokenTrie _spellings;
    private readonly SearchValues<char> _firsts;

    /// <param name="tokens">Each with the spelling, not empty, that is looked for; of equal spellings the first counts.</param>
    public AddedTokens(IReadOnlyList<(AddedToken Token, string Spelling)> tokens)
    {
        _tokens = [.. tokens.Select(token => token.Token)];
        _spellings = new TokenTrie(tokens.Index().Select(token => (token.Item.Spelling, token.Index)));
        _firsts = SearchValues.Create([.. tokens.Select(token => token.Spelling[0]).Distinct()]);
    }

    /// <summary>The parts of <paramref name="text"/> in order, without empty text.</summary>
    public List<TextPiece> Split(ReadOnlyMemory<char> text)
    {
        var (pieces, kept) = (new List<TextPiece>(), 0);
        var span = text.Span;
        var at = 0;
        while (at < span.Length)
        {
            var found = span[at..].IndexOfAny(_firsts);
            if (found < 0)
                break;
            at += found;
            if (LongestAt(span, at) is not var (token, length))
            {
                at++;
                continue;
            }
            var (start, end) = (at, at + length);
            at = end;
            if (token.SingleWord && (EndsWithWord(span[..start]) || BeginsWithWord(span[end..])))
                continue;
            if (token.LeftStrip)
                start = Math.Max(span[..start].TrimEnd().Length, kept);
            if (token.RightStrip)
                end = span.Length - span[end..].TrimStart().Length;
            if (kept < start)
                pieces.Add(new TextPiece(text[kept..start], null));
            // Nothing is left of it if the token before took these spaces.
            if (start < end)
                pieces.Add(new TextPiece(default, token.Id));
            kept = end;
        }
        if (kept < span.Length)
            pieces.Add(new TextPiece(text[kept..], null));
        return pieces;
    }

    private (AddedToken Token, int Length)? LongestAt(ReadOnlySpan<char> text, int start)
    {
        (AddedToken, int)? longest = null;
        int end = start,
            node = TokenTrie.Root;
        while (end < text.Length && (node = _spellings.Step(node, text[end])) >= 0)
        {
            end++;
            if (_spellings.Value(node) is >= 0 and var index)
                longest = (_tokens[index], end - start);
        }
        return longest;
    }

    private static bool EndsWithWord(ReadOnlySpan<char> text) =>
        Rune.DecodeLastFromUtf16(text, out var rune, out _) == OperationStatus.Done && ReferenceCharacters.IsWord(rune.Value);

    private static bool BeginsWithWord(ReadOnlySpan<char> text) =>
        Rune.DecodeFromUtf16(text, out var rune, out _) == OperationStatus.Done && ReferenceCharacters.IsWord(rune.Value);
}
