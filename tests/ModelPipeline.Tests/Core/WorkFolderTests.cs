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

    private string Unfinished(string name)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(folder.File(name))!);
        return folder.Write(name, "");
    }
}
