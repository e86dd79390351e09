using CliWrap;
using CliWrap.Buffered;
using ModelPipeline.Tests.EndToEnd;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>The host as <c>dotnet publish</c> makes it for machines without the .NET SDK.</summary>
[Collection(AlonePublishing.Name)]
public sealed class PublishedHostTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly Workspace workspace = new(Workspace.TenQueries);

    [Fact]
    public async Task It_runs_the_whole_pipeline_from_any_folder_without_the_SDK()
    {
        var host = Path.Combine(folder.Path, "host");
        var published = await RunAsync(
            "dotnet",
            Environment
                .GetEnvironmentVariables()
                .Keys.Cast<string>()
                .ToDictionary(name => name, name => Environment.GetEnvironmentVariable(name)!),
            "publish",
            Path.Combine(RepositoryFiles.Root, "build"),
            "-c",
            "Release",
            "-r",
            "linux-x64",
            "--self-contained",
            "-v",
            "quiet",
            "-nologo",
            "-o",
            host
        );
        Assert.True(published.ExitCode == 0, published.Output);
        foreach (var part in new[] { "librknnshim.so", "libonnxruntime.so", "rknn/driver.py", "rknn/requirements-2.3.2.txt" })
            Assert.True(File.Exists(Path.Combine(host, part)), part);
        Assert.Empty(Directory.EnumerateFileSystemEntries(host, "*recorded*", SearchOption.AllDirectories));

        // Nothing but an empty PATH and a home: no dotnet, no compiler, no python.
        var bare = new Dictionary<string, string>
        {
            ["PATH"] = Directory.CreateDirectory(folder.File("bin")).FullName,
            ["HOME"] = folder.Path,
            ["CI"] = "true",
        };
        var run = await RunAsync(Path.Combine(host, "Build"), bare, "--target=Package", "--model=tiny-reranker");
        Assert.True(run.ExitCode == 0, run.Output);
        Assert.Equal(
            workspace.Spec().Variants.Select(variant => variant.Name),
            workspace.VerifiedPackage().Variants.Select(variant => variant.Subject.Variant)
        );

        var doctor = await RunAsync(Path.Combine(host, "Build"), bare, "--target=Doctor", "--model=tiny-reranker");
        Assert.True(doctor.ExitCode == 0, doctor.Output);
        Assert.DoesNotContain("CMake", doctor.Output);
        Assert.Contains("ok       native shim", doctor.Output);

        // Without the shim the doctor says so, and goes on with the rest.
        workspace.Edit(("    device: simulator\n", "    device: rk3588\n"));
        var shim = Path.Combine(host, "librknnshim.so");
        foreach (var spoil in new[] { () => File.WriteAllText(shim, "no library"), () => File.Delete(shim) })
        {
            spoil();
            doctor = await RunAsync(Path.Combine(host, "Build"), bare, "--target=Doctor", "--model=tiny-reranker");
            Assert.True(doctor.ExitCode == 1, doctor.Output);
            Assert.Contains("MISSING  native shim (librknnshim.so is missing from", doctor.Output);
            Assert.Contains("MISSING  librknnrt.so -> mend the native shim, which looks for it", doctor.Output);
            Assert.Contains("Rockchip board", doctor.Output);
        }
    }

    public void Dispose()
    {
        folder.Dispose();
        workspace.Dispose();
    }

    private async Task<(int ExitCode, string Output)> RunAsync(
        string program,
        IReadOnlyDictionary<string, string> environment,
        params string[] arguments
    )
    {
        // Nothing else: what this process has is taken out.
        var variables = Environment
            .GetEnvironmentVariables()
            .Keys.Cast<string>()
            .Union(environment.Keys)
            .ToDictionary(name => name, environment.GetValueOrDefault);
        var run = await Cli.Wrap(program)
            .WithArguments(arguments)
            .WithWorkingDirectory(workspace.Folder)
            .WithEnvironmentVariables(variables)
            .WithValidation(CommandResultValidation.None)
            .ExecuteBufferedAsync(TestContext.Current.CancellationToken);
        return (run.ExitCode, run.StandardOutput + run.StandardError);
    }
}

/// <summary>Publishing writes the host's runtime configuration again, which no other test may start the host from meanwhile.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class AlonePublishing
{
    public const string Name = "publishing the host";
}
