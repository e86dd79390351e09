namespace ModelPipeline.Text.Tokenization;

/// <summary>A part of a row: special tokens or one of the texts.</summary>
/// <param name="Specials">Ids; null for a text.</param>
/// <param name="Text">0 the first, 1 the second; -1 for special tokens.</param>
/// <param name="Type">Its token type.</param>
internal sealed record TemplatePart(IReadOnlyList<int>? Specials, int Text, int Type)
{
    public static TemplatePart Special(int id, int type) => new([id], -1, type);

    public static TemplatePart TextOf(int index, int type) => new(null, index, type);
}

/// <summary>How texts and special tokens make a row.</summary>
/// <param name="Single">For one text.</param>
/// <param name="Pair">For two.</param>
internal sealed record RowTemplate(IReadOnlyList<TemplatePart> Single, IReadOnlyList<TemplatePart> Pair)
{
    /// <summary>Special tokens beside the texts.</summary>
    public static int Added(IReadOnlyList<TemplatePart> parts) => parts.Sum(part => part.Specials?.Count ?? 0);
}

/// <summary>The usual forms.</summary>
internal static class RowTemplates
{
    /// <summary>[CLS] A [SEP] B [SEP]; B and its [SEP] have type 1.</summary>
    public static RowTemplate Bert(int classification, int separator) =>
        Classified(classification, separator, separators: 1, secondType: 1);

    /// <summary>&lt;s&gt; A &lt;/s&gt;&lt;/s&gt; B &lt;/s&gt;, all of type 0.</summary>
    public static RowTemplate Roberta(int classification, int separator) =>
        Classified(classification, separator, separators: 2, secondType: 0);

    private static RowTemplate Classified(int classification, int separator, int separators, int secondType)
    {
        TemplatePart[] first = [TemplatePart.Special(classification, 0), TemplatePart.TextOf(0, 0)];
        return new RowTemplate(
            [.. first, TemplatePart.Special(separator, 0)],
            [
                .. first,
                .. Enumerable.Repeat(TemplatePart.Special(separator, 0), separators),
                TemplatePart.TextOf(1, secondType),
                TemplatePart.Special(separator, secondType),
            ]
        );
    }
}
