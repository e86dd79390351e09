namespace ModelPipeline.Tests.Npu;

/// <summary>A folder of its own for one test class instance, deleted afterwards.</summary>
public sealed class TemporaryFolder : IDisposable
{
    private readonly string path = Directory.CreateTempSubdirectory("modelpipeline-").FullName;

    public string this[string name] => Path.Combine(path, name);

    public string Write(string name, byte[] bytes)
    {
        File.WriteAllBytes(this[name], bytes);
        return this[name];
    }

    public string[] Names() => [.. Directory.EnumerateFileSystemEntries(path).Select(entry => Path.GetFileName(entry)).Order()];

    public void Dispose() => Directory.Delete(path, recursive: true);
}
