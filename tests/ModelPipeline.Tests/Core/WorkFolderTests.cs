using ModelPipeline.Core;

namespace ModelPipeline.Tests.Core;

public sealed class WorkFolderTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task Nobody_tidies_up_while_others_are_at_work()
    {
        var cancellation = TestContext.Current.CancellationToken;
        var file = Unfinished("models/a.onnx.1-2" + AtomicFile.TemporarySuffix);
        using (await WorkFolder.EnterAsync(folder.Path, ["models"], cancellation))
        {
            Assert.False(File.Exists(file));
            Unfinished("models/a.onnx.1-2" + AtomicFile.TemporarySuffix);
            using (await WorkFolder.EnterAsync(folder.Path, ["models"], cancellation))
                Assert.True(File.Exists(file));
        }
        using (await WorkFolder.EnterAsync(folder.Path, ["models"], cancellation))
            Assert.False(File.Exists(file));
    }

    [Fact]
    public async Task Only_unfinished_files_and_folders_of_its_parts_are_deleted()
    {
        var partial = Path.GetDirectoryName(Unfinished($"release/m/v1.1-2{AtomicFile.TemporarySuffix}/model.onnx"))!;
        var finished = Unfinished("release/m/v1/model.onnx");
        var foreign = Unfinished("download" + AtomicFile.TemporarySuffix);
        using (await WorkFolder.EnterAsync(folder.Path, ["models", "release"], TestContext.Current.CancellationToken))
        {
            Assert.False(Directory.Exists(partial));
            Assert.True(File.Exists(finished));
            Assert.True(File.Exists(foreign));
        }
    }

    [Fact]
    public void Where_nobody_has_a_lock_only_what_dead_processes_left_of_a_file_is_deleted()
    {
        const int NoProcess = int.MaxValue; // above the kernel's limit
        var dead = Unfinished($"v1.0.0.{NoProcess}-a{AtomicFile.TemporarySuffix}/model.onnx");
        var notes = Unfinished($"v1.0.0.md.{NoProcess}-a{AtomicFile.TemporarySuffix}");
        var other = Unfinished($"v1.0.1.{NoProcess}-a{AtomicFile.TemporarySuffix}");
        var alive = Unfinished($"v1.0.0.{Environment.ProcessId}-b{AtomicFile.TemporarySuffix}");
        AtomicFile.DeleteRemains(folder.File("v1.0.0"));
        AtomicFile.DeleteRemains(folder.File("v1.0.0.md"));
        AtomicFile.DeleteRemains(folder.File("missing/v1.0.0"));
        Assert.False(File.Exists(dead));
        Assert.False(File.Exists(notes));
        Assert.True(File.Exists(other));
        Assert.True(File.Exists(alive));
    }

    private string Unfinished(string name)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(folder.File(name))!);
        return folder.Write(name, "");
    }
}
