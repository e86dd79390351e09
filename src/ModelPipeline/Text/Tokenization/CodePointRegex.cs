using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using ModelPipeline.Core;

namespace ModelPipeline.Text.Tokenization;

/// <summary>
/// The part of Oniguruma's regular expressions that tokenizer files use, on .NET's: literals, classes, general categories, groups,
/// alternatives, quantifiers and lookahead mean the same in both. .NET sees UTF-16 units; so a code point above U+FFFF is shown to it as a
/// character of the same category.
/// </summary>
internal sealed class CodePointRegex : TextPattern
{
    private const int MaxPattern = 4096;

    /// <summary>Linear for the expressions in use; this stops others.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private static readonly char[] Representatives = FindRepresentatives();

    private readonly Regex _regex;
    private readonly string _place;

    /// <param name="pattern">As the file has it.</param>
    /// <param name="place">Named in errors.</param>
    /// <exception cref="PipelineException">It uses what cannot be reproduced.</exception>
    public CodePointRegex(string pattern, string place)
    {
        _place = place;
        if (pattern.Length is 0 or > MaxPattern)
            throw new PipelineException($"{place}: a regular expression of {pattern.Length} characters; expected 1 to {MaxPattern}.");
        try
        {
            _regex = new Regex(new Translation(pattern, place).Run(), RegexOptions.Compiled | RegexOptions.CultureInvariant, Patience);
        }
        catch (ArgumentException e)
        {
            throw new PipelineException($"{place}: '{pattern}' is no regular expression: {e.Message}", inner: e);
        }
    }

    public override IEnumerable<(int Start, int End)> Matches(ReadOnlyMemory<char> text)
    {
        var matches = new List<(int, int)>(text.Length / 4 + 1);
        try
        {
            if (text.Span.ContainsAnyInRange('\uD800', '\uDFFF'))
            {
                var (shown, places) = Show(text.Span);
                foreach (var match in _regex.EnumerateMatches(shown))
                    matches.Add((places[match.Index], places[match.Index + match.Length]));
            }
            else
            {
                foreach (var match in _regex.EnumerateMatches(text.Span))
                    matches.Add((match.Index, match.Index + match.Length));
            }
        }
        catch (RegexMatchTimeoutException e)
        {
            throw new PipelineException(
                $"{_place}: '{_regex}' took longer than {Patience.TotalSeconds:0} s on one text; the expression is not fit for tokenizing.",
                inner: e
            );
        }
        return matches;
    }

    /// <summary>One character a code point, and where each of them starts, the text's end included.</summary>
    private static (string Shown, int[] Places) Show(ReadOnlySpan<char> text)
    {
        var shown = new StringBuilder(text.Length);
        var places = new int[text.Length + 1];
        var start = 0;
        while (start < text.Length)
        {
            Rune.DecodeFromUtf16(text[start..], out var rune, out var consumed);
            places[shown.Length] = start;
            shown.Append(rune.IsBmp ? (char)rune.Value : Representatives[(int)Rune.GetUnicodeCategory(rune)]);
            start += consumed;
        }
        places[shown.Length] = text.Length;
        return (shown.ToString(), places);
    }

    /// <summary>Of each category the last character of the basic plane, which no file's expression names.</summary>
    private static char[] FindRepresentatives()
    {
        var found = new char[(int)UnicodeCategory.OtherNotAssigned + 1];
        for (var code = 0xFFFF; code >= 0x1000; code--)
        {
            ref var of = ref found[(int)CharUnicodeInfo.GetUnicodeCategory((char)code)];
            if (of == 0)
                of = (char)code;
        }
        return found;
    }

    /// <summary>From Oniguruma's syntax to .NET's, or a refusal.</summary>
    private sealed class Translation(string pattern, string place)
    {
        private readonly StringBuilder _result = new();

        /// <summary>Whether each open group ignores case.</summary>
        private readonly Stack<bool> _groups = new([false]);
        private int _at;

