using ModelPipeline.Manifest;

namespace ModelPipeline.Inspection;

/// <summary>Where a reranker's score is: one number for each pair of query and passage.</summary>
internal static class RerankAnswer
{
    private static readonly string[] Names = ["logits", "scores", "score"];

    /// <summary>Null, with the reason noted, if no output is a score.</summary>
    public static Answer? Choose(OutputChoice choice, InspectionNotes notes)
    {
        if (choice.Choose(Names, "score", notes) is not { } output)
            return null;
        var labels = output.Rank switch
        {
            1 => 1,
            2 => output.Dims[1],
            _ => 0,
        };
        if (labels == 0)
        {
            notes.Error(
                $"output {output} is no score: a reranker gives logits [batch, labels]. [batch, tokens, hidden] are hidden states, as of "
                    + $"an export without the classification head; "
                    + $"export the model with its head (for sequence classification), or declare 'task: embed' if it is an "
                    + $"embedder{Others(choice, output)}"
            );
            return null;
        }
        return Labelled(choice.Declared, output, labels, notes) is { } answer ? Told(answer, output, notes) : null;
    }

    private static Answer? Labelled(OutputSpec declared, OutputShape output, long labels, InspectionNotes notes)
    {
        if (declared.Difference is { } difference)
            return InRange("output.difference", difference) ? new Answer(output.Name) { Difference = difference } : null;
        if (declared.Label is { } label)
            return InRange("output.label", [label]) ? new Answer(output.Name) { Label = label } : null;
        if (labels == 1)
            return new Answer(output.Name) { Label = 0 };
        notes.Error(
            $"output {output} has {labels} labels, and nothing says which of them is the score. Say in models.yaml 'output: {{name: "
                + $"{output.Name}, label: {labels - 1}}}' "
                + $"with the label that means relevant (id2label in the model's config.json), or 'output: {{name: {output.Name}, "
                + $"difference: [1, 0]}}' for one label minus another"
        );
        return null;

        bool InRange(string key, IReadOnlyList<int> asked)
        {
            if (asked.All(each => each < labels))
                return true;
            notes.Error($"{key}: {asked.Max()} is no label of {output}, which has {labels}, counted from 0");
            return false;
        }
    }

    private static Answer Told(Answer answer, OutputShape output, InspectionNotes notes)
    {
        notes.Note("score", answer is { Label: 0 } && output.Dims[^1] == 1 ? $"{output}" : $"{answer} of {output}");
        return answer;
    }

    private static string Others(OutputChoice choice, OutputShape refused)
    {
        var others = choice.Outputs.Where(output => output != refused).ToList();
        return others.Count == 0 ? "" : $"; the other outputs are {OutputShape.List(others)}";
    }
}
