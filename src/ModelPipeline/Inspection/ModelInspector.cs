using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;
using ModelPipeline.Text;

namespace ModelPipeline.Inspection;

/// <summary>A source, its tokenizer and what models.yaml says of them.</summary>
/// <param name="Model">Of models.yaml.</param>
/// <param name="Source">In fp32, with weights that stand as constants.</param>
/// <param name="Tokenizer">Of its vocabulary.</param>
/// <param name="Files">Of its repository, or beside its file; null if there are none.</param>
/// <param name="Choose">The task's way to its answer; null, with the reason noted, if no output is one.</param>
internal sealed record InspectionSubject(
    ModelSpec Model,
    OnnxModel Source,
    PairTokenizer Tokenizer,
    SentenceTransformersFiles? Files,
    Func<OutputChoice, InspectionNotes, Answer?> Choose
);

/// <summary>Decides what a model's answer is, and whether source, tokenizer, shapes and task fit together, before anything is
/// built.</summary>
internal static class ModelInspector
{
    /// <summary>RoBERTa's kind keeps rows at the front of its position table; no model keeps more.</summary>
    private const int PositionsAhead = 4;

    /// <summary>Where <c>shapes: auto</c> has no plan yet, a shape that every model takes.</summary>
    private static readonly InputShape BeforeThePlan = new(1, 32);

    /// <returns>What was found, and the source in the form that all stages take (<see cref="SourceGraph"/>).</returns>
    /// <exception cref="PipelineException">Something does not fit; the message has all of it.</exception>
    public static (OnnxModel Source, ModelInspection Inspection) Inspect(
        InspectionSubject subject,
        CancellationToken cancellation = default
    )
    {
        var (model, notes) = (subject.Model, new InspectionNotes());
        InputCheck.Run(subject.Source.Graph, notes);
        var tables = EmbeddingTable.Of(subject.Source.Graph);
        CheckVocabulary(tables, subject.Tokenizer.VocabularySize, notes);
        notes.ThrowIfAny(model.Name);

        var source = SourceGraph.WithInt64Inputs(subject.Source);
        foreach (var shape in model.Shapes)
            PinShapes.Apply(source, shape);
        var outputs = Outputs(source, subject, tables, cancellation);
        var answer = subject.Choose(new OutputChoice(outputs, model, subject.Files), notes);
        notes.ThrowIfAny(model.Name);
        if (outputs.Count > 1)
            notes.Note("outputs", $"of {OutputShape.List(outputs)}, all but {answer!.Output} are left out");
        return (SourceGraph.WithOnly(source, answer!.Output), new ModelInspection(answer, notes.Findings));
    }

    /// <exception cref="PipelineException">A weight is no number, an input is none that a tokenizer fills, or the model is quantized
    /// already.</exception>
    public static void RequireSound(OnnxModel model, string name)
    {
        Prequantized.Refuse(model, name);
        var notes = new InspectionNotes();
        InputCheck.Run(model.Graph, notes);
        WeightCheck.Run(model.Graph, notes);
        notes.ThrowIfAny(name);
    }

    private static void CheckVocabulary(IReadOnlyList<EmbeddingTable> tables, int tokens, InspectionNotes notes)
    {
        foreach (var table in tables.Where(table => table.Input == "input_ids"))
        {
            if (tokens > table.Rows)
            {
                notes.Error(
                    $"the vocabulary has {tokens} tokens, and the embedding table '{table.Name}' {table.Rows} rows: "
                        + "it is another model's, or has tokens that were added after training; take the tokenizer files that lie beside "
                        + "the model"
                );
            }
            else if (tokens < table.Rows)
            {
                notes.Warn(
                    "vocabulary",
                    $"the vocabulary has {tokens} tokens, and the embedding table '{table.Name}' {table.Rows} rows: "
                        + (
                            table.Rows - tokens < 128
                                ? "rows beyond the vocabulary are usually padding"
                                : "check that it is this model's vocabulary"
                        )
                );
            }
            else
            {
                notes.Note("vocabulary", $"{tokens} tokens, as many as '{table.Name}' has rows");
            }
        }
    }

    /// <summary>The outputs of one run at the longest shape, on a row without padding.</summary>
    private static IReadOnlyList<OutputShape> Outputs(
        OnnxModel source,
        InspectionSubject subject,
        IReadOnlyList<EmbeddingTable> tables,
        CancellationToken cancellation
    )
    {
        var shape = subject.Model.Shapes.DefaultIfEmpty(BeforeThePlan).MaxBy(shape => (shape.Sequence, shape.Batch));
        var rows = shape.Batch * shape.Sequence;
        try
        {
            using var session = InferenceSessions.Open(PinShapes.Apply(source, shape));
            using var outputs = session.Run([.. source.Graph.Inputs.Select(input => Row(input.Name))], session.OutputNames, cancellation);
            return
            [
                .. session.OutputNames.Zip(
                    outputs,
                    (name, value) =>
                    {
                        var info = value.GetTensorTypeAndShape();
                        return new OutputShape(name, (ElementType)info.ElementDataType, info.Shape);
                    }
                ),
            ];
        }
        catch (PipelineException e)
        {
            throw new PipelineException(
                $"{subject.Model.Name}: the model does not run at shape [{shape.Batch}, {shape.Sequence}]: "
                    + $"{Positions(tables, shape.Sequence) ?? e.Message}",
                PipelineException.ConfigurationError,
                e
            );
        }

        long[] Row(string input)
        {
            var row = new long[rows];
            row.AsSpan()
                .Fill(
                    input switch
                    {
                        "input_ids" => subject.Tokenizer.SeparatorId,
                        "attention_mask" => 1,
                        _ => 0,
                    }
                );
            return row;
        }
    }

    /// <summary>The position table that ends before the shape does; null if none does. Of those that could be one, a table called so, else
    /// the longest as wide as the words'.</summary>
    private static string? Positions(IReadOnlyList<EmbeddingTable> tables, int tokens)
    {
        var words = tables.FirstOrDefault(table => table.Input == "input_ids");
        var ended = tables
            .Where(table =>
                table.Input is null
                && table.Rows > 1
                && table.Rows < tokens + PositionsAhead
                && (words is null || table.Width == words.Width)
            )
            .OrderByDescending(table => table.IsNamedPosition)
            .ThenByDescending(table => table.Rows)
            .FirstOrDefault();
        if (ended is null)
            return null;
        var ahead = ended.Rows >= tokens ? ", the first of which stand for padding" : "";
        return $"it has {tokens} tokens, and the position table '{ended.Name}' {ended.Rows} rows{ahead}. Give 'shapes' that fit, of at "
            + $"most {Math.Min(ended.Rows, tokens - 1)} tokens.";
    }
}
