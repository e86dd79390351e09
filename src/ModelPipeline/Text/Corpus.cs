using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Text;

/// <summary>A query with what a first-stage retriever found for it and what people judged.</summary>
/// <param name="Id">Unique in its file.</param>
/// <param name="Text">What a user asked; not empty.</param>
/// <param name="Candidates">Passage ids in the order of the file, at least one.</param>
/// <param name="Grades">Relevance by passage id, 0 to <see cref="Corpus.MaxGrade"/>; at least one above 0, or none
/// where the corpus has no judgements. Passages without a grade count as 0.</param>
public sealed record CorpusQuery(string Id, string Text, IReadOnlyList<string> Candidates, IReadOnlyDictionary<string, int> Grades);

/// <summary>A retrieval test collection in memory.</summary>
/// <param name="Name">Its key in models.yaml.</param>
/// <param name="Queries">In the order of the file.</param>
/// <param name="Passages">Text by passage id.</param>
public sealed record Corpus(string Name, IReadOnlyList<CorpusQuery> Queries, IReadOnlyDictionary<string, string> Passages)
{
    /// <summary>Largest acceptable relevance grade.</summary>
    public const int MaxGrade = 10;

    /// <summary>Reads and cross-checks the four files.</summary>
    /// <exception cref="PipelineException">Exit code 2: all that is wrong, a line each, as file:line.</exception>
    public static Corpus Load(CorpusSpec spec) => new CorpusReader(spec).Read();
}
