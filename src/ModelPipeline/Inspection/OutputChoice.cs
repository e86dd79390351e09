using ModelPipeline.Manifest;

namespace ModelPipeline.Inspection;

/// <summary>What is known about the outputs of a model when its answer is looked for.</summary>
/// <param name="Outputs">All of them, as the model gives them.</param>
/// <param name="Model">As models.yaml declares it.</param>
/// <param name="Files">Of its repository, or beside its file; null if there are none.</param>
internal sealed record OutputChoice(IReadOnlyList<OutputShape> Outputs, ModelSpec Model, SentenceTransformersFiles? Files)
{
    /// <summary>What models.yaml says of the output.</summary>
    public OutputSpec Declared => Model.Output ?? new OutputSpec();

    /// <summary>The declared output, the only one, or the one that has the first of the names that any has; null, with the reason noted, if
    /// there is no such.</summary>
    public OutputShape? Choose(IReadOnlyList<string> names, string what, InspectionNotes notes)
    {
        var candidates = Outputs.Where(output => output.IsFloat).ToList();
        if (Declared.Name is { } name)
        {
            var declared = Outputs.FirstOrDefault(output => output.Name == name);
            if (declared is null)
                notes.Error(
                    $"output.name: the model has no output '{name}'; it has "
                        + $"{OutputShape.List(Outputs)}{Spelling.Suggest(name, Outputs.Select(output => output.Name))}"
                );
            else if (!declared.IsFloat)
                notes.Error(
                    $"output {declared} holds no floating point numbers, so it is no {what}; the model has {OutputShape.List(Outputs)}"
                );
            return declared is { IsFloat: true } ? declared : null;
        }
        if (candidates is [var only])
            return only;
        var named = names
            .Select(known => candidates.FirstOrDefault(output => output.Name == known))
            .FirstOrDefault(output => output is not null);
        if (named is null)
        {
            notes.Error(
                candidates.Count == 0
                    ? $"none of the outputs {OutputShape.List(Outputs)} holds floating point numbers, so there is no {what}"
                    : $"the model has {candidates.Count} outputs and none is called {string.Join(" or ", names)}: "
                        + $"{OutputShape.List(Outputs)}; say which is the {what} by 'output: {{name: {candidates[0].Name}}}' in models.yaml"
            );
        }
        return named;
    }
}
