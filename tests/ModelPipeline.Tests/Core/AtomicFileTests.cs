using ModelPipeline.Core;

namespace ModelPipeline.Tests.Core;

public sealed class AtomicFileTests : IDisposable
{
    private const int Threads = 4;

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    /// <summary>Who made a folder and who tidies up in its place when a run is interrupted.</summary>
    [Fact]
    public async Task Those_who_delete_a_folder_at_once_leave_nothing_of_it()
    {
        for (var round = 0; round < 25; round++)
        {
            var shared = folder.File("shared");
            for (var child = 0; child < 20; child++)
                File.WriteAllText(Path.Combine(Directory.CreateDirectory(Path.Combine(shared, $"{child}")).FullName, "file"), "");
            using var start = new Barrier(Threads);
            await Task.WhenAll(
                Enumerable
                    .Range(0, Threads)
                    .Select(_ =>
                        Task.Factory.StartNew(
                            () =>
                            {
                                start.SignalAndWait();
                                AtomicFile.DeleteFolder(shared);
                            },
                            TestContext.Current.CancellationToken,
                            TaskCreationOptions.LongRunning,
                            TaskScheduler.Default
                        )
                    )
            );
            Assert.False(Directory.Exists(shared));
        }
    }
}
