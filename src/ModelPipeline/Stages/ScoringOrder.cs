using ModelPipeline.Manifest;
using ModelPipeline.Text;

namespace ModelPipeline.Stages;

/// <summary>The texts that a model is validated, measured and routed on, in the one order that scores, lengths and times of all stages are in.</summary>
internal sealed class ScoringOrder
{
    private readonly ModelSpec _model;

    public ScoringOrder(ModelSpec model, Corpus corpus)
    {
        _model = model;
        Queries = [.. corpus.Queries.Take(model.Validation.Queries ?? int.MaxValue)];
        PassageIds = [.. corpus.Passages.Keys.Order(StringComparer.Ordinal)];
        Texts = model.Task == ModelTask.Embed
            ? [.. PassageIds.Select(id => (corpus.Passages[id], (string?)null))]
            : [.. Queries.SelectMany(query => query.Candidates, (query, passage) => (query.Text, (string?)corpus.Passages[passage]))];
    }

    /// <summary>Those that validation takes, in the corpus' order.</summary>
    public IReadOnlyList<CorpusQuery> Queries { get; }

    /// <summary>All of the corpus', sorted: an embedder's order.</summary>
    public IReadOnlyList<string> PassageIds { get; }

    /// <summary>Each query with each of its candidates; for an embedder each passage alone.</summary>
    public IReadOnlyList<(string First, string? Second)> Texts { get; }

    public TokenizedInput Encode(PairTokenizer tokenizer, (string First, string? Second) text, int sequence) => text.Second is null
        ? tokenizer.Encode(text.First, sequence)
        : tokenizer.Encode(text.First, text.Second, sequence, _model.Tokenizer.Truncation);

    /// <summary>A reranker's scores, one an element of <see cref="Texts"/>, by query.</summary>
    public IReadOnlyList<float[]> ByQuery(IEnumerable<float[]> scores)
    {
        using var flat = scores.Select(score => score[0]).GetEnumerator();
        return [.. Queries.Select(query => query.Candidates.Select(_ => flat.MoveNext() ? flat.Current : throw new InvalidOperationException("fewer scores than pairs")).ToArray())];
    }
}
