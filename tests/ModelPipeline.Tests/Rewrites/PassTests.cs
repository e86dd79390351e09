using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;
using ModelPipeline.Tests.Onnx;
using Tensor = ModelPipeline.Onnx.Tensor;

namespace ModelPipeline.Tests.Rewrites;

public sealed class PassTests
{
    /// <summary>First pairs that scores are compared on.</summary>
    private const int Pairs = 24;

    private static IEnumerable<string> Operators(OnnxModel model) => model.Graph.Nodes.Select(node => node.OpType);

    public static TheoryData<string> PassNames => [.. Pass.All.Select(pass => pass.Name)];

    [Fact]
    public void Folding_leaves_no_shape_arithmetic_in_the_sample_model()
    {
        Assert.Equal(476, TinyReranker.Source.Graph.Nodes.Length);
        Assert.Equal(33, Operators(TinyReranker.Source).Count(op => op == "Shape"));

        var counts = Operators(TinyReranker.Unmasked).CountBy(op => op).ToDictionary();

        Assert.All(["Shape", "Constant", "Concat", "Slice", "Expand", "ConstantOfShape"], op => Assert.DoesNotContain(op, counts.Keys));
        // Two embeddings and the pooler's first token; two axes for the mask.
        Assert.Equal((3, 2), (counts["Gather"], counts["Unsqueeze"]));
        Assert.Equal(FoldedNodes, TinyReranker.Unmasked.Graph.Nodes.Length);
    }

    private const int FoldedNodes = 222;

    [Theory]
    [InlineData(1, 64)]
    [InlineData(1, 128)]
    [InlineData(2, 32)]
    public void Any_shape_can_be_pinned_and_folded_and_fp32_scores_stay(int batch, int sequence)
    {
        var pinned = PinShapes.Apply(TinyReranker.Source, new InputShape(batch, sequence));
        var folded = TinyReranker.Apply(pinned, "fold-shapes", "share-initializers", "dead-nodes");

        Assert.All(folded.Graph.Inputs, input => Assert.Equal([batch, sequence], input.Shape.Select(dimension => dimension.Value!.Value)));
        Assert.Equal([batch, 1L], folded.Graph.Outputs[0].Shape.Select(dimension => dimension.Value!.Value));
        Assert.DoesNotContain("Shape", Operators(folded));
        using var expected = InferenceSessions.Open(TinyReranker.Source);
        using var actual = InferenceSessions.Open(folded);
        foreach (var rows in TinyReranker.Pairs.Take(Pairs).Chunk(batch))
        {
            var inputs = rows.Select(pair => TinyReranker.Inputs(pair.Query, pair.Passage).Select(row => row[..sequence]).ToArray())
                .ToList();
            using var scores = actual.Run(
                [.. Enumerable.Range(0, 3).Select(i => inputs.SelectMany(row => row[i]).ToArray())],
                ["logits"],
                TestContext.Current.CancellationToken
            );
            foreach (var (row, score) in inputs.Zip(scores[0].GetTensorDataAsSpan<float>().ToArray()))
            {
                using var reference = expected.Run(row, ["logits"], TestContext.Current.CancellationToken);
                Assert.Equal(reference[0].GetTensorDataAsSpan<float>()[0], score, 1e-5);
            }
        }
    }

    [Theory]
    [MemberData(nameof(PassNames))]
    public void Every_pass_is_idempotent_deterministic_and_keeps_inputs_and_outputs(string name)
    {
        var pass = Pass.Named(name);
        var pinned = PinShapes.Apply(TinyReranker.Source, new InputShape(1, 32));

        var once = pass.Apply(pinned);
        var twice = pass.Apply(once.Model);

        Assert.Empty(twice.Matches);
        Assert.Same(once.Model, twice.Model);
        Assert.Equal(once.Model.Digest(), pass.Apply(pinned).Model.Digest());
        Assert.Equal(pinned.Graph.Inputs, once.Model.Graph.Inputs);
        Assert.Equal(pinned.Graph.Outputs, once.Model.Graph.Outputs);
    }

    [Fact]
    public void A_mask_of_minus_30_moves_no_score_and_a_weak_one_would()
    {
        // Over all 1,070 pairs: -30 moves no score by a bit, -25 by 1e-6, -16 by 5e-5, -12 by 0.003, -8 by 0.14.
        Assert.Equal(0, LargestShift(-30));
        Assert.InRange(LargestShift(-8), 1e-3f, 1);

        float LargestShift(float mask)
        {
            var graph = TinyReranker.Prepared.Graph;
            var model = TinyReranker.Prepared.With(
                graph with
                {
                    Initializers = graph.InitializersWith([new("/Constant_4_output_0", Tensor.Scalar(mask))]),
                }
            );
            return TinyReranker.Scores(TinyReranker.Unmasked, 200).Zip(TinyReranker.Scores(model, 200), (a, b) => Math.Abs(a - b)).Max();
        }
    }

    [Fact]
    public void A_shape_that_the_model_is_not_pinned_to_is_refused()
    {
        var error = Assert.Throws<PipelineException>(() => PinShapes.Apply(TinyReranker.Unmasked, new InputShape(1, 64)));

        Assert.Equal(
            "input input_ids int64 [1,128] does not allow the shape 1x64 of models.yaml; give it a shape that fits, or export the model "
                + "with dynamic axes",
            error.Message
        );
    }

