namespace ModelPipeline.Tests;

/// <summary>Absolute paths of files in the working copy.</summary>
internal static class RepositoryFiles
{
    public static string Root { get; } = FindRoot();

    public static string Sample(string name) => Path.Combine(Root, "pipeline", "sample", name);

    public static string Fixture(string name) => Path.Combine(Root, "tests", "ModelPipeline.Tests", "Fixtures", name);

    private static string FindRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "ModelPipeline.sln")))
            folder =
                Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("The tests run from a build inside the repository.");
        return folder;
    }
}
