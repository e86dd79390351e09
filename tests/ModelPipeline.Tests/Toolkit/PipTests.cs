using ModelPipeline.Core;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>Why pip fails, in one sentence.</summary>
public sealed class PipTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Fact]
    public async Task Of_a_conflict_the_two_lines_that_disagree_are_told()
    {
        var wheels = folder.File("wheels");
        Wheels.Pack(wheels, "setuptools", "75.8.0");
        Wheels.Pack(wheels, "setuptools", "79.0.1");
        Wheels.Pack(wheels, "torch", "2.13.0", requires: "setuptools>=77.0.3");
        Wheels.Pack(wheels, "rknn-toolkit2", "2.3.2");
        var requirements = folder.Write("requirements-2.3.2.txt", "rknn-toolkit2==2.3.2\ntorch==2.13.0\nsetuptools==75.8.0\n");

        var failure = await Assert.ThrowsAsync<PipelineException>(() =>
            Provision.RunAsync(
                new(requirements, folder.File("cache")) { Wheels = wheels },
                cancellation: TestContext.Current.CancellationToken
            )
        );

        Assert.Contains(
            "failed: 'torch 2.13.0 depends on setuptools>=77.0.3', but 'The user requested setuptools==75.8.0'",
            failure.Message.Replace(
                "'The user requested setuptools==75.8.0', but 'torch 2.13.0 depends on setuptools>=77.0.3'",
                "'torch 2.13.0 depends on setuptools>=77.0.3', but 'The user requested setuptools==75.8.0'"
            )
        );
        Assert.DoesNotContain("ResolutionImpossible", failure.Message);
        Assert.DoesNotContain('\n', failure.Message);
    }

    [Theory]
    [InlineData(
        "ERROR: Cannot install a.\n\nThe conflict is caused by:\n    The user requested a==1\n    b 2 depends on a>=3\n\nTo fix this you "
            + "could try to:\nERROR: ResolutionImpossible: for help visit x",
        "'The user requested a==1', but 'b 2 depends on a>=3'. Set other pins"
    )]
    [InlineData(
        "Looking in links: x\nERROR: No matching distribution found for a==1",
        "No matching distribution found for a==1. Check pip's index"
    )]
    [InlineData("Killed", "Killed. Check pip's index")]
    [InlineData("", "it gave no reason. Check pip's index")]
    public void The_reason_is_its_own_words(string output, string reason) => Assert.StartsWith(reason, Pip.Reason(output));

    public void Dispose() => folder.Dispose();
}
