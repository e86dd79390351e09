using ModelPipeline.Manifest;

namespace ModelPipeline.Tests.Manifest;

public sealed class RepositoryManifestTests
{
    private static string Root
    {
        get
        {
            var folder = AppContext.BaseDirectory;
            while (!File.Exists(Path.Combine(folder, "ModelPipeline.sln")))
                folder = Path.GetDirectoryName(folder)!;
            return folder;
        }
    }

    [Fact]
    public void The_manifest_of_this_repository_loads()
    {
        var m = ModelsYaml.Load(Path.Combine(Root, "models.yaml"), new ManifestOverrides(), _ => null);
        Assert.Equal(2, m.Models.Count);
    }
}
