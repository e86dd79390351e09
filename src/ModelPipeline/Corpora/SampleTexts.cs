using ModelPipeline.Text;

namespace ModelPipeline.Corpora;

/// <summary>The texts of the sample's corpus, built in, for a first run without a corpus. Their judgements are left out: what is in English
/// and about little says nothing of how well a model ranks.</summary>
internal static class SampleTexts
{
    public static ForeignCorpus Corpus() =>
        new("texts")
        {
            Passages = _ => Texts("passages.jsonl"),
            Queries = _ => Texts("queries.jsonl"),
            Notes = ["the sample's English texts, without judgements: give your own by --corpus, in the model's language"],
        };

    private static IEnumerable<ForeignText> Texts(string name)
    {
        using var stream = typeof(SampleTexts).Assembly.GetManifestResourceStream("sample/" + name)!;
        using var reader = new StreamReader(stream);
        for (var number = 1; reader.ReadLine() is { } line; number++)
        {
            var where = $"{name}:{number}";
            var (id, text) = CorpusReader.Text(where, line, withTitle: false);
            yield return new ForeignText(id, text, where);
        }
    }
}
