using ModelPipeline.Core;
using ModelPipeline.Stages;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>How much of a real build's weights is int8, by the compiler's own table.</summary>
public sealed class CompiledWeightsTests
{
    /// <summary>Word table, four layers of 4 * 128 * 128 + 2 * 128 * 512, and the pooler; the table of two token types is too small to
    /// count.</summary>
    [Fact]
    public void Of_an_int8_build_all_are()
    {
        var share = CompiledWeights.Of(CompileReport.Parse(Recordings.Text("tiny-int8-verbose.log")))!;
        Assert.Equal(4L * ((8000 * 128) + (4 * ((4 * 128 * 128) + (2 * 128 * 512))) + (128 * 128)), share.Bytes);
        Assert.Equal(share.Bytes, share.Int8Bytes);
        share.RequireEnough("int8");
    }

    [Fact]
    public void A_build_that_stayed_float_is_refused_with_the_names()
    {
        var share = CompiledWeights.Of(CompileReport.Parse(Recordings.Text("tiny-fp16-verbose.log")))!;
        Assert.Equal(0, share.Int8Bytes);
        var error = Assert.Throws<PipelineException>(() => share.RequireEnough("npu"));
        Assert.StartsWith(
            "npu: only 0 % of 7.307 MB of weights became int8 (at least 90 % are needed). In float stayed "
                + "'bert.embeddings.word_embeddings.weight' [8000,128] is float16 for the toolkit's Gather; ",
            error.Message
        );
    }

    [Fact]
    public void A_log_without_the_table_says_nothing()
    {
        var log = Recordings.Text("tiny-int8-verbose.log");
        Assert.Null(CompiledWeights.Of(CompileReport.Parse(log[..log.IndexOf("Const Tensor Information", StringComparison.Ordinal)])));
    }
}
