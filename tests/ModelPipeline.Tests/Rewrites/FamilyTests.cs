using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Checking;
using ModelPipeline.Onnx.Patterns;
using ModelPipeline.Onnx.Proto;
using ModelPipeline.Rewrites;
using ModelPipeline.Tests.Onnx;
using Tensor = ModelPipeline.Onnx.Tensor;

namespace ModelPipeline.Tests.Rewrites;

/// <summary>Every family's passes on models as exporters write them: exact in fp32, and what the toolkit can fuse after.</summary>
public sealed class FamilyTests
{
    public static TheoryData<string> Families => FamilyFixtures.Rows;

    internal static OnnxModel Rewrite(OnnxModel exported, List<string>? applied = null) =>
        Pass.Families.Aggregate(
            PinShapes.Apply(exported, FamilyFixtures.Shape),
            (model, pass) =>
            {
                var rewritten = pass.Apply(model);
                Assert.True(
                    rewritten.Matches.Count > 0 || rewritten.Skipped is not null,
                    $"{pass.Name} says neither what it did nor why not"
                );
                if (rewritten.Matches.Count > 0)
                    applied?.Add(pass.Name);
                Assert.InRange(new Proof(model, []).Shift(rewritten.Model), 0, Proof.Exact);
                return rewritten.Model;
            }
        );

