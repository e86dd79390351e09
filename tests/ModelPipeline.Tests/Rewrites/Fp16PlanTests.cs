using ModelPipeline.Core;
using ModelPipeline.Onnx;
using ModelPipeline.Rewrites;
using ModelPipeline.Tests.Onnx;

namespace ModelPipeline.Tests.Rewrites;

public sealed class Fp16PlanTests
{
    private static readonly FusedOperators Fused = FusedOperators.Of(TinyReranker.Prepared.Graph);

    private static IReadOnlySet<string> Resolve(params string[] entries) => Fp16Plan.Resolve(entries, TinyReranker.Prepared.Graph, Fused);

    [Fact]
    public void A_name_is_one_tensor_and_a_pattern_all_that_match()
    {
        Assert.Equal(["/layer.0/output/Add_output_0"], Resolve("/layer.0/output/Add_output_0"));
        Assert.Equal(4, Resolve("/layer.#/output/Add_output_0").Count);
        Assert.Equal(8, Resolve("/layer.*/output/Add_output_0").Count);
    }

    [Fact]
    public void An_arrow_is_everything_behind_the_one_up_to_the_other_for_each_match()
    {
        var one = Resolve("/layer.0/output/Add_output_0 -> /layer.0/output/LayerNorm/Add_1_output_0");
        Assert.Equal(["/layer.0/output/LayerNorm/Add_1_output_0"], one);
        // Of the last layer's norm the pooler reads one token alone, and that one is the tensor.
        Assert.Equal(3, Resolve("/layer.#/output/Add_output_0 -> /layer.#/output/LayerNorm/Add_1_output_0").Count);
    }

    [Fact]
    public void The_head_is_everything_behind_the_last_norm()
    {
        var head = Resolve("head");
        Assert.Contains("logits", head);
        Assert.DoesNotContain(head, name => name.StartsWith("/layer.", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("/layer.9/output/Add_output_0", "no tensor is called '/layer.9/output/Add_output_0' in the prepared model")]
    [InlineData("/layer.#/output/Add_output_0 -> /layer.#/nothing", "there is '/layer.0/output/Add_output_0' but no '/layer.0/nothing'")]
    [InlineData("logits -> #", "more * and #")]
    [InlineData("-> logits", "two names belong around one ->")]
    public void What_names_nothing_is_an_error_of_the_manifest(string entry, string message)
    {
        var error = Assert.Throws<PipelineException>(() => Resolve(entry));
        Assert.StartsWith($"fp16: '{entry}': ", error.Message);
        Assert.Contains(message, error.Message);
        Assert.Equal(PipelineException.ConfigurationError, error.ExitCode);
    }
}
