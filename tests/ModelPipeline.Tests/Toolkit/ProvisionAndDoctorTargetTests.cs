using ModelPipeline.Tests.EndToEnd;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>The targets Provision and Doctor as their users call them.</summary>
public sealed class ProvisionAndDoctorTargetTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly Workspace workspace = new();

    [Fact]
    public async Task What_Doctor_misses_Provision_brings_from_a_folder_of_wheels_after_which_all_is_well()
    {
        Assert.True(File.Exists(RecordedToolkit.SystemPython));
        foreach (
            var (name, version) in File.ReadLines(ToolkitEnvironment.Requirements("2.5.0"))
                .Select(line => line.Split(';')[0].Split("=="))
                .Where(pin => pin.Length == 2)
                .Select(pin => (pin[0], pin[1]))
        )
        {
            Wheels.Pack(
                folder.File("wheels"),
                name,
                version,
                content: name == "rknn-toolkit2" ? Wheels.Module("rknn/api", "class RKNN: pass\n") : null
            );
        }

        var before = await RunAsync("--target=Doctor", "--model=ms-marco-MiniLM-L-12-v2");
        Assert.Equal(1, before.ExitCode);
        Assert.Contains("MISSING  rknn-toolkit2 -> ./build.sh --target=Provision", before.Output);
        Assert.Contains("1 of ", before.Error + before.Output);

        var made = (await RunAsync("--target=Provision", $"--wheels={folder.File("wheels")}")).Succeeded();
        Assert.Contains("rknn-toolkit2 2.5.0: 11 packages installed: ", made.Output);
        Assert.Contains("ruamel-yaml 0.18.10, 0 MB", made.Output);
        Directory.Delete(folder.File("wheels"), recursive: true);
        Assert.Contains(
            "11 packages are there already: ",
            (await RunAsync("--target=Provision", "--model=ms-marco-MiniLM-L-12-v2")).Succeeded().Output
        );

        var well = (await RunAsync("--target=Doctor", "--model=ms-marco-MiniLM-L-12-v2")).Succeeded().Output;
        Assert.Matches("ok       rknn-toolkit2: .*/bin/python: rknn-toolkit2 2\\.5\\.0, Python 3\\.\\d+\\.\\d+, numpy 1\\.", well);
        Assert.Contains("All is well.", well);
    }

    [Fact]
    public async Task What_was_not_asked_for_is_neither_looked_for_nor_made()
    {
        Assert.Contains("nothing to provision", (await RunAsync("--target=Provision", "--model=tiny-reranker")).Succeeded().Output);
        var doctor = (await RunAsync("--target=Doctor", "--model=tiny-reranker")).Succeeded();
        Assert.DoesNotContain("rknn", doctor.Output.Replace("librknnshim.so", ""));
        Assert.Empty(workspace.Files());
    }

    [Fact]
    public async Task A_missing_folder_of_wheels_is_told_in_one_line()
    {
        var failed = await RunAsync("--target=Provision", $"--wheels={folder.File("nowhere")}");

        Assert.Equal(2, failed.ExitCode);
        Assert.Contains($"--wheels: there is no folder '{folder.File("nowhere")}'", failed.Output + failed.Error);
    }

    public void Dispose()
    {
        folder.Dispose();
        workspace.Dispose();
    }

    private Task<HostRun> RunAsync(params string[] arguments) =>
        HostProcess.RunAsync(
            workspace.Folder,
            arguments,
            new Dictionary<string, string> { ["MODELPIPELINE_CACHE"] = folder.File("cache"), ["GITHUB_TOKEN"] = "none" }
        );
}
