namespace ModelPipeline.Validation;

/// <summary>One query of a test collection with the candidates to rerank.</summary>
/// <param name="Id">Query id, as errors and reports name it.</param>
/// <param name="Candidates">Passage ids in the order of the candidates file: that order decides between tied scores.</param>
/// <param name="Grades">All judgements of the query, passage id to grade (0 and up); a passage without one has grade 0.</param>
public sealed record JudgedQuery(string Id, IReadOnlyList<string> Candidates, IReadOnlyDictionary<string, int> Grades);
