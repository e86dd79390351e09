using ModelPipeline.Manifest;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Text;

/// <summary>The test collection of pipeline/sample.</summary>
internal static class SampleCorpus
{
    private static readonly Lazy<Corpus> Once = new(Load);

    /// <summary>The same for all tests.</summary>
    public static Corpus Loaded => Once.Value;

    public static Corpus Load() =>
        Corpus.Load(
            new CorpusSpec
            {
                Name = "sample",
                Passages = RepositoryFiles.Sample("corpus/passages.jsonl"),
                Queries = RepositoryFiles.Sample("corpus/queries.jsonl"),
                Qrels = RepositoryFiles.Sample("corpus/qrels.tsv"),
                Candidates = RepositoryFiles.Sample("corpus/candidates.jsonl"),
            }
        );
}
