namespace ModelPipeline.Tests.House;

public sealed class LockFileTests
{
    /// <summary>CI restores in locked mode, which takes a project without a lock file for one that needs none.</summary>
    [Fact]
    public void Every_project_has_a_lock_file()
    {
        var projects = new[] { "build", "src", "tests" }
            .SelectMany(folder =>
                Directory.EnumerateFiles(Path.Combine(RepositoryFiles.Root, folder), "*.csproj", SearchOption.AllDirectories)
            )
            .Where(path => !path.Contains("/bin/", StringComparison.Ordinal))
            .ToList();
        Assert.Contains(projects, path => path.EndsWith("SampleConsumer.csproj", StringComparison.Ordinal));
        Assert.All(
            projects,
            path =>
                Assert.True(
                    File.Exists(Path.Combine(Path.GetDirectoryName(path)!, "packages.lock.json")),
                    $"{path}: dotnet restore writes its packages.lock.json"
                )
        );
    }
}
