using Microsoft.AspNetCore.Http;
using ModelPipeline.Tests.Artifacts.Downloads;

namespace ModelPipeline.Tests.Artifacts;

/// <summary>ModelArtifact items in real builds of small projects, from the packed package.</summary>
public sealed class ModelArtifactTests(PackedTask package) : IClassFixture<PackedTask>, IDisposable
{
    private const string Item = """<ModelArtifact Include="tiny" Version="1.0.0" Variant="cpu-int8" Platform="cpu" />""";
    private const string Skipped = "Skipping target \"RestoreModelArtifacts\" because all output files are up-to-date";

    private readonly TestRelease release = new();

    public void Dispose() => release.Dispose();

    [Fact]
    public async Task A_build_brings_the_model_and_the_next_one_does_nothing()
    {
        using var project = new ConsumerProject(package, release.Root, Item);
        (await project.BuildAsync()).Succeeded();
        Assert.Equal(
            ["models/tiny/manifest.json", "models/tiny/production.env", "models/tiny/tiny-1.0.0-cpu-int8.onnx", "models/tiny/vocab.txt"],
            project.Models()
        );
        Assert.Equal("first on the CPU", File.ReadAllText(project.Built("models/tiny/tiny-1.0.0-cpu-int8.onnx")));

        Assert.Contains(Skipped, (await project.BuildAsync("--no-restore")).Succeeded().Output);

        // A new release under the same version, as a working folder has them; its files are as old as those before.
        release.Write("1.0.0", "again");
        File.SetLastWriteTimeUtc(release.File("1.0.0", "SHA256SUMS"), DateTime.UnixEpoch);
        (await project.BuildAsync("--no-restore")).Succeeded();
        Assert.Equal("again on the CPU", File.ReadAllText(project.Built("models/tiny/tiny-1.0.0-cpu-int8.onnx")));

        // The cache may be deleted at any time.
        Directory.Delete(Path.Combine(project.Folder, "cache"), recursive: true);
        (await project.BuildAsync("--no-restore")).Succeeded();
        Assert.True(Directory.Exists(Path.Combine(project.Folder, "cache")));

        Assert.Equal("1\n", (await DotNet.RunAsync(project.Folder, "run", "--no-build")).Succeeded().Output);
        (await DotNet.RunAsync(project.Folder, "publish", "--nologo", "-o", "published")).Succeeded();
        Assert.Equal(project.Models(), project.Models("published"));
        (await DotNet.RunAsync(project.Folder, "clean", "--nologo")).Succeeded();
        Assert.Empty(project.Models());
    }

    [Fact]
    public async Task Another_version_replaces_the_files_of_the_one_before_in_both_directions()
    {
        release.Write("2.0.0", "other");
        string[] ItemsOf(string version) => [$"models/tiny/tiny-{version}-cpu-int8.onnx"];
        using var project = new ConsumerProject(package, release.Root, Item);
        foreach (var version in new[] { "2.0.0", "1.0.0" })
        {
            project.Write(release.Root, Item.Replace("1.0.0", version));
            (await project.BuildAsync()).Succeeded();
            Assert.Equal(ItemsOf(version), project.Models().Where(name => name.EndsWith(".onnx", StringComparison.Ordinal)));
            Assert.Equal(
                File.ReadAllText(release.File(version, "manifest.json")),
                File.ReadAllText(project.Built("models/tiny/manifest.json"))
            );
        }
    }

    [Fact]
    public async Task Configurations_built_at_once_share_one_download_and_go_on_offline()
    {
        await using var server = await LoopbackServer.StartAsync(context =>
            context.Response.SendFileAsync(Path.Combine(release.Root, context.Request.Path.Value!.TrimStart('/')))
        );
        using var project = new ConsumerProject(
            package,
            server.Address.ToString(),
            Item,
            "<Configurations>Debug;Release;Other</Configurations>"
        );
        (await DotNet.RunAsync(project.Folder, "restore")).Succeeded();
        var builds = await Task.WhenAll(
            new[] { "Debug", "Release", "Other" }.Select(configuration => project.BuildAsync("--no-restore", "-c", configuration))
        );
        Assert.All(builds, build => build.Succeeded());
        Assert.Equal(4, server.Requests.Count(request => !request.Path.EndsWith("SHA256SUMS", StringComparison.Ordinal)));

        await server.DisposeAsync();
        Directory.Delete(Path.Combine(project.Folder, "obj", "Debug"), recursive: true);
        (await project.BuildAsync("--no-restore", "-p:ModelArtifactOffline=true")).Succeeded();
        Assert.Equal(4, project.Models().Count);
    }

    [Fact]
    public async Task Everything_wrong_is_an_error_of_the_project_with_a_code()
    {
        release.Write("2.0.0", "other");
        using var project = new ConsumerProject(
            package,
            release.Root,
            """
            <ModelArtifact Include="tiny" />
            <ModelArtifact Include="tiny" Version="9.0.0" />
            <ModelArtifact Include="tiny" Version="1.0.0" Source="http://127.0.0.1:9/" />
            <ModelArtifact Include="tiny" Version="1.0.0" Variant="int8" Platform="rk3576" />
            <ModelArtifact Include="tiny" Version="1.0.0" Variant="int8" OutputFolder="../elsewhere" />
            <ModelArtifact Include="tiny" Version="1.0.0" Variant="int8" />
            <ModelArtifact Include="tiny" Version="2.0.0" Variant="int8" />
            """,
            "<ModelArtifactOffline>true</ModelArtifactOffline>"
        );
        var run = (await project.BuildAsync()).Failed();
        string[] expected =
        [
            "MP1001: ModelArtifact 'tiny' has no Version",
            "MP1002: ",
            "MP1003: ",
            "MP1006: tiny 1.0.0 has no variant int8 for rk3576",
            "MP1001: ModelArtifact 'tiny' has OutputFolder '../elsewhere'",
            "MP1007: Two artifacts put different files at models/tiny/manifest.json",
        ];
        Assert.All(expected, error => Assert.Contains($"Consumer.csproj : error {error}", run.Output));
        Assert.Contains($"{expected.Length} Error(s)", run.Output);
        Assert.Empty(project.Models());
    }
}
