namespace ModelPipeline.Inspection;

/// <summary>One thing that was found out about a model.</summary>
/// <param name="About">What it is about, in a word or two.</param>
/// <param name="Statement">A sentence without its full stop.</param>
/// <param name="IsWarning">The reader should look at it.</param>
public sealed record Finding(string About, string Statement, bool IsWarning = false);

/// <summary>What was found out about a model before anything was built of it.</summary>
/// <param name="Answer">Which output is the answer, and how it is read.</param>
/// <param name="Findings">In the order in which they were made.</param>
public sealed record ModelInspection(Answer Answer, IReadOnlyList<Finding> Findings);
