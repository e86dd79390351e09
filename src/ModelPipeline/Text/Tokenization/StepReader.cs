namespace ModelPipeline.Text.Tokenization;

/// <summary>The normalizer, pre_tokenizer and post_processor of a tokenizer.json.</summary>
internal static class StepReader
{
    private const int MaxSteps = 64;

    public static Normalizer? Normalizer(JsonPlace? found) => found is { } place ? NormalizerAt(place) : null;

    public static PreTokenizer? PreTokenizer(JsonPlace? found) => found is { } place ? PreTokenizerAt(place) : null;

    private static Normalizer NormalizerAt(JsonPlace place)
    {
        switch (place["type"].Text())
        {
            case "Sequence":
                return new NormalizerSequence([.. Steps(place["normalizers"]).Select(NormalizerAt)]);
            case "BertNormalizer":
                var lowercase = place.Flag("lowercase", true);
                return new BertNormalizer(
                    place.Flag("clean_text", true),
                    place.Flag("handle_chinese_chars", true),
                    place.Flag("strip_accents", lowercase),
                    lowercase
                );
            case "NFC":
                return new FormNormalizer(UnicodeForm.Nfc);
            case "NFD":
                return new FormNormalizer(UnicodeForm.Nfd);
            case "NFKC":
                return new FormNormalizer(UnicodeForm.Nfkc);
            case "NFKD":
                return new FormNormalizer(UnicodeForm.Nfkd);
            case "StripAccents":
                return new StripAccentsNormalizer();
            case "Lowercase":
                return new LowercaseNormalizer();
            case "Strip":
                return new StripNormalizer(place.Flag("strip_left", true), place.Flag("strip_right", true));
            case "Prepend":
                return new PrependNormalizer(place["prepend"].Text());
            case "Replace":
                return new ReplaceNormalizer(Pattern(place["pattern"]), place["content"].Text());
            case "Precompiled":
                var map = place["precompiled_charsmap"];
                return new PrecompiledNormalizer(
                    map.Value.TryGetBytesFromBase64(out var bytes) ? bytes : throw map.Refused("text that is not base64"),
                    map.ToString()
                );
            case var other:
                throw place["type"].Refused($"the normalizer '{other}'");
        }
    }

    private static PreTokenizer PreTokenizerAt(JsonPlace place)
    {
        switch (place["type"].Text())
        {
            case "Sequence":
                return new PreTokenizerSequence([.. Steps(place["pretokenizers"]).Select(PreTokenizerAt)]);
            case "BertPreTokenizer":
                return new BertPreTokenizer();
            case "WhitespaceSplit":
                return new WhitespaceSplitPreTokenizer();
            case "ByteLevel":
                return new ByteLevelPreTokenizer(
                    place.Flag("add_prefix_space", true),
                    place.Flag("use_regex", true) ? new CodePointRegex(ByteLevelPreTokenizer.DefaultPattern, place.ToString()) : null
                );
            case "Split":
                return new SplitPreTokenizer(Pattern(place["pattern"]), Behavior(place["behavior"]), place.Flag("invert", false));
            case "Metaspace":
                return Metaspace(place);
            case var other:
                throw place["type"].Refused($"the pre_tokenizer '{other}'");
        }
    }

    /// <summary>prepend_scheme and split since tokenizers 0.15, add_prefix_space before.</summary>
    private static MetaspacePreTokenizer Metaspace(JsonPlace place)
    {
        var replacement = place["replacement"];
        if (replacement.Text() is not [var character] || char.IsSurrogate(character))
            throw replacement.Refused("anything but one character up to U+FFFF");
        if (place.Find("str_rep") is { } spelled && spelled.Text() != $"{character}")
            throw spelled.Refused("another text than the replacement");
        var prefixed = place.Flag("add_prefix_space", true);
        var prepend = place.Find("prepend_scheme") is { } scheme
            ? scheme.Text() switch
            {
                "always" => true,
                "never" => false,
                var other => throw scheme.Refused($"'{other}'"),
            }
            : prefixed;
        if (prepend && !prefixed)
            throw place["add_prefix_space"].Refused("false beside a prepend_scheme that is not never");
        return new MetaspacePreTokenizer(character, prepend, place.Flag("split", true));
    }

    private static SplitBehavior Behavior(JsonPlace place) =>
        place.Text() switch
        {
            "Removed" => SplitBehavior.Removed,
            "Isolated" => SplitBehavior.Isolated,
            "MergedWithPrevious" => SplitBehavior.MergedWithPrevious,
            "MergedWithNext" => SplitBehavior.MergedWithNext,
            "Contiguous" => SplitBehavior.Contiguous,
            var other => throw place.Refused($"the behavior '{other}'"),
        };

    private static TextPattern Pattern(JsonPlace place)
    {
        if (place.Find("Regex") is { } regex)
            return new CodePointRegex(regex.Text(), regex.ToString());
        var literal = place["String"];
        return literal.Text() is { Length: > 0 } text ? new LiteralPattern(text) : throw literal.Refused("an empty text");
    }

    private static IEnumerable<JsonPlace> Steps(JsonPlace place) =>
        place.Count() <= MaxSteps ? place.Items() : throw place.Refused($"a sequence of more than {MaxSteps} steps");

    public static RowTemplate Template(JsonPlace? found)
    {
        if (found is not { } place)
            return new RowTemplate([TemplatePart.TextOf(0, 0)], [TemplatePart.TextOf(0, 0), TemplatePart.TextOf(1, 1)]);
        switch (place["type"].Text())
        {
            case "TemplateProcessing":
                return new RowTemplate(Parts(place["single"], place, 1), Parts(place["pair"], place, 2));
            case "RobertaProcessing":
                return RowTemplates.Roberta(SpecialId(place["cls"]), SpecialId(place["sep"]));
            case "BertProcessing":
                return RowTemplates.Bert(SpecialId(place["cls"]), SpecialId(place["sep"]));
            case "ByteLevel":
                return Template(null);
            case "Sequence":
                // ByteLevel moves offsets alone.
                var steps = Steps(place["processors"]).Where(step => step["type"].Text() != "ByteLevel").ToList();
                return steps.Count <= 1
                    ? Template(steps.Count == 0 ? null : steps[0])
                    : throw place.Refused("a sequence of several templates");
            case var other:
                throw place["type"].Refused($"the post_processor '{other}'");
        }
    }

    private static int SpecialId(JsonPlace place) =>
        place.Items().ToList() is [_, var id] ? id.Integer() : throw place.Refused("anything but a token and its id");

    private static List<TemplatePart> Parts(JsonPlace template, JsonPlace place, int texts)
    {
        var parts = Steps(template).Select(part => Part(part, place)).ToList();
        for (var text = 0; text < 2; text++)
        {
            if (parts.Count(part => part.Text == text) != (text < texts ? 1 : 0))
                throw template.Refused($"a template in which text {(text == 0 ? "A" : "B")} is not where it is expected once");
        }
        return parts;
    }

    private static TemplatePart Part(JsonPlace part, JsonPlace place)
    {
        if (part.Find("Sequence") is { } text)
        {
            return TemplatePart.TextOf(
                text["id"].Text() switch
                {
                    "A" => 0,
                    "B" => 1,
                    var other => throw text.Refused($"the text '{other}'"),
                },
                text["type_id"].Integer()
            );
        }
        var special = part["SpecialToken"];
        var ids = place["special_tokens"][special["id"].Text()]["ids"];
        return new TemplatePart([.. Steps(ids).Select(id => id.Integer())], -1, special["type_id"].Integer());
    }
}
