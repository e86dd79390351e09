using System.Globalization;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Text;

namespace ModelPipeline.Tasks;

/// <summary>The texts that a model is validated, measured and routed on, in the one order that scores, lengths and times of all stages are
/// in.</summary>
public sealed class ScoringOrder
{
    private readonly TruncationStrategy _truncation;
    private readonly bool _takesPairs;

    /// <param name="task">Pairs each query with its candidates, or takes the passages alone.</param>
    /// <param name="queries">Those that count, in the corpus' order.</param>
    /// <param name="passages">By id; all of the queries' candidates among them. Only pairs are made of queries without their texts.</param>
    /// <param name="truncation">Of pairs that are too long.</param>
    public ScoringOrder(
        ModelTask task,
        IReadOnlyList<CorpusQuery> queries,
        IReadOnlyDictionary<string, string> passages,
        TruncationStrategy truncation = TruncationStrategy.LongestFirst
    )
    {
        (_truncation, _takesPairs) = (truncation, task.TakesPairs);
        Queries = queries;
        PassageIds = [.. passages.Keys.Order(StringComparer.Ordinal)];
        Texts = task.TakesPairs
            ? [.. queries.SelectMany(query => query.Candidates, (query, passage) => (query.Text, passages.GetValueOrDefault(passage)))]
            : [.. PassageIds.Select(id => (passages[id], (string?)null))];
    }

    /// <summary>As models.yaml declares the model's validation.</summary>
    public static ScoringOrder Of(ModelSpec model, Corpus corpus) =>
        new(
            ModelTask.Named(model.Task),
            [.. corpus.Queries.Take(model.Validation.Queries ?? int.MaxValue)],
            corpus.Passages,
            model.Tokenizer.Truncation
        );

    /// <summary>Of each of <see cref="Texts"/>, uncut; empty if nobody counted them.</summary>
    public IReadOnlyList<int> Tokens { get; private init; } = [];

    /// <summary>The same with the lengths of its texts.</summary>
    public ScoringOrder Counted(PairTokenizer tokenizer) =>
        new(this) { Tokens = [.. Texts.Select(text => tokenizer.Count(text.First, text.Second))] };

    private ScoringOrder(ScoringOrder other) =>
        (_truncation, _takesPairs, Queries, PassageIds, Texts) = (
            other._truncation,
            other._takesPairs,
            other.Queries,
            other.PassageIds,
            other.Texts
        );

    /// <summary>Those that validation takes, in the corpus' order.</summary>
    public IReadOnlyList<CorpusQuery> Queries { get; }

    /// <summary>All of the corpus', sorted: an embedder's order.</summary>
    public IReadOnlyList<string> PassageIds { get; }

    /// <summary>Each query with each of its candidates; for an embedder each passage alone.</summary>
    public IReadOnlyList<(string First, string? Second)> Texts { get; }

    /// <summary>Each query with each of its candidates, in the order of a task that takes pairs; the grade is null where nobody
    /// judged.</summary>
    public IReadOnlyList<(string Query, string Passage, int? Grade)> Pairs =>
        [
            .. Queries.SelectMany(
                query => query.Candidates,
                (query, passage) => (query.Id, passage, query.Grades.TryGetValue(passage, out var grade) ? grade : (int?)null)
            ),
        ];

    public TokenizedInput Encode(PairTokenizer tokenizer, (string First, string? Second) text, int sequence) =>
        text.Second is null ? tokenizer.Encode(text.First, sequence) : tokenizer.Encode(text.First, text.Second, sequence, _truncation);

    /// <exception cref="PipelineException">An output is NaN or infinite; the message names whose, and for which text.</exception>
    public void RequireFinite(string whose, IReadOnlyList<float[]> outputs)
    {
        if (outputs.Index().FirstOrDefault(output => !output.Item.All(float.IsFinite)) is not { Item: { } bad } output)
            return;
        var text = _takesPairs
            ? $"query {Pairs[output.Index].Query}, passage {Pairs[output.Index].Passage}"
            : $"passage {PassageIds[output.Index]}";
        throw new PipelineException(
            string.Create(
                CultureInfo.InvariantCulture,
                $"The output of {whose} for {text} is {bad.First(value => !float.IsFinite(value))}, not a finite number. The model "
                    + $"overflows on this text: check its attention mask constant and precision."
            )
        );
    }

    /// <summary>One number a pair, a reranker's scores, by query.</summary>
    /// <exception cref="InvalidOperationException">There are fewer than pairs.</exception>
    public IReadOnlyList<float[]> ByQuery(IEnumerable<float[]> scores)
    {
        using var flat = scores.Select(score => score[0]).GetEnumerator();
        return
        [
            .. Queries.Select(query =>
                query
                    .Candidates.Select(_ => flat.MoveNext() ? flat.Current : throw new InvalidOperationException("fewer scores than pairs"))
                    .ToArray()
            ),
        ];
    }
}