    [Theory]
    [MemberData(nameof(Families))]
    public void Rewriting_leaves_the_scores_of_the_export(string name)
    {
        FamilyFixtures.SkipIfMissing();
        var exported = FamilyFixtures.Load(name);
        var rewritten = Rewrite(exported);
        var samples = FamilyFixtures.Samples(exported);

        Assert.InRange(new Proof(PinShapes.Apply(exported, FamilyFixtures.Shape), samples).Shift(rewritten), 0, Proof.Exact);
        Assert.Equal(exported.Graph.Inputs.Select(input => input.Name), rewritten.Graph.Inputs.Select(input => input.Name));
        Assert.Equal(exported.Graph.Outputs.Select(output => output.Name), rewritten.Graph.Outputs.Select(output => output.Name));
        if (FamilyFixtures.Json(name).GetProperty("output").GetString() == "logits")
        {
            var stated = FamilyFixtures
                .Json(name)
                .GetProperty("original")
                .GetProperty("fp32")
                .EnumerateArray()
                .Select(score => score.GetSingle());
            using var session = InferenceSessions.Open(rewritten);
            var scores = samples.Select(sample =>
            {
                using var outputs = session.Run(sample, ["logits"], TestContext.Current.CancellationToken);
                return outputs[0].GetTensorDataAsSpan<float>()[0];
            });
            Assert.All(stated.Zip(scores), pair => Assert.Equal(pair.First, pair.Second, 1e-4));
        }
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void After_rewriting_every_attention_is_one_that_the_toolkit_fuses_and_every_mask_is_small(string name)
    {
        FamilyFixtures.SkipIfMissing();
        var rewritten = Rewrite(FamilyFixtures.Load(name));
        var found = PatternMatches.Of(rewritten.Graph);

        Assert.Equal(2, found.Attentions.Count(FusedOperators.IsFused));
        var operators = rewritten.Graph.Nodes.Select(node => node.OpType).ToHashSet();
        Assert.DoesNotContain(
            operators,
            op => op is "If" or "Shape" or "IsNaN" or "CumSum" or "GatherElements" or "Where" or "And" or "Not" or "Equal" or "Range"
        );
        Assert.All(
            rewritten.Graph.Initializers.Values.Where(tensor => tensor.Type == ElementType.Float && tensor.Count > 0),
            tensor => Assert.True(System.Numerics.Tensors.TensorPrimitives.Min(tensor.Span<float>()) >= -100)
        );
        foreach (var pass in Pass.Families)
            Assert.Empty(pass.Apply(rewritten).Matches);
    }

    /// <summary>Of a Slice, the toolkit keeps a matrix of the length squared in the file: 532 MB for this model, cut out of the flat
    /// product.</summary>
    [Fact]
    public void Relative_attention_is_cut_along_short_axes()
    {
        FamilyFixtures.SkipIfMissing();
        var exported = PinShapes.Apply(FamilyFixtures.Load("deberta/deberta-cls-eager-ts14"), FamilyFixtures.Shape);
        var skewed = Pass.Families.Aggregate(exported, (model, pass) => pass.Apply(model, FamilyFixtures.Samples(exported)).Model);
        var shapes = OnnxChecker.Check(skewed).Values;
        var sliced = skewed.Graph.Nodes.Where(node => node.OpType == "Slice").Select(node => shapes[node.Inputs[0]].Shape!).ToList();
        Assert.NotEmpty(sliced);
        Assert.All(sliced, shape => Assert.All(shape, dimension => Assert.InRange(dimension.Value!.Value, 1, 128)));
    }

    [Fact]
    public void Opset_20_becomes_19_and_its_Gelu_is_written_out()
    {
        var g = new GraphBuilder(opset: 20, irVersion: 9);
        var model = g.Build(new ValueInfo(g.Node("Gelu", [g.FloatInput(1, 64)]), ElementType.Float, [1, 64]));

        var lowered = Pass.Named("opset").Apply(model);

        Assert.Equal(19, OnnxModel.Parse(lowered.Model.ToBytes()).Opset);
        Assert.Equal(["Div", "Erf", "Add", "Mul", "Mul"], lowered.Model.Graph.Nodes.Select(node => node.OpType));
        Assert.InRange(new Proof(model, []).Shift(lowered.Model), 0, Proof.Exact);
    }

    [Fact]
    public void An_operator_that_opset_19_lacks_is_named()
    {
        var g = new GraphBuilder(opset: 24, irVersion: 10);
        var model = g.Build(g.Node("Swish", [g.FloatInput(1, 4)]));

        var kept = Pass.Named("opset").Apply(model);

        Assert.Same(model, kept.Model);
        Assert.Contains("Swish", Assert.Single(kept.Warnings));
    }

    [Fact]
    public void An_If_whose_condition_is_constant_becomes_the_branch_that_is_taken()
    {
        FamilyFixtures.SkipIfMissing();
        var exported = FamilyFixtures.Load("deberta/deberta-cls-eager-ts14");
        Assert.Equal(2, exported.Graph.Nodes.Count(node => node.OpType == "If"));
        Assert.All(exported.Graph.Nodes.Where(node => node.OpType == "If"), node => Assert.NotEmpty(node.Captured));

        var read = OnnxModel.Parse(exported.ToBytes());

        Assert.Equal(0, new Proof(PinShapes.Apply(exported, FamilyFixtures.Shape), []).Shift(PinShapes.Apply(read, FamilyFixtures.Shape)));
        Assert.DoesNotContain(
            Pass.Named("fold-shapes").Apply(PinShapes.Apply(exported, FamilyFixtures.Shape)).Model.Graph.Nodes,
            node => node.OpType == "If"
        );
    }

    [Fact]
    public void Nodes_of_a_branch_without_names_stay_without()
    {
        var g = new GraphBuilder();
        var x = g.FloatInput(1, 4);
        var y = g.If(
            g.Constant(Tensor.Scalar(true)),
            new NodeProto
            {
                OpType = "Relu",
                Input = { x },
                Output = { "a" },
            },
            new NodeProto
            {
                OpType = "Neg",
                Input = { "a" },
                Output = { "b" },
            }
        );
        var model = g.Build(new ValueInfo(y, ElementType.Float, [1, 4]));

        var inlined = Pass.Named("fold-shapes").Apply(model);

        Assert.Equal(["Relu", "Neg"], inlined.Model.Graph.Nodes.Select(node => node.OpType));
        Assert.Equal(0, new Proof(model, []).Shift(inlined.Model));
    }

    [Fact]
    public void Positions_that_a_text_refutes_stay_counted()
    {
        var g = new GraphBuilder();
        var counted = g.Node("CumSum", [g.Input("input_ids", ElementType.Int64, 1, 1), g.Constant(Tensor.Scalar(1L))]);
        var model = g.Build(g.Node("Gather", [g.Constant(Tensor.Of([1000, 1], new float[1000])), counted]));

        var rewritten = Pass.Named("positions").Apply(model);

        Assert.Same(model, rewritten.Model);
        Assert.Equal("what is counted differs between texts", rewritten.Skipped);
    }

    [Fact]
    public void Attention_of_rank_three_may_have_its_constants_in_nodes()
    {
        FamilyFixtures.SkipIfMissing();
        var model = Pass
            .Families.TakeWhile(pass => pass.Name != "rank-four")
            .Aggregate(
                PinShapes.Apply(FamilyFixtures.Load("deberta/deberta-cls-eager-ts14"), FamilyFixtures.Shape),
                (rewritten, pass) => pass.Apply(rewritten).Model
            );
        var small = model.Graph.Initializers.Where(entry => entry.Value.Count <= 8).ToList();
        var inNodes = model.With(
            model.Graph with
            {
                Nodes =
                [
                    .. small.Select(entry => new Node("Constant", "", [], [entry.Key])
                    {
                        Attributes = [Attributes.Of("value", entry.Value)],
                    }),
                    .. model.Graph.Nodes,
                ],
                Initializers = new(model.Graph.Initializers.Except(small)),
            }
        );

        var rewritten = Pass.Named("rank-four").Apply(inNodes);

        Assert.Equal(2, rewritten.Matches.Count);
        Assert.InRange(new Proof(model, []).Shift(rewritten.Model), 0, Proof.Exact);
    }

    [Fact]
    public void Each_family_takes_the_passes_that_it_needs()
    {
        FamilyFixtures.SkipIfMissing();
        Assert.Equal(["fold-shapes", "mask"], Applied("bert/bert-cls-eager-ts14"));
        Assert.Equal(["fold-shapes", "mask", "gelu-order"], Applied("bert/bert-cls-sdpa-dyn18"));
        Assert.Equal(["fold-shapes", "nan-guard", "mask"], Applied("bert/t5-bert-cls-sdpa-ts14"));
        Assert.Equal(["fold-shapes", "positions", "mask"], Applied("roberta/roberta-cls-eager-ts14"));
        Assert.Equal(["fold-shapes", "positions", "mask", "bias-merge"], Applied("mpnet/mpnet-cls-eager-ts14"));
        Assert.Equal(["fold-shapes", "mask", "skew", "rank-four"], Applied("deberta/deberta-cls-eager-ts14"));
        Assert.Equal(["fold-shapes", "mask"], Applied("modernbert/modernbert-cls-eager-ts14"));
        Assert.Equal(["fold-shapes", "mask"], Applied("distilbert/distilbert-cls-eager-ts14"));

        static List<string> Applied(string name)
        {
            List<string> applied = [];
            Rewrite(FamilyFixtures.Load(name), applied);
            return applied;
        }
    }
}
