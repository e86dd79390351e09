using System.Globalization;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Text;

namespace ModelPipeline.Tasks;

/// <summary>A text that is scored.</summary>
/// <param name="First">A query of a pair, or all there is.</param>
/// <param name="Second">The passage of a pair; else null.</param>
/// <param name="IsQuery">A query alone: models may have a prefix for those.</param>
public readonly record struct ScoredText(string First, string? Second = null, bool IsQuery = false);

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
    /// <param name="embedsQueries">Of an embedder: the queries are texts, too, after the passages, so that passages can be found by
    /// them.</param>
    public ScoringOrder(
        ModelTask task,
        IReadOnlyList<CorpusQuery> queries,
        IReadOnlyDictionary<string, string> passages,
        TruncationStrategy truncation = TruncationStrategy.LongestFirst,
        bool embedsQueries = false
    )
    {
        (_truncation, _takesPairs) = (truncation, task.TakesPairs);
        Queries = queries;
        PassageIds = [.. passages.Keys.Order(StringComparer.Ordinal)];
        Texts = task.TakesPairs
            ?
            [
                .. queries.SelectMany(
                    query => query.Candidates,
                    (query, passage) => new ScoredText(query.Text, passages.GetValueOrDefault(passage))
                ),
            ]
            :
            [
                .. PassageIds.Select(id => new ScoredText(passages[id])),
                .. queries.Where(_ => embedsQueries).Select(query => new ScoredText(query.Text, IsQuery: true)),
            ];
    }

    /// <summary>As models.yaml declares the model's validation.</summary>
    public static ScoringOrder Of(ModelSpec model, Corpus corpus) =>
        new(
            ModelTask.Named(model.Task),
            [.. corpus.Queries.Take(model.Validation.Queries ?? int.MaxValue)],
            corpus.Passages,
            model.Tokenizer.Truncation,
            // Token states of a query and a passage are not compared by one vector each.
            embedsQueries: model.Pooling != "none"
        );

    /// <summary>Of each of <see cref="Texts"/>, uncut; empty if nobody counted them.</summary>
    public IReadOnlyList<int> Tokens { get; private init; } = [];

    /// <summary>The same with the lengths of its texts.</summary>
    public ScoringOrder Counted(PairTokenizer tokenizer) => new(this) { Tokens = [.. Texts.Select(text => Count(tokenizer, text))] };

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

    /// <summary>Each query with each of its candidates; for an embedder each passage alone, and then each query.</summary>
    public IReadOnlyList<ScoredText> Texts { get; }

    /// <summary>Each query with each of its candidates, in the order of a task that takes pairs; the grade is null where nobody
    /// judged.</summary>
    public IReadOnlyList<(string Query, string Passage, int? Grade)> Pairs =>
        [
            .. Queries.SelectMany(
                query => query.Candidates,
                (query, passage) => (query.Id, passage, query.Grades.TryGetValue(passage, out var grade) ? grade : (int?)null)
            ),
        ];

    public TokenizedInput Encode(PairTokenizer tokenizer, ScoredText text, int sequence) =>
        text switch
        {
            { Second: { } passage } => tokenizer.Encode(text.First, passage, sequence, _truncation),
            { IsQuery: true } => tokenizer.EncodeQuery(text.First, sequence),
            _ => tokenizer.Encode(text.First, sequence),
        };

    /// <summary>Tokens of a text, uncut, with the special ones.</summary>
    public static int Count(PairTokenizer tokenizer, ScoredText text) =>
        text.IsQuery ? tokenizer.CountQuery(text.First) : tokenizer.Count(text.First, text.Second);

    /// <exception cref="PipelineException">An output is NaN or infinite; the message names whose, and for which text.</exception>
    public void RequireFinite(string whose, IReadOnlyList<float[]> outputs)
    {
        if (outputs.Index().FirstOrDefault(output => !output.Item.All(float.IsFinite)) is not { Item: { } bad } output)
            return;
        var text = _takesPairs ? $"query {Pairs[output.Index].Query}, passage {Pairs[output.Index].Passage}" : Single(output.Index);
        throw new PipelineException(
            string.Create(
                CultureInfo.InvariantCulture,
                $"The output of {whose} for {text} is {bad.First(value => !float.IsFinite(value))}, not a finite number. The model "
                    + $"overflows on this text: check its attention mask constant and precision."
            )
        );
    }

    private string Single(int index) =>
        index < PassageIds.Count ? $"passage {PassageIds[index]}" : $"query {Queries[index - PassageIds.Count].Id}";

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
