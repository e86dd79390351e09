using Microsoft.AspNetCore.Http;
using ModelPipeline.Tests.Artifacts.Downloads;

namespace ModelPipeline.Tests.Artifacts;

/// <summary>The aliases of ModelPipeline.Cake in real scripts of Cake's script engine.</summary>
public sealed class CakeAliasTests : IDisposable
{
    private readonly TestRelease release = new();
    private readonly TemporaryFolder folder = new();

    public void Dispose()
    {
        release.Dispose();
        folder.Dispose();
    }

    [Fact]
    public async Task A_script_restores_an_artifact_from_a_url_and_names_what_is_wrong()
    {
        await using var server = await LoopbackServer.StartAsync(context =>
            context.Response.SendFileAsync(Path.Combine(release.Root, context.Request.Path.Value!.TrimStart('/')))
        );
        folder.Write(
            "restore.cake",
            $$"""
            #r "{{Path.Combine(
                RepositoryFiles.Root,
                "src",
                "ModelPipeline.Cake",
                "bin",
                DotNet.Configuration,
                "net10.0",
                "ModelPipeline.Cake.dll"
            )}}"
            var request = new ArtifactRequest { Model = "tiny", Version = "1.0.0", Variant = "cpu-int8" };
            Information("first {0}", RestoreModelArtifact(request, "{{server.Address}}", "models/tiny")[0].GetFilename());
            RestoreModelArtifact(request with { Variant = "fp16" }, "{{release.Root}}", "models/tiny");
            """
        );
        var run = (await DotNet.CakeAsync(folder.File("cache"), folder.File("restore.cake"))).Failed();
        Assert.Contains($"first {TestRelease.ModelName("1.0.0")}", run.Output);
        Assert.Contains("MP1006: tiny 1.0.0 has no variant fp16", run.Output);
        Assert.Equal("first on the CPU", File.ReadAllText(folder.File($"models/tiny/{TestRelease.ModelName("1.0.0")}")));
    }
}
