using ModelPipeline.Core;
using ModelPipeline.Stages;

namespace ModelPipeline.Tests.Stages;

public sealed class BuildProvenanceTests
{
    private static readonly BuildProvenance Expected = new("1.2.3", new string('a', 64), new string('b', 64));

    [Fact]
    public void An_artifact_of_the_same_build_is_accepted_whatever_version_of_the_pipeline_made_it()
    {
        Expected.Require("x.rknn", Expected.ToString());
        Expected.Require("x.rknn", (Expected with { Pipeline = "0.9.0" }).ToString());
        Expected.Require("x.rknn", (Expected with { Toolkit = "2.5.0" }).ToString());
    }

    [Theory]
    [InlineData("")]
    [InlineData("made by hand")]
    [InlineData("modelpipeline 1.2.3 source=aa settings=bb")]
    [InlineData("modelpipeline 1.2.3 source=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa settings=cc")]
    public void An_artifact_of_another_build_is_refused_with_both_origins(string found)
    {
        var failure = Assert.Throws<PipelineException>(() => Expected.Require("x.rknn", found));

        Assert.Equal(
            $"x.rknn: the loaded file says it is '{found}'; expected '{Expected}'. It is another build's: convert it again with "
                + $"--force-convert.",
            failure.Message
        );
    }

    [Fact]
    public void It_fits_into_what_the_runtime_can_give_back() => Assert.InRange(Expected.ToString().Length, 1, 1023);
}
