namespace ModelPipeline.Tests.Text;

/// <summary>The tokenizers and cases that lie beside the project.</summary>
internal static class SharedFixtures
{
    public const string Variable = "MODELPIPELINE_SHARED";

    public static readonly string[] Kinds =
    [
        "modernbert-bpe",
        "roberta-bpe",
        "wordpiece-cased",
        "wordpiece-cased-strip",
        "wordpiece-uncased-keep",
        "xlmr-unigram",
        "xlmr-unigram-ws",
    ];

    /// <summary>The folder of a kind; skips the test where it is missing.</summary>
    public static string Tokenizer(string kind)
    {
        var shared = Environment.GetEnvironmentVariable(Variable) ?? Path.Combine(RepositoryFiles.Root, "..", "shared");
        var folder = Path.Combine(shared, "fixtures", "tokenizer", kind);
        Assert.SkipUnless(
            Directory.Exists(folder),
            $"needs ../shared beside the project, or its path in {Variable}: fixtures/tokenizer/{kind} is missing"
        );
        return folder;
    }
}
