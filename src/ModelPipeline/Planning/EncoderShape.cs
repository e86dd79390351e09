using ModelPipeline.Core;

namespace ModelPipeline.Planning;

/// <summary>The sizes of a BERT-like encoder, as config.json has them.</summary>
/// <param name="Layers">num_hidden_layers.</param>
/// <param name="Hidden">hidden_size.</param>
/// <param name="Heads">num_attention_heads.</param>
/// <param name="Intermediate">intermediate_size.</param>
[OneLine]
public sealed record EncoderShape(int Layers, int Hidden, int Heads, int Intermediate)
{
    /// <summary>vocab_size; 0 for encoders of images and sound, which gather nothing.</summary>
    public int Vocabulary { get; init; }

    /// <summary>max_position_embeddings; 0 if positions are no table.</summary>
    public int Positions { get; init; }

    /// <summary>Rows of the word and position tables and elements of all matrices.</summary>
    public double Parameters => ((double)(Vocabulary + Positions) * Hidden) + LayerParameters;

    /// <summary>Elements of the matrices of all layers.</summary>
    public double LayerParameters => (double)Layers * ((4.0 * Hidden * Hidden) + (2.0 * Hidden * Intermediate));

    /// <summary>What one run has to do.</summary>
    public IReadOnlyList<OperatorWork> At(InputShape shape)
    {
        var rows = (long)shape.Batch * shape.Sequence;
        IEnumerable<OperatorWork> embeddings =
            Vocabulary == 0
                ? []
                : [new(OperatorClass.Gather, rows, 1, Hidden), new(OperatorClass.Elementwise, rows, 1, Hidden) { Count = 2 }];
        return
        [
            .. embeddings,
            new(OperatorClass.Attention, (long)shape.Batch * Heads, shape.Sequence, Hidden / Heads) { Count = Layers },
            new(OperatorClass.Linear, rows, Hidden, Hidden) { Count = 4 * Layers },
            new(OperatorClass.Linear, rows, Hidden, Intermediate) { Count = Layers, Gelu = true },
            new(OperatorClass.Linear, rows, Intermediate, Hidden) { Count = Layers },
            new(OperatorClass.Norm, rows, 1, Hidden) { Count = (2 * Layers) + 1 },
            new(OperatorClass.Host, 1, 1, 1),
        ];
    }
}
