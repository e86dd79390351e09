using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Packaging;

namespace ModelPipeline.Tests.EndToEnd;

/// <summary>A folder of its own with a copy of models.yaml and the artifacts that the host makes by it.</summary>
internal sealed class Workspace : IDisposable
{
    /// <summary>Validates on ten queries instead of all: enough wherever accuracy is not the question.</summary>
    public static readonly (string Old, string New) TenQueries = ("    device: simulator\n", "    device: simulator\n    queries: 10\n");

    private const string Model = "tiny-reranker";

    private readonly TemporaryFolder folder = new();

    public Workspace(params ReadOnlySpan<(string Old, string New)> edits)
    {
        folder.Write("models.yaml", File.ReadAllText(Path.Combine(RepositoryFiles.Root, "models.yaml")));
        Edit([(" pipeline/sample/", $" {RepositoryFiles.Sample("")}/"), .. edits]);
    }

    public string Folder => folder.Path;

    public string Manifest => folder.File("models.yaml");

    /// <summary>Of the sample model.</summary>
    public string Package => folder.File("artifacts/packages/tiny-reranker-0.1.0");

    /// <summary>Of the sample model.</summary>
    public string Release => folder.File("artifacts/release/tiny-reranker/v0.1.0");

    /// <summary>A file or folder of the sample model, by its path below artifacts/models/tiny-reranker.</summary>
    public string Built(string path) => Path.Combine(folder.Path, "artifacts", "models", Model, path);

    /// <summary>The int8 variant, or the one named.</summary>
    public string Artifact(string variant = "int8") => Built($"variants/{variant}/1x128/tiny-reranker-0.1.0-{variant}-1x128.sim.onnx");

    /// <summary>Replaces text of models.yaml that must be there.</summary>
    public void Edit(params ReadOnlySpan<(string Old, string New)> edits)
    {
        var text = File.ReadAllText(Manifest);
        foreach (var (old, replacement) in edits)
        {
            Assert.Contains(old, text);
            text = text.Replace(old, replacement, StringComparison.Ordinal);
        }
        File.WriteAllText(Manifest, text);
    }

    public string Write(string name, byte[] bytes) => folder.Write(name, bytes);

    /// <summary>A new workspace with the same models.yaml and artifacts.</summary>
    public Workspace Copy()
    {
        var copy = new Workspace();
        File.Copy(Manifest, copy.Manifest, overwrite: true);
        foreach (var name in Files().Keys)
        {
            var target = Path.Combine(copy.Folder, "artifacts", name);
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(Path.Combine(Folder, "artifacts", name), target);
        }
        return copy;
    }

    public Task<HostRun> RunAsync(params string[] arguments) => HostProcess.RunAsync(Folder, arguments);

    public Task<HostRun> RunAsync((string Name, string Value) variable, params string[] arguments) =>
        HostProcess.RunAsync(Folder, arguments, new Dictionary<string, string> { [variable.Name] = variable.Value });

    /// <summary>Digest and last change of everything below artifacts, by path; without the lock of runs.</summary>
    public SortedDictionary<string, BuiltFile> Files()
    {
        var artifacts = folder.File("artifacts");
        return new(
            !Directory.Exists(artifacts)
                ? []
                : Directory
                    .EnumerateFiles(artifacts, "*", SearchOption.AllDirectories)
                    .Where(path => Path.GetFileName(path) != WorkFolder.LockName)
                    .ToDictionary(
                        path => Path.GetRelativePath(artifacts, path),
                        path => new BuiltFile(FileDigest.Of(path), File.GetLastWriteTimeUtc(path))
                    ),
            StringComparer.Ordinal
        );
    }

    public PackageManifest VerifiedPackage() => PackageCheck.Verify<PackageManifest>(Package);

    /// <summary>The sample model as models.yaml has it now.</summary>
    public ModelSpec Spec() => ModelsYaml.Load(Manifest, new ManifestOverrides(), _ => null).Models.Single(model => model.Name == Model);

    public void Dispose() => folder.Dispose();
}

/// <summary>A file that a run left.</summary>
internal sealed record BuiltFile(FileDigest Digest, DateTime Changed);
