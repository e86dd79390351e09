using ModelPipeline.Onnx;
using ModelPipeline.Onnx.Patterns;
using ModelPipeline.Rewrites;
using ModelPipeline.Tests.Onnx;

namespace ModelPipeline.Tests.Rewrites;

/// <summary>The steps to an int8 that ranks: each exact in fp32 by itself and after the others, on every family that has what it works
/// on.</summary>
public sealed class RecipeTests
{
    private static readonly string[] Steps = ["balance", "hidden-split", "outlier-split", "norm-copy"];

    public static TheoryData<string> Families => FamilyFixtures.Rows;

    private static OnnxModel Exact(string step, OnnxModel model, IReadOnlyList<long[][]> samples)
    {
        var rewritten = Pass.Named(step).Apply(model, samples);
        Assert.True(rewritten.Matches.Count > 0 || rewritten.Skipped is not null, $"{step} says neither what it did nor why not");
        Assert.InRange(new Proof(model, samples).Shift(rewritten.Model), 0, Proof.Exact);
        Assert.Empty(SingleAssignment.Violations(rewritten.Model.Graph));
        return rewritten.Model;
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void Each_step_alone_and_all_together_leave_the_scores(string name)
    {
        FamilyFixtures.SkipIfMissing();
        var model = FamilyTests.Rewrite(FamilyFixtures.Load(name));
        var samples = FamilyFixtures.Samples(model, "calibration");

        Assert.All(Steps, step => Exact(step, model, samples));
        var all = Steps.Aggregate(model, (rewritten, step) => Exact(step, rewritten, samples));

        Assert.InRange(new Proof(model, samples).Shift(all), 0, 2 * Proof.Exact);
        Assert.Equal(2, PatternMatches.Of(all.Graph).Attentions.Count(FusedOperators.IsFused));
    }

    [Fact]
    public void The_sample_takes_every_step_exactly()
    {
        var samples = TinyReranker.CalibrationSamples.Take(32).ToList();
        var all = Steps.Aggregate(TinyReranker.Prepared, (rewritten, step) => Exact(step, rewritten, samples));

        Assert.Equal(
            8,
            PatternMatches.Of(all.Graph).LayerNorms.Count(norm => norm.Output.EndsWith("_matmul_path", StringComparison.Ordinal))
        );
        Assert.Equal(4, all.Graph.Nodes.Count(node => node.Output.EndsWith("_rest", StringComparison.Ordinal)));
        Assert.All(["hidden-split", "norm-copy", "balance"], step => Assert.Empty(Pass.Named(step).Apply(all, samples).Matches));
    }

    [Fact]
    public void Nodes_without_names_stay_without_or_get_names_of_their_own()
    {
        var named = TinyReranker.Prepared;
        var model = named.With(named.Graph with { Nodes = [.. named.Graph.Nodes.Select(node => node with { Name = "" })] });

        Assert.All(
            ["balance", "hidden-split", "norm-copy"],
            step => Assert.NotSame(model, Exact(step, model, [.. TinyReranker.CalibrationSamples.Take(8)]))
        );
    }

    [Fact]
    public void Norms_are_copied_whatever_an_export_calls_its_values()
    {
        var graph = TinyReranker.Prepared.Graph;
        var computed = graph.Nodes.Select(node => node.Output).ToHashSet();
        var model = TinyReranker.Prepared.With(
            graph with
            {
                Nodes =
                [
                    .. graph.Nodes.Select(node =>
                        node with
                        {
                            Inputs = [.. node.Inputs.Select(Renamed)],
                            Outputs = [.. node.Outputs.Select(Renamed)],
                        }
                    ),
                ],
            }
        );

        Assert.Equal(8, Pass.Named("norm-copy").Apply(model, [.. TinyReranker.CalibrationSamples.Take(2)]).Matches.Count);

        string Renamed(string value) => computed.Contains(value) ? value.Replace("MatMul", "_hidden_MatMul") : value;
    }

    [Theory]
    [InlineData("query")]
    [InlineData("query's projection")]
    [InlineData("value")]
    [InlineData("value's projection")]
    public void What_others_read_too_is_not_balanced(string shared)
    {
        var graph = TinyReranker.Prepared.Graph;
        var matches = PatternMatches.Of(graph);
        var attention = matches.Attentions[0];
        var value = shared.StartsWith("query", StringComparison.Ordinal) ? attention.Query : attention.Value;
        if (shared.EndsWith("projection", StringComparison.Ordinal))
            value = matches.ProjectionBehind(value)!.Output;
        var model = TinyReranker.Prepared.With(graph with { Outputs = graph.Outputs.Add(new ValueInfo(value, ElementType.Undefined, [])) });
        IReadOnlyList<long[][]> samples = [.. TinyReranker.CalibrationSamples.Take(4)];

        Exact("balance", model, samples);

        Assert.Equal(3, Pass.Named("balance").Apply(model, samples).Matches.Count);
    }

    [Fact]
    public void Norm_copies_make_the_quantized_products_better()
    {
        var copied = Pass.Named("norm-copy").Apply(TinyReranker.Prepared, [.. TinyReranker.CalibrationSamples.Take(32)]);

        Assert.Equal(8, copied.Matches.Count);
        Assert.All(copied.Matches, line => Assert.Matches("error of [13] products 0\\.[0-9]+ of before", line));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Ranges_are_chosen_for_norm_copies_contexts_and_projections_and_never_wider_than_seen(bool byProduct)
    {
        var samples = TinyReranker.CalibrationSamples.Take(16).ToList();
        var copied = Pass.Named("norm-copy").Apply(TinyReranker.Prepared, samples).Model;

        var clips = RangeClips.Find(copied, samples, byProduct);

        Assert.Equal(8, clips.Keys.Count(name => name.EndsWith("_matmul_path", StringComparison.Ordinal)));
        Assert.Equal(
            12,
            clips.Keys.Count(name =>
                name.EndsWith("/Add_output_0", StringComparison.Ordinal) && name.Contains("/self/", StringComparison.Ordinal)
            )
        );
        string[] projections = [.. clips.Keys.Where(name => name.Contains("/self/query/", StringComparison.Ordinal))];
        var seen = TokenRows.Collect(copied, [.. projections.Select(name => (name, 128))], samples, 1);
        Assert.All(
            projections.Zip(seen),
            pair =>
                Assert.True(
                    clips[pair.First].Min >= pair.Second.Smallest.Min()
                        && clips[pair.First].Max <= pair.Second.Largest.Max()
                        && clips[pair.First].Min < clips[pair.First].Max
                )
        );
    }

    [Fact]
    public void Split_hidden_channels_are_zero_in_the_rest_and_the_largest_of_all()
    {
        var samples = TinyReranker.CalibrationSamples.Take(8).ToList();
        var before = PatternMatches.Of(TinyReranker.Prepared.Graph).FeedForwards[0];
        var after = PatternMatches
            .Of(Pass.Named("hidden-split").Apply(TinyReranker.Prepared, samples).Model.Graph)
            .FeedForwards.First(layer => layer.Activation.Output == before.Activation.Output);
        var rows = TokenRows.Collect(TinyReranker.Prepared, [(before.Activation.Output, before.Hidden)], samples, 1)[0];
        var zero = Enumerable
            .Range(0, before.Hidden)
            .Where(row =>
                after.Second.Weight.Span<float>().Slice(row * after.Second.Outputs, after.Second.Outputs).ToArray().All(value => value == 0)
            )
            .ToList();

        Assert.Equal(HiddenSplit.DefaultChannels, zero.Count);
        Assert.Contains(rows.Reach.Index().MaxBy(channel => channel.Item).Index, zero);
    }
}
