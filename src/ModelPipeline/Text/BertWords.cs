using System.Globalization;
using System.Text;

namespace ModelPipeline.Text;

/// <summary>
/// BERT's basic tokenization (Devlin et al. 2018, in the form of the reference tokenizer): text to words for WordPiece.
/// Microsoft.ML.Tokenizers' own differs: it joins words across tabs and line breaks, splits them at format characters,
/// drops symbols such as '$', strips spacing marks, recomposes Hangul, and strips no accents under InvariantGlobalization.
/// </summary>
internal sealed class BertWords
{
    /// <summary>Words of more code points than this become [UNK].</summary>
    public const int MaxWordRunes = 100;

    public const string Unknown = "[UNK]", Separator = "[SEP]", Padding = "[PAD]", Classification = "[CLS]", Mask = "[MASK]";

    /// <summary>Taken as themselves where they stand literally in a text, in this spelling only.</summary>
    public static readonly IReadOnlyList<string> SpecialTokens = [Padding, Unknown, Classification, Separator, Mask];

    private readonly bool _lowercase;
    private readonly StringBuilder _words = new();
    private readonly List<Rune> _decomposed = [];
    private int _wordStart;
    private int _wordRunes;

    private BertWords(bool lowercase) => _lowercase = lowercase;

    /// <summary>The words of <paramref name="text"/>, each followed by one space. Lower-casing strips accents too.</summary>
    public static string Split(string text, bool lowercase)
    {
        var words = new BertWords(lowercase);
        for (var i = 0; i < text.Length;)
        {
            if (text[i] == '[' && SpecialTokens.FirstOrDefault(token => string.CompareOrdinal(text, i, token, 0, token.Length) == 0) is { } special)
            {
                words.AddWord(special);
                i += special.Length;
                continue;
            }
            // A lone surrogate reads as U+FFFD, which is dropped.
            Rune.DecodeFromUtf16(text.AsSpan(i), out var rune, out var consumed);
            words.Add(rune);
            i += consumed;
        }
        words.EndWord();
        return words._words.ToString();
    }

    private void Add(Rune rune)
    {
        if (rune.IsAscii && !Rune.IsControl(rune))
        {
            if (rune.Value == ' ')
                EndWord();
            else
                AddClean(_lowercase ? Rune.ToLowerInvariant(rune) : rune);
        }
        else if (rune.Value is '\t' or '\n' or '\r')
        {
            EndWord();
        }
        else if (!IsDropped(rune))
        {
            if (Rune.IsWhiteSpace(rune))
                EndWord();
            else
                AddBeyondAscii(rune);
        }
    }

    private void AddBeyondAscii(Rune rune)
    {
        var ideograph = IsIdeograph(rune.Value);
        if (ideograph)
            EndWord();
        if (_lowercase)
        {
            _decomposed.Clear();
            CanonicalDecomposition.Decompose(rune, _decomposed);
            foreach (var part in _decomposed)
            {
                if (Rune.GetUnicodeCategory(part) != UnicodeCategory.NonSpacingMark)
                    AddClean(Rune.ToLowerInvariant(part));
            }
        }
        else
        {
            AddClean(rune);
        }
        if (ideograph)
            EndWord();
    }

    private void AddClean(Rune rune)
    {
        var punctuation = IsPunctuation(rune);
        if (punctuation)
            EndWord();
        Span<char> chars = stackalloc char[2];
        _words.Append(chars[..rune.EncodeToUtf16(chars)]);
        _wordRunes++;
        if (punctuation)
            EndWord();
    }

    private void AddWord(string word)
    {
        EndWord();
        _words.Append(word);
        _wordRunes = 1;
        EndWord();
    }

    private void EndWord()
    {
        if (_wordRunes == 0)
            return;
        if (_wordRunes > MaxWordRunes)
        {
            _words.Length = _wordStart;
            _words.Append(Unknown);
        }
        _words.Append(' ');
        _wordStart = _words.Length;
        _wordRunes = 0;
    }

    private static bool IsDropped(Rune rune) =>
        rune.Value == 0xFFFD || Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.PrivateUse;

    /// <summary>All ASCII symbols count, as BERT has it, besides Unicode's punctuation.</summary>
    private static bool IsPunctuation(Rune rune) =>
        rune.IsAscii ? !Rune.IsLetterOrDigit(rune) : Rune.IsPunctuation(rune);

    /// <summary>The blocks of CJK ideographs that the reference tokenizer splits one by one (its 0x2B920 included); kana and Hangul are not among them.</summary>
    private static bool IsIdeograph(int code) => code
        is (>= 0x4E00 and <= 0x9FFF) or (>= 0x3400 and <= 0x4DBF) or (>= 0xF900 and <= 0xFAFF)
        or (>= 0x20000 and <= 0x2A6DF) or (>= 0x2A700 and <= 0x2B73F) or (>= 0x2B740 and <= 0x2B81F)
        or (>= 0x2B920 and <= 0x2CEAF) or (>= 0x2F800 and <= 0x2FA1F);
}
