using ModelPipeline.Onnx;
using ModelPipeline.Tests.Onnx;
using Tensor = ModelPipeline.Onnx.Tensor;

namespace ModelPipeline.Tests.Inspection;

/// <summary>A model of one layer of embeddings, made to measure: token states are word + position rows, everything else is read from
/// them.</summary>
internal sealed class TinyModels
{
    public const int Hidden = 4;

    /// <summary>As many as the sample's vocab.txt has.</summary>
    public const int Vocabulary = 8000;

    private static readonly Dimension Batch = new(null, "batch"),
        Sequence = new(null, "sequence");

    private readonly GraphBuilder graph = new();
    private readonly List<ValueInfo> outputs = [];
    private readonly string states;

    /// <param name="words">Rows of the word table.</param>
    /// <param name="positions">Rows of the position table; 0 leaves it out.</param>
    /// <param name="ids">Element type of input_ids.</param>
    /// <param name="masked">The model takes an attention mask, too.</param>
    /// <param name="weight">Put into the word table at index 5.</param>
    public TinyModels(
        int words = Vocabulary,
        int positions = 0,
        ElementType ids = ElementType.Int64,
        bool masked = true,
        float weight = 0.5f
    )
    {
        var table = Values(words * Hidden, 1);
        table[5] = weight;
        var input = graph.Input("input_ids", ids, Batch, Sequence);
        states = graph.Node("Gather", [graph.Constant(Tensor.Of([words, Hidden], table), "embeddings.word.weight"), input]);
        if (positions > 0)
        {
            var length = graph.Node("Gather", [graph.Node("Shape", [input]), graph.Constant(Tensor.Vector(1L))], Attributes.Of("axis", 0L));
            var all = graph.Constant(
                Tensor.Of([positions, Hidden], Values(positions * Hidden, 2)),
                "embeddings.position_embeddings.weight"
            );
            states = graph.Node(
                "Add",
                [states, graph.Node("Slice", [all, graph.Constant(Tensor.Vector(0L)), length, graph.Constant(Tensor.Vector(0L))])]
            );
        }
        if (masked)
        {
            var mask = graph.Node(
                "Cast",
                [graph.Input("attention_mask", ids, Batch, Sequence)],
                Attributes.Of("to", (long)ElementType.Float)
            );
            states = graph.Node("Mul", [states, graph.Node("Unsqueeze", [mask, graph.Constant(Tensor.Vector(2L))])]);
        }
    }

    /// <summary>[batch, tokens, hidden].</summary>
    public TinyModels WithStates(string name = "last_hidden_state") => With(name, states, Batch, Sequence, Hidden);

    /// <summary>[batch, hidden]: the sum over the tokens.</summary>
    public TinyModels WithPooled(string name = "sentence_embedding") => With(name, Pooled(), Batch, Hidden);

    /// <summary>[batch, labels].</summary>
    public TinyModels WithLogits(int labels, string name = "logits") =>
        With(
            name,
            graph.Node("MatMul", [Pooled(), graph.Constant(Tensor.Of([Hidden, labels], Values(Hidden * labels, 3)), "classifier.weight")]),
            Batch,
            labels
        );

    /// <summary>[batch].</summary>
    public TinyModels WithScores(string name = "scores") =>
        With(name, graph.Node("ReduceSum", [states, graph.Constant(Tensor.Vector(1L, 2L))], Attributes.Of("keepdims", 0L)), Batch);

    /// <summary>An input that no tokenizer fills.</summary>
    public TinyModels WithInput(string name)
    {
        graph.Input(name, ElementType.Int64, Batch, Sequence);
        return this;
    }

    /// <summary>A constant that nothing reads.</summary>
    public TinyModels WithConstant(string name, Tensor value)
    {
        graph.Constant(value, name);
        return this;
    }

    public string Save(string path)
    {
        graph.Build([.. outputs]).Save(path);
        return path;
    }

    private string Pooled() => graph.Node("ReduceSum", [states, graph.Constant(Tensor.Vector(1L))], Attributes.Of("keepdims", 0L));

    private TinyModels With(string name, string value, params Dimension[] shape)
    {
        outputs.Add(new ValueInfo(graph.Identity(name, value), ElementType.Float, [.. shape]));
        return this;
    }

    /// <summary>Numbers from -0.5 to 0.5 without a pattern.</summary>
    private static float[] Values(int count, int seed) =>
        [.. Enumerable.Range(0, count).Select(i => ((((i + 1) * 7919 * seed) % 1009) / 1009f) - 0.5f)];
}
