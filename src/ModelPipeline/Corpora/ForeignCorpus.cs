using ModelPipeline.Core;
using ModelPipeline.Text;

namespace ModelPipeline.Corpora;

/// <summary>A passage or a query.</summary>
/// <param name="Id">Unique in its file.</param>
/// <param name="Text">Not empty.</param>
/// <param name="Where">File and line.</param>
internal readonly record struct ForeignText(string Id, string Text, string Where);

/// <summary>What somebody judged.</summary>
/// <param name="Query">Id of the query.</param>
/// <param name="Passage">Id of the passage.</param>
/// <param name="Grade">0 to <see cref="Corpus.MaxGrade"/>.</param>
internal readonly record struct ForeignJudgement(string Query, string Passage, int Grade)
{
    /// <summary>What is below 0, as TREC marks spam, counts as 0.</summary>
    /// <exception cref="PipelineException">The grade is above the largest.</exception>
    public static ForeignJudgement Of(string where, string query, string passage, int grade) =>
        grade <= Corpus.MaxGrade
            ? new(query, passage, Math.Max(grade, 0))
            : throw new PipelineException($"{where}: grade {grade} is above {Corpus.MaxGrade}, the largest.");
}

/// <summary>A passage that some retriever found for a query.</summary>
/// <param name="Query">Id of the query.</param>
/// <param name="Passage">Id of the passage.</param>
/// <param name="Rank">From 1; in the order of the file where it has none.</param>
internal readonly record struct ForeignCandidate(string Query, string Passage, int Rank);

/// <summary>A test collection in a form that others publish. Each reader goes through its file line by line, as often as it is
/// asked.</summary>
/// <param name="Form">What it is, for people.</param>
internal sealed record ForeignCorpus(string Form)
{
    public required Func<LineErrors, IEnumerable<ForeignText>> Passages { get; init; }

    public required Func<LineErrors, IEnumerable<ForeignText>> Queries { get; init; }

    /// <summary>Null where nobody judged.</summary>
    public Func<LineErrors, IEnumerable<ForeignJudgement>>? Judgements { get; init; }

    /// <summary>Null where no retriever ran.</summary>
    public Func<LineErrors, IEnumerable<ForeignCandidate>>? Candidates { get; init; }

    /// <summary>Which of several files were taken.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];
}
