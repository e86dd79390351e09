using System.Text;

namespace ModelPipeline.Benchmarks;

/// <summary>
/// Texts that tokenizers disagree on: pieces of real text mixed with accents as marks, scripts without spaces, emoji, controls, spaces of
/// all kinds, unassigned code points, long words, and special tokens written out. Well-formed UTF-16; the same for the same seed.
/// </summary>
internal sealed class GeneratedTexts(int seed, IReadOnlyList<string> real)
{
    private static readonly string[] Odd =
    [
        "[SEP]",
        "[MASK]",
        " [CLS]",
        "<s>",
        "</s>",
        "<mask>",
        "  <mask> ",
        "<unk>",
        "<pad>",
        "[pad]",
        "[Mask]",
        "|||IP_ADDRESS|||",
        "<|endoftext|>",
        " ",
        "  ",
        "   ",
        "        ",
        "\t",
        "\n",
        "\r\n",
        "\r",
        "\n\n ",
        "\u00A0",
        "\u3000",
        "\u2003",
        "\u2028",
        "\u0085",
        "\u200B",
        "\u200D",
        "\uFEFF",
        "\u00AD",
        "\0",
        "\u0001",
        "e\u0301",
        "A\u030A\u0327",
        "o\u0323\u0302",
        "\u0301",
        "\u1E9B\u0323",
        "\u0344",
        "i\u0307",
        "\u0130",
        "\u0131",
        "\u1E9E",
        "\u01C4\u01C5",
        "\uFB01",
        "\u00BD",
        "\u2460",
        "\u33A5",
        "\uFF21\uFF22",
        "\uFF76\uFF9E",
        "\u304B\u3099",
        "\u304C",
        "\uAC00",
        "\u1100\u1161\u11A8",
        "\uAC00\u11A8",
        "\u0939\u093F\u0928\u094D\u0926\u0940",
        "\u0E01\u0E33",
        "\u0BCA",
        "\u0DDD",
        "\u4E2D\u6587",
        "\uF900",
        "\u2F00",
        "\U00020000",
        "\U0001F600",
        "\U0001F468\u200D\U0001F469\u200D\U0001F467",
        "\U0001F1E9\U0001F1EA",
        "\u2764\uFE0F",
        "\U0001D400",
        "\U0001D7D8",
        "\U000E0041",
        "\uE000",
        "\uFFFD",
        "\uFFFE",
        "\U0010FFFF",
        "\u2581",
        "\u2581\u2581a",
        "''",
        "``",
        "'s",
        "'S",
        "'\u017F",
        "'ll",
        "n't",
        "$",
        "\u20AC",
        "_",
        "\u203F",
        "0123456789",
        "1\u066B2",
        "\u0967\u0968",
        "\u2167",
    ];

    private readonly Random _random = new(seed);

    public IEnumerable<string> Take(int count) => Enumerable.Range(0, count).Select(_ => Next());

    private string Next()
    {
        var text = new StringBuilder();
        for (var parts = _random.Next(1, 8); parts > 0; parts--)
            text.Append(Part());
        return text.ToString();
    }

    private string Part() =>
        _random.Next(10) switch
        {
            < 3 => Cut(real[_random.Next(real.Count)]),
            < 6 => Odd[_random.Next(Odd.Length)],
            6 => Odd[_random.Next(Odd.Length)] + " " + Cut(real[_random.Next(real.Count)]),
            7 => string.Concat(Enumerable.Range(0, _random.Next(1, 12)).Select(_ => CodePoint())),
            8 => string.Concat(Enumerable.Repeat(_random.Next(2) == 0 ? "ab" : CodePoint(), _random.Next(1, 130))),
            var _ => new string([.. Enumerable.Range(0, _random.Next(1, 30)).Select(_ => (char)_random.Next(1, 0x250))]),
        };

    /// <summary>Some thirty characters of a text, whole code points.</summary>
    private string Cut(string text)
    {
        var runes = text.EnumerateRunes().ToList();
        var start = _random.Next(runes.Count + 1);
        return string.Concat(runes.Skip(start).Take(_random.Next(1, 60)));
    }

    /// <summary>Of any plane, but mostly of the first blocks.</summary>
    private string CodePoint()
    {
        while (true)
        {
            var code = _random.Next(8) switch
            {
                < 3 => _random.Next(0x20, 0x600),
                < 5 => _random.Next(0x300, 0x3400),
                5 => _random.Next(0xA000, 0x10000),
                6 => _random.Next(0x10000, 0x20000),
                var _ => _random.Next(1, 0x110000),
            };
            if (Rune.IsValid(code))
                return new Rune(code).ToString();
        }
    }
}
