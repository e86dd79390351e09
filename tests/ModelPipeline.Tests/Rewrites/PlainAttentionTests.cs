using ModelPipeline.Manifest;
using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;
using ModelPipeline.Planning;
using ModelPipeline.Rewrites;
using ModelPipeline.Tests.Manifest;
using ModelPipeline.Tests.Onnx;

namespace ModelPipeline.Tests.Rewrites;

/// <summary>Attention that the toolkit cannot fuse.</summary>
public sealed class PlainAttentionTests
{
    private const int Pairs = 24;

    [Fact]
    public void Not_a_bit_of_the_fp32_scores_changes_and_nothing_is_left_to_fuse()
    {
        var plain = Pass.Named(PlainAttention.Name).Apply(TinyReranker.Prepared);

        Assert.NotEmpty(plain.Matches);
        Assert.Equal(PatternMatches.Of(TinyReranker.Prepared.Graph).Attentions.Count, plain.Matches.Count);
        Assert.Contains(PatternMatches.Of(TinyReranker.Prepared.Graph).Attentions, FusedOperators.IsFused);
        Assert.DoesNotContain(PatternMatches.Of(plain.Model.Graph).Attentions, FusedOperators.IsFused);
        Assert.Equal(TinyReranker.Scores(TinyReranker.Prepared, Pairs), TinyReranker.Scores(plain.Model, Pairs));
        // A product more for each attention: the values are halved in the weights of their projection.
        Assert.Equal(TinyReranker.Prepared.Graph.Nodes.Length + plain.Matches.Count, plain.Model.Graph.Nodes.Length);
    }

    [Fact]
    public void Values_that_no_projection_of_their_own_writes_are_halved_by_a_product()
    {
        // Three readers of one projection: halving its weights would halve queries and keys, too.
        var prepared = TinyReranker.Prepared;
        var attention = PatternMatches.Of(prepared.Graph).Attentions[0];
        var graph = prepared.Graph with
        {
            Nodes =
            [
                .. prepared.Graph.Nodes.Select(node =>
                    node == attention.Context ? node with { Inputs = [node.Inputs[0], attention.Query] } : node
                ),
            ],
        };
        var model = prepared.With(graph);

        var plain = Pass.Named(PlainAttention.Name).Apply(model);

        Assert.Equal(TinyReranker.Scores(model, 4), TinyReranker.Scores(plain.Model, 4));
        Assert.DoesNotContain(PatternMatches.Of(plain.Model.Graph).Attentions, FusedOperators.IsFused);
    }

    [Theory]
    [InlineData("", AttentionForm.Fused)]
    [InlineData("attention: fused", AttentionForm.Fused)]
    [InlineData("attention: plain", AttentionForm.Plain)]
    [InlineData("rewrites: [families, plain-attention]", AttentionForm.Plain)]
    public void A_model_or_a_variant_asks_for_it_by_one_word(string setting, AttentionForm form)
    {
        var variant = ManifestFile
            .Load(ManifestFile.With(("variants:", $"{setting}\n    variants:\n      npu: {{ backend: rknn, precision: fp16 }}")))
            .Models[0]
            .Variants[0];
        Assert.Equal(form, variant.Attention);
        Assert.Equal(form == AttentionForm.Plain ? 1 : 0, variant.Rewrites.Count(name => name == PlainAttention.Name));
    }

    [Fact]
    public void What_is_not_fused_is_counted_by_its_products_and_its_time_is_unknown_until_a_board_tells()
    {
        var (fused, plain) = (
            GraphWork.Of(TinyReranker.Source),
            GraphWork.Of(TinyReranker.Apply(TinyReranker.Source, [.. Pass.Families.Select(pass => pass.Name), PlainAttention.Name]))
        );
        Assert.Contains(fused.Narrow, work => work.Class == OperatorClass.Attention);
        Assert.DoesNotContain(plain.Narrow, work => work.Class == OperatorClass.Attention);
        Assert.Equal(
            fused.Narrow.Where(work => work.Class == OperatorClass.Attention).Sum(work => work.Macs),
            plain.Narrow.Where(work => work.Dynamic).Sum(work => work.Macs)
        );

        var variant = new VariantSpec
        {
            Name = "npu",
            Backend = Backend.Rknn,
            Precision = Precision.Fp16,
            Rewrites = [PlainAttention.Name],
            Gates = [],
        };
        var known = LatencyModel.Fit(LatencyData.Public());
        Assert.True(ModelPipeline.Stages.Estimates.IsKnown(known, variant with { Rewrites = [] }));
        Assert.False(ModelPipeline.Stages.Estimates.IsKnown(known, variant));
        var own = new LatencyRow
        {
            Name = "npu 1x128",
            Session = "tiny",
            Chip = "rk3588",
            Precision = Precision.Fp16,
            Ms = 3,
            Source = "a board",
            Own = true,
            Operators = plain.At(new(1, 128)),
            Attention = AttentionForm.Plain,
        };
        Assert.True(ModelPipeline.Stages.Estimates.IsKnown(LatencyModel.Fit([.. LatencyData.Public(), own]), variant));
    }
}
