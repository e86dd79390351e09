using ModelPipeline.Core;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

public class HybridPlanTests
{
    [Theory]
    [InlineData("/embeddings/Add_1_output_0", "/embeddings/Add_1_output_0-rs")]
    [InlineData("/embeddings/LayerNorm/Add_1_output_0", "/embeddings/LayerNorm/ReduceMean_2ln")]
    [InlineData("/layer.0/attention/self/MatMul_1_output_0", "/layer.0/attention/self/MatMul_1_output_0_sdpa")]
    [InlineData("/layer.1/attention/self/query/Add_output_0", "/layer.1/attention/self/query/MatMul_output_0_mm_tp_sw")]
    [InlineData("/layer.2/intermediate/Mul_1_output_0", "/layer.2/intermediate/Mul_1_output_0_tp-rs")]
    [InlineData("/layer.3/output/Add_output_0", "/layer.3/output/Add_output_0-rs")]
    [InlineData("/layer.3/output/LayerNorm/Add_1_output_0", "/layer.3/output/LayerNorm/ReduceMean_2ln")]
    [InlineData("logits", "logits")]
    [InlineData("/layer.0/output/LayerNorm/Pow_output_0", null)]
    [InlineData("/layer.0/attention/self/Softmax_output_0", null)]
    public void Values_of_the_prepared_model_are_found_in_the_toolkits_graph(string value, string? expected)
    {
        Assert.Equal(expected, new OptimisedNames(Recordings.PreparedGraph, Recordings.Tensors).Find(value));
    }

    [Fact]
    public void The_cleaned_sum_of_an_outlier_split_is_found_under_the_name_that_the_toolkit_gave_such_a_sum()
    {
        var graph = Recordings.PreparedGraph;
        var split = graph with
        {
            Nodes =
            [
                .. graph.Nodes.Select(node =>
                    node with
                    {
                        Outputs = [.. node.Outputs.Select(Cleaned)],
                        Inputs = [.. node.Inputs.Select(Cleaned)],
                    }
                ),
            ],
        };

        Assert.Equal(
            ["/layer.0/output/LayerNorm/ReduceMean_2ln"],
            HybridPlan.Resolve(
                ["/layer.0/output/Add_output_0_clean -> /layer.0/output/LayerNorm/Add_1_output_0"],
                split,
                [.. Recordings.Tensors.Select(Cleaned)]
            )
        );

        static string Cleaned(string name) => name.Replace("/layer.0/output/Add_output_0", "/layer.0/output/Add_output_0_clean");
    }

    [Fact]
    public void A_pattern_keeps_each_matching_operation_in_fp16()
    {
        Assert.Equal(
            [.. Enumerable.Range(0, 4).Select(layer => $"/layer.{layer}/output/Add_output_0-rs")],
            Resolve("/layer.#/output/Add_output_0")
        );
        Assert.Equal(8, Resolve("*/output/Add*").Count);
    }

    [Fact]
    public void A_norm_is_kept_with_what_it_reads()
    {
        Assert.Equal(["/layer.2/output/LayerNorm/ReduceMean_2ln"], Resolve("/layer.2/output/LayerNorm/Add_1_output_0"));
        Assert.Equal(
            ["/embeddings/word_embeddings/Gather_output_0", "/embeddings/word_embeddings/Gather_output_0_rs"],
            Resolve("/embeddings/word_embeddings/Gather_output_0")
        );
    }

    [Fact]
    public void An_arrow_keeps_everything_between_for_each_match()
    {
        Assert.Equal(
            [.. Enumerable.Range(0, 4).Select(layer => $"/layer.{layer}/output/LayerNorm/ReduceMean_2ln")],
            Resolve("/layer.#/output/Add_output_0 -> /layer.#/output/LayerNorm/Add_1_output_0")
                .Where(name => name.EndsWith("_2ln", StringComparison.Ordinal))
        );
    }

    [Fact]
    public void The_head_is_what_comes_behind_the_last_norm()
    {
        Assert.Contains("logits", Resolve("head"));
        Assert.DoesNotContain(Resolve("head"), name => name.StartsWith("/layer.", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("*/outputs/Add*", "fp16: '*/outputs/Add*': no tensor is called '*/outputs/Add*' in the prepared model")]
    [InlineData(
        "/layer.0/output/Add_output_0 -> /layer.0/output/LayerNorm/Pow_output_0",
        "the toolkit fused '/layer.0/output/LayerNorm/Pow_output_0'"
    )]
    [InlineData(
        "/layer.#/output/Add_output_0 -> /layer.#/output/Norm",
        "there is '/layer.0/output/Add_output_0' but no '/layer.0/output/Norm'"
    )]
    [InlineData("/layer.0/output/Add_output_0 -> *", "more * and # than the left one")]
    [InlineData("a ->", "two names belong around one ->")]
    public void What_cannot_be_found_is_named(string entry, string message)
    {
        Assert.Contains(message, Assert.Throws<PipelineException>(() => Resolve(entry)).Message);
    }

    [Fact]
    public void The_error_analysis_shows_the_attention_that_the_mask_breaks_and_a_plan_against_it()
    {
        var analysis = ErrorAnalysis.Parse(Recordings.Text("tiny-int8-unmasked-error_analysis.txt"));

        Assert.Equal(
            ("exSDPAttention", 0.71095, 103.75),
            analysis.Worst(1) is [var worst] ? (worst.Operator, worst.SingleCosine, worst.SingleDistance) : default
        );
        Assert.Equal(
            [.. Enumerable.Range(0, 4).Select(layer => $"/layer.{layer}/attention/self/MatMul_1_output_0")],
            HybridPlan.Suggest(analysis, Recordings.PreparedGraph, minCosine: 0.99)
        );
        Assert.Equal(
            4,
            HybridPlan
                .Resolve(HybridPlan.Suggest(analysis, Recordings.PreparedGraph, 0.99), Recordings.PreparedGraph, Recordings.Tensors)
                .Count
        );
    }

    [Fact]
    public void A_good_model_has_nothing_to_suggest()
    {
        var analysis = ErrorAnalysis.Parse(Recordings.Text("tiny-int8-error_analysis.txt"));

        Assert.Equal(85, analysis.Layers.Count);
        Assert.Empty(HybridPlan.Suggest(analysis, Recordings.PreparedGraph, minCosine: 0.99));
        Assert.NotEmpty(HybridPlan.Suggest(analysis, Recordings.PreparedGraph, minCosine: 0.9999));
    }

    [Fact]
    public void Classes_are_found_by_what_they_are_in_the_graph()
    {
        Assert.Equal(9, Resolve("norms").Count(name => name.EndsWith("_2ln", StringComparison.Ordinal)));
        Assert.Equal(8, Resolve("adds").Count(name => name.StartsWith("/layer.", StringComparison.Ordinal)));
        Assert.Contains(Resolve("adds"), name => name.StartsWith("/embeddings/Add", StringComparison.Ordinal));
        Assert.Equal(4, Resolve("attention").Count(name => name.EndsWith("MatMul_1_output_0_sdpa", StringComparison.Ordinal)));
    }

    private static IReadOnlyList<string> Resolve(string entry) => HybridPlan.Resolve([entry], Recordings.PreparedGraph, Recordings.Tensors);
}