        public string Run()
        {
            while (_at < pattern.Length)
            {
                var c = pattern[_at];
                if (c == '\\')
                    Escape();
                else if (c == '[')
                    Class();
                else if (c == '(')
                    Open();
                else if (c is '*' or '+' or '?' or '{')
                    Quantifier();
                else if (c is '^' or '$')
                    throw Refused($"{c}");
                else
                    Plain(c);
            }
            return _result.ToString();
        }

        private void Plain(char c)
        {
            if (char.IsSurrogate(c))
                throw Refused("a character above U+FFFF");
            if (c == ')' && _groups.Count > 1)
                _groups.Pop();
            // Unicode folds these two onto ASCII letters; .NET does so for the second alone.
            if (_groups.Peek() && c is 's' or 'S')
                _result.Append("[sS\u017F]");
            else
                _result.Append(c == ' ' || char.IsLetterOrDigit(c) || c is '.' or '|' or ')' ? $"{c}" : Regex.Escape($"{c}"));
            _at++;
        }

        private void Open()
        {
            var rest = pattern.AsSpan(_at);
            foreach (
                var (opening, ignoresCase) in new[]
                {
                    ("(?:", _groups.Peek()),
                    ("(?i:", true),
                    ("(?!", _groups.Peek()),
                    ("(?=", _groups.Peek()),
                }
            )
            {
                if (!rest.StartsWith(opening))
                    continue;
                _groups.Push(ignoresCase);
                _result.Append(opening);
                _at += opening.Length;
                return;
            }
            if (rest.StartsWith("(?"))
                throw Refused(rest[..Math.Min(4, rest.Length)].ToString());
            _groups.Push(_groups.Peek());
            _result.Append("(?:");
            _at++;
        }

        private void Quantifier()
        {
            var start = _at;
            if (pattern[_at] == '{')
            {
                var end = pattern.IndexOf('}', _at);
                if (end < 0 || !Regex.IsMatch(pattern[_at..(end + 1)], @"^\{[0-9]{1,4}(,[0-9]{0,4})?\}$"))
                    throw Refused("{");
                _at = end;
            }
            _at++;
            if (_at < pattern.Length && pattern[_at] == '?')
                _at++;
            if (_at < pattern.Length && pattern[_at] is '+' or '*' or '{')
                throw Refused($"a quantifier behind {pattern[start.._at]}");
            _result.Append(pattern, start, _at - start);
        }

        private void Class()
        {
            var start = _at++;
            _result.Append('[');
            if (_at < pattern.Length && pattern[_at] == '^')
            {
                _result.Append('^');
                _at++;
            }
            var first = _at;
            while (_at < pattern.Length)
            {
                var c = pattern[_at];
                if (c == ']' && _at > first)
                {
                    _result.Append(']');
                    _at++;
                    return;
                }
                if (c is '[' or ']' || char.IsSurrogate(c) || (c == '&' && pattern.AsSpan(_at).StartsWith("&&")) || _groups.Peek())
                    throw Refused($"the class {pattern[start..]}");
                if (c == '\\')
                {
                    Escape();
                    continue;
                }
                _result.Append(c);
                _at++;
            }
            throw Refused("a class without its end");
        }

        /// <summary>\s, \d, \r and so on, escaped punctuation, and general categories.</summary>
        private void Escape()
        {
            var match = Regex.Match(
                pattern[_at..],
                @"^\\([sSdDrnt]|[pP]\{(L[ultmo]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?|C[cfo]?)\}|[!-/:-@\[-`{-~])"
            );
            if (!match.Success)
                throw Refused(pattern[_at..Math.Min(pattern.Length, _at + 6)]);
            _result.Append(match.Value);
            _at += match.Length;
        }

        private PipelineException Refused(string what) =>
            new(
                $"{place}: the regular expression '{pattern}' has {what}, which is not supported; only literals, classes, general "
                    + $"categories, groups, quantifiers and lookahead are."
            );
    }
}
