using System.Reflection;
using System.Runtime.Loader;
using ModelPipeline.Tests.Artifacts;

namespace ModelPipeline.Tests.PublicApi;

/// <summary>What others build on changes on purpose alone: the lists beside this file are the approved ones.</summary>
public sealed class PublicApiTests
{
    [Theory]
    [InlineData("Cake.Frosting")]
    [InlineData("ModelPipeline.Artifacts")]
    [InlineData("ModelPipeline.Cake")]
    [InlineData("ModelPipeline.MSBuild")]
    public void The_public_API_is_the_approved_one(string name)
    {
        var folder = Path.Combine(RepositoryFiles.Root, "src", name, "bin", DotNet.Configuration, "net10.0");
        var listing = ApiListing.Of(new BuiltWith(folder).LoadFromAssemblyPath(Path.Combine(folder, name + ".dll")));
        var approved = Path.Combine(RepositoryFiles.Root, "tests", "ModelPipeline.Tests", "PublicApi", name + ".txt");
        var received = Path.Combine(AppContext.BaseDirectory, name + ".received.txt");
        File.WriteAllText(received, listing);
        Assert.True(
            File.Exists(approved) && File.ReadAllText(approved).ReplaceLineEndings("\n") == listing,
            $"The public API of {name} is not {approved}. If that is meant: cp {received} {approved}"
        );
    }

    /// <summary>What lies beside an assembly of src/.</summary>
    private sealed class BuiltWith(string folder) : AssemblyLoadContext
    {
        protected override Assembly? Load(AssemblyName assemblyName) =>
            Path.Combine(folder, assemblyName.Name + ".dll") is var path && File.Exists(path) ? LoadFromAssemblyPath(path) : null;
    }
}
