using ModelPipeline.Artifacts;
using ModelPipeline.Core;

namespace ModelPipeline.Tests.Artifacts;

/// <summary>serve.json in the hands of whoever serves a release.</summary>
public sealed class ServeFileTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static readonly ServedVariant Npu = new(
        "rk3588",
        "three_contexts",
        [1, 2, 4],
        CostUnit.Ms,
        [new(2, 64, "npu.rknn", 9), new(1, 128, "npu.rknn", 20)]
    );

    [Fact]
    public void Passages_are_routed_by_its_shapes_costs_and_contexts()
    {
        var served = Written(Npu).Variants["npu"];

        var routing = served.Route([100, 20, 30, 40, 700]);

        // The two long ones first, each on a core of its own; of the short ones two make a run.
        Assert.Equal(
            ["128: 0", "128: 4", "64: 1 2, 64: 3"],
            routing.Contexts.Select(runs =>
                string.Join(", ", runs.Select(run => $"{served.Shapes[run.Bucket].Tokens}: {string.Join(' ', run.Passages)}"))
            )
        );
        Assert.Equal(20, routing.Makespan);
        Assert.All(served.Route([]).Contexts, Assert.Empty);
    }

    public static TheoryData<string, string> Damages =>
        new()
        {
            { "\"format\": 1", "\"format\": 2" },
            { "\"contexts\": [", "\"contexts\": [], \"x\": [" },
            { "\"tokens\":128", "\"tokens\":64" },
            { "\"batch\":2", "\"batch\":0" },
            { "\"cost\":9", "\"cost\":0" },
            { "\"npu.rknn\"", "\"../npu.rknn\"" },
            { "\"shapes\"", "\"forms\"" },
            { "\"shapes\": [", "\"shapes\": [null," },
            { "\"npu\": {", "\"a\": null, \"npu\": {" },
        };

    [Theory]
    [MemberData(nameof(Damages))]
    public void What_cannot_be_followed_is_refused_with_its_path(string sound, string damaged)
    {
        Written(Npu);
        var path = folder.File(ServeFile.FileName);
        var text = File.ReadAllText(path);
        Assert.Contains(sound, text, StringComparison.Ordinal);
        File.WriteAllText(path, text.Replace(sound, damaged, StringComparison.Ordinal));

        var failure = Assert.Throws<PipelineException>(() => ServeFile.Read(folder.Path));

        Assert.StartsWith($"{path}: ", failure.Message, StringComparison.Ordinal);
    }

    public void Dispose() => folder.Dispose();

    private ServeFile Written(ServedVariant variant)
    {
        ReportJson.Write(
            folder.File(ServeFile.FileName),
            new ServeFile(1, "m", "1.0.0", "npu", Router.Rule, new Dictionary<string, ServedVariant> { ["npu"] = variant })
        );
        return ServeFile.Read(folder.Path);
    }
}