    [Fact]
    public void Inputs_that_no_tokenizer_fills_are_refused()
    {
        var g = new GraphBuilder();
        var model = g.Build(g.Node("Relu", [g.Input("image", ElementType.Float, 1, 3, 224, 224)]));

        Assert.Contains(
            "image float [1,3,224,224] cannot be fed",
            Assert.Throws<PipelineException>(() => PinShapes.Apply(model, new InputShape(1, 64))).Message
        );
    }

    [Fact]
    public void One_symbol_for_batch_and_sequence_is_refused()
    {
        var g = new GraphBuilder();
        Dimension n = new(null, "n");
        var model = g.Build(g.Node("Identity", [g.Input("ids", ElementType.Int64, n, n)]));

        Assert.Throws<PipelineException>(() => PinShapes.Apply(model, new InputShape(1, 64)));
    }

    [Fact]
    public void Nothing_is_folded_while_an_input_is_dynamic() =>
        Assert.Same(TinyReranker.Source, Pass.Named("fold-shapes").Apply(TinyReranker.Source).Model);

    [Fact]
    public void A_constant_too_large_for_the_file_stays_computed_with_all_that_it_needs()
    {
        var g = new GraphBuilder();
        var sum = g.Node("Add", [g.Constant(Tensor.Vector(4000L, 0)), g.Constant(Tensor.Vector(0L, 4000))]);
        var zeros = g.Node("ConstantOfShape", [sum]);
        var output = g.Node("Mul", [g.Node("ReduceSum", [zeros]), g.Input("x", ElementType.Float, 2)]);
        var model = g.Build(output);

        var rewritten = Pass.Named("fold-shapes").Apply(model);
        Assert.Equal(["Mul"], Operators(rewritten.Model));

        var large = g.Build(output, zeros);
        var kept = Pass.Named("fold-shapes").Apply(large);
        Assert.Equal(["Add", "ConstantOfShape", "Mul"], Operators(kept.Model));
        Assert.Same(kept.Model, Pass.Named("fold-shapes").Apply(kept.Model).Model);
    }

    [Fact]
    public void A_shape_that_depends_on_data_is_not_folded()
    {
        var g = new GraphBuilder();
        var ids = g.Input("ids", ElementType.Int64, 1, 4);
        var tokens = g.Node("Shape", [g.Node("NonZero", [ids])]);
        var zeros = g.Node("Shape", [g.Node("ConstantOfShape", [g.Node("Squeeze", [ids, g.Constant(Tensor.Vector(0L))])])]);
        var still = g.Node("Shape", [g.Node("Neg", [ids])]);
        var model = g.Build(g.Node("Identity", [tokens]), g.Node("Identity", [zeros]), g.Node("Identity", [still]));

        Assert.Equal(
            ["NonZero", "Shape", "Squeeze", "ConstantOfShape", "Shape", "Identity", "Identity"],
            Operators(Pass.Named("fold-shapes").Apply(model).Model)
        );
    }

    [Fact]
    public void Random_numbers_are_not_folded()
    {
        var g = new GraphBuilder();
        var model = g.Build(g.Node("Add", [g.Input("x", ElementType.Float, 2), g.Node("RandomNormal", [], Attributes.Of("shape", [2L]))]));

        Assert.Same(model, Pass.Named("fold-shapes").Apply(model).Model);
    }

    [Fact]
    public void Dead_nodes_go_and_nodes_with_an_omitted_output_are_no_exception()
    {
        var g = new GraphBuilder();
        var x = g.Input("x", ElementType.Float, 2);
        g.Node("Relu", [g.Node("Add", [x, g.Constant(Tensor.Vector(1f, 2), "unused")])]);
        var model = g.Build(g.Node("Clip", [x, "", g.Scalar(1)]));
        model = model.With(model.Graph with { Nodes = model.Graph.Nodes.Insert(0, new Node("Dropout", "dead", ["x"], ["y", ""])) });

        var rewritten = Pass.Named("dead-nodes").Apply(model);

        Assert.Equal("3 nodes and 1 initializers dropped", Assert.Single(rewritten.Matches));
        Assert.Equal(["Clip"], Operators(rewritten.Model));
    }

    [Fact]
    public void Equal_initializers_are_shared_unless_they_are_outputs()
    {
        var g = new GraphBuilder();
        var x = g.Input("x", ElementType.Float, 2);
        string[] names =
        [
            .. new[]
            {
                Tensor.Vector(1f, 2),
                Tensor.Vector(1f, 2),
                Tensor.Of<float>([1, 2], [1, 2]),
                Tensor.Vector(0f, 0),
                Tensor.Vector(-0f, 0),
            }.Select(value => g.Constant(value)),
        ];
        var sums = names.Select(name => g.Node("Add", [x, name])).ToArray();

        var shared = Pass.Named("share-initializers").Apply(g.Build(sums)).Model.Graph;
        Assert.Equal([names[0], names[2], names[3], names[4]], shared.Initializers.Keys);
        Assert.Equal([names[0], names[0]], shared.Nodes.Take(2).Select(node => node.Inputs[1]));

        var asOutput = g.Build([.. sums, names[1]]);
        Assert.Same(asOutput, Pass.Named("share-initializers").Apply(asOutput).Model);
    }
}
