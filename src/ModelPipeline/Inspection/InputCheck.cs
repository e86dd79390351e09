using ModelPipeline.Onnx;

namespace ModelPipeline.Inspection;

/// <summary>Whether a tokenizer can fill the model's inputs.</summary>
internal static class InputCheck
{
    private const string Ids = "input_ids",
        Mask = "attention_mask",
        Types = "token_type_ids";

    public static void Run(Graph graph, InspectionNotes notes)
    {
        foreach (var input in graph.Inputs)
        {
            if (input.Name is not (Ids or Mask or Types))
            {
                notes.Error(
                    $"the model has the input {input}, and a tokenizer gives {Ids}, {Mask} and {Types} alone: export the model with these "
                        + $"names, and let it compute any other by itself"
                );
            }
            else if (input is not { Type: ElementType.Int64 or ElementType.Int32, Shape.Length: 2 })
            {
                notes.Error(
                    $"input {input} cannot be fed from a tokenizer, which gives int64 [batch, tokens]; int32 is taken too: export the "
                        + $"model with such inputs"
                );
            }
        }
        string[] names = [.. graph.Inputs.Select(input => input.Name)];
        if (!names.Contains(Ids))
            notes.Error($"the model has no input {Ids}; it has {string.Join(", ", graph.Inputs)}: export it with the tokenizer's names");
        notes.Note("inputs", string.Join(", ", graph.Inputs));
        if (!names.Contains(Mask))
            notes.Warn(
                "inputs",
                $"the model takes no {Mask}, so padding counts like text and scores depend on the length that texts are padded to; if it "
                    + $"was trained with one, export it with one"
            );
        if (graph.Inputs.Any(input => input.Type == ElementType.Int32))
            notes.Note("inputs", "int32 inputs are fed as int64 and cast");
    }
}
