using ModelPipeline.Core;

namespace ModelPipeline.Inspection;

/// <summary>Collects findings and all that is wrong, to report it at once.</summary>
internal sealed class InspectionNotes
{
    private readonly List<Finding> _findings = [];
    private readonly List<string> _errors = [];

    public IReadOnlyList<Finding> Findings => _findings;

    public void Note(string about, string statement) => _findings.Add(new Finding(about, statement));

    public void Warn(string about, string statement) => _findings.Add(new Finding(about, statement, IsWarning: true));

    /// <param name="problem">A sentence with what was expected and how to mend it, without its full stop.</param>
    public void Error(string problem) => _errors.Add(problem);

    /// <exception cref="PipelineException">Something is wrong: a line each.</exception>
    public void ThrowIfAny(string model)
    {
        if (_errors.Count > 0)
            throw new PipelineException(
                string.Join('\n', _errors.Select(error => $"{model}: {error}.")),
                PipelineException.ConfigurationError
            );
    }
}
