using System.Diagnostics;

namespace ModelPipeline.Tests;

/// <summary>What killed processes left is deleted by the next; what running ones make is not.</summary>
public sealed class AbandonedFilesTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Fact]
    public void Only_what_no_running_process_can_have_made_goes()
    {
        using var gone = Process.Start("true");
        gone.WaitForExit();
        var (own, other) = (Environment.ProcessId, gone.Id);
        Directory.CreateDirectory(folder.File($"deep/model.rknn.{other}-0f.partial.{other}-toolkit1.partial/work"));
        foreach (var name in new[] { $"a.{own}-0f.partial", $"deep/b.rknn.{other}-0f.partial", $"deep/model.rknn.{other}-0f.partial.{other}-toolkit1.partial/work/c.{other}-0f.partial", "d.partial", $"deep/e.{other}-0f.scratch", $"old.{own}-0f.partial" })
            folder.Write(name, "");
        // A number is given again: this process began after that file.
        File.SetLastWriteTime(folder.File($"old.{own}-0f.partial"), DateTime.Now.AddDays(-30));

        AtomicFile.DeleteAbandoned(folder.Path);

        Assert.Equal(
            [$"a.{own}-0f.partial", "d.partial", $"deep/e.{other}-0f.scratch"],
            Directory.EnumerateFiles(folder.Path, "*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(folder.Path, path)).Order(StringComparer.Ordinal));
        AtomicFile.DeleteAbandoned(folder.File("nowhere"));
    }

    public void Dispose() => folder.Dispose();
}
