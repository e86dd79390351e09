using ModelPipeline.Core;

namespace ModelPipeline.Tests.Core;

public sealed class AtomicFileTests : IDisposable
{
    private const int Threads = 4;

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    /// <summary>A reader that finds one file of the old folder before and after it misses another looked into a part of it.</summary>
    [Fact]
    public async Task Nobody_finds_a_part_of_a_folder_that_is_replaced()
    {
        const int Files = 2000;
        var path = folder.File("replaced");
        var missing = 0;
        for (var round = 0; round < 5; round++)
        {
            AtomicFile.WriteFolder(path, Fill);
            using var done = new CancellationTokenSource();
            var reader = Task.Factory.StartNew(
                () =>
                {
                    for (var random = new Random(round); !done.IsCancellationRequested; )
                    {
                        var (one, other) = (Old(random), Old(random));
                        if (File.Exists(one) && !File.Exists(other) && File.Exists(one))
                            missing++;
                    }
                },
                TestContext.Current.CancellationToken,
                TaskCreationOptions.LongRunning,
                TaskScheduler.Default
            );
            AtomicFile.WriteFolder(path, temporary => File.WriteAllText(Path.Combine(temporary, "new"), ""));
            await done.CancelAsync();
            await reader;
            Assert.Equal([Path.Combine(path, "new")], Directory.EnumerateFileSystemEntries(path));
        }
        Assert.Equal(0, missing);
        Assert.Equal([path], Directory.EnumerateFileSystemEntries(folder.Path));

        string Old(Random random) => Path.Combine(path, $"{random.Next(Files)}");

        static void Fill(string temporary)
        {
            for (var file = 0; file < Files; file++)
                File.WriteAllText(Path.Combine(temporary, $"{file}"), "");
        }
    }

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
