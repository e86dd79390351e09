namespace ModelPipeline.Inspection;

/// <summary>Where an embedder's vector is: pooled by the model, or states of its tokens that are pooled here.</summary>
internal static class EmbedAnswer
{
    private static readonly string[] Pooled = ["sentence_embedding", "embeddings", "text_embeds"];
    private static readonly string[] States = ["last_hidden_state", "token_embeddings"];
    private static readonly string[] Scores = ["logits", "scores", "score"];

    /// <summary>Null, with the reason noted, if no output is an embedding.</summary>
    public static Answer? Choose(OutputChoice choice, InspectionNotes notes)
    {
        var (pooling, files) = (choice.Model.Pooling, choice.Files);
        string[] names = pooling is null or "none" ? [.. Pooled, .. States] : [.. States, .. Pooled];
        if (choice.Choose(names, "embedding", notes) is not { } output)
            return null;
        if (choice.Declared.Name is null && Scores.Contains(output.Name))
        {
            notes.Error(
                $"output {output} is a classifier's, no embedding: declare 'task: rerank', or export the model's encoder; if it is the "
                    + $"embedding, say 'output: {{name: {output.Name}}}'"
            );
            return null;
        }
        var answer = output.Rank switch
        {
            2 => OfPooled(output, pooling, notes),
            3 => OfStates(output, pooling, files, notes),
            _ => Refused(output, notes),
        };
        if (answer is null)
            return null;
        answer = answer with { Normalize = choice.Model.Normalize ?? files?.Normalizes ?? false };
        notes.Note("embedding", $"{answer} of {output}");
        if (files?.Unsupported is { Count: > 0 } modules)
            notes.Warn(
                "embedding",
                $"the repository's modules.json goes on with {string.Join(", ", modules)}, which is no part of the ONNX file: the "
                    + $"embeddings here are those before it"
            );
        return answer;
    }

    private static Answer? OfPooled(OutputShape output, string? pooling, InspectionNotes notes)
    {
        if (output.Dims[1] < 2)
            return Refused(output, notes);
        if (pooling is null or "none")
            return new Answer(output.Name);
        notes.Error(
            $"output {output} is pooled by the model already, so there is nothing to pool by '{pooling}': take 'pooling' out, or name an "
                + $"output [batch, tokens, hidden] by 'output: {{name: ...}}'"
        );
        return null;
    }

    private static Answer? OfStates(OutputShape output, string? pooling, SentenceTransformersFiles? files, InspectionNotes notes)
    {
        if (pooling is null && files?.PoolingProblem is { } problem)
        {
            notes.Error(
                $"{problem}; say 'pooling:' in models.yaml, one of {string.Join(", ", TokenPooling.All.Select(known => known.Name))}"
            );
            return null;
        }
        if ((pooling ?? files?.Pooling) is { } found)
            return new Answer(output.Name) { Pooling = TokenPooling.Named(found).Name };
        notes.Warn(
            "embedding",
            $"nothing says how the states of {output} are pooled: 'mean' is taken. Some embedders (bge, mxbai, arctic-embed) want the "
                + $"first token: say 'pooling: cls', or 'pooling: mean' to confirm"
        );
        return new Answer(output.Name) { Pooling = "mean" };
    }

    private static Answer? Refused(OutputShape output, InspectionNotes notes)
    {
        notes.Error(
            $"output {output} is no embedding: [batch, hidden] or [batch, tokens, hidden] was expected; name the right one by 'output: "
                + $"{{name: ...}}', or declare 'task: rerank' if it is a score"
        );
        return null;
    }
}
