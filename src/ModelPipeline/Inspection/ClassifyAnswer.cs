namespace ModelPipeline.Inspection;

/// <summary>Where a classifier's logits are: one for each label.</summary>
internal static class ClassifyAnswer
{
    private static readonly string[] Names = ["logits", "scores"];

    /// <summary>Null, with the reason noted, if no output has a logit a label.</summary>
    public static Answer? Choose(OutputChoice choice, InspectionNotes notes)
    {
        if (choice.Choose(Names, "classification", notes) is not { } output)
            return null;
        if (output is { Rank: 2, Dims: [_, > 1] })
        {
            notes.Note("labels", $"{output}");
            return new Answer(output.Name);
        }
        notes.Error(
            $"output {output} is no classification: logits [batch, labels] of two labels or more were expected; "
                + "export the model with its classification head, name the right output by 'output: {name: ...}', or declare 'task: "
                + "rerank' for a single score"
        );
        return null;
    }
}
