using System.Collections.Concurrent;
using System.Diagnostics;
using ModelPipeline.Core;
using ModelPipeline.Devices;
using ModelPipeline.Manifest;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Devices;

public sealed class SshDeviceTests(BoardArtifact artifact) : BoardTests(artifact)
{
    [Fact]
    public async Task A_model_runs_on_the_board_as_in_this_process()
    {
        var rows = BoardArtifact.Rows(100);
        await using var device = await ConnectAsync();

        var model = await device.LoadAsync(Backend.Simulator, Artifact.Path, cancellation: Cancellation);
        var run = await device.RunAsync(rows, CorePlan.Sequence, cancellation: Cancellation);

        Assert.True(model.Simulated);
        Assert.Contains("simulator, no NPU", model.SdkVersion);
        Assert.Equal(BoardArtifact.Expected(Artifact.Path, Backend.Simulator, rows), run.Passages.Select(passage => passage.Outputs[0][0]));
        Assert.All(run.Passages, passage => Assert.InRange(passage.Time, TimeSpan.FromMicroseconds(1), run.Elapsed));
        Assert.Empty(Warnings);
    }

    [Fact]
    public async Task Every_core_plan_gives_the_same_scores_in_the_same_order()
    {
        var rows = BoardArtifact.Rows(70);
        var expected = BoardArtifact.Expected(Artifact.Path, Backend.Simulator, rows);
        await using var device = await ConnectAsync();
        await device.LoadAsync(Backend.Simulator, Artifact.Path, cancellation: Cancellation);

        foreach (var plan in CorePlan.OfThreeCores)
        {
            var done = new ConcurrentQueue<int>();
            var run = await device.RunAsync(rows, plan, done.Enqueue, Cancellation);

            Assert.Equal(expected, run.Passages.Select(passage => passage.Outputs[0][0]));
            Assert.Equal(Enumerable.Range(1, rows.Count), done);
        }
    }

    [Fact]
    public async Task One_file_for_several_shapes_gives_the_outputs_of_a_file_for_each()
    {
        var several = Artifact.ForLengths(32, 48);
        TokenizedInput[] rows = [.. BoardArtifact.Rows(5, 48), .. BoardArtifact.Rows(9), .. BoardArtifact.Rows(7, 48)];
        var single = new Dictionary<int, string> { [32] = Artifact.Path, [48] = await Artifact.BuildAsync("rk3588", 48) };
        float[] expected = [.. rows.Select(row => BoardArtifact.Expected(single[row.InputIds.Length], Backend.Simulator, [row])[0])];
        await using var device = await ConnectAsync();
        await device.LoadAsync(Backend.Simulator, several, cancellation: Cancellation);

        foreach (var plan in CorePlan.OfThreeCores)
            BoardArtifact.Same(expected, await device.RunAsync(rows, plan, cancellation: Cancellation));

        var none = await Assert.ThrowsAsync<PipelineException>(() =>
            device.RunAsync(BoardArtifact.Rows(1, 40), CorePlan.Sequence, cancellation: Cancellation)
        );
        Assert.Contains("was built for inputs of [1,32] or [1,48] and got 40 elements; pad to one of these shapes", none.Message);
    }

    [Fact]
    public async Task A_CPU_model_runs_on_the_ONNX_Runtime_of_the_board_at_any_length()
    {
        await using var device = await ConnectAsync();
        var model = await device.LoadAsync(Backend.Onnx, BoardArtifact.Onnx, cancellation: Cancellation);

        foreach (var tokens in new[] { 7, 64 })
        {
            var rows = BoardArtifact.Rows(3, tokens);
            var run = await device.RunAsync(rows, CorePlan.Sequence, cancellation: Cancellation);
            Assert.Equal(
                BoardArtifact.Expected(BoardArtifact.Onnx, Backend.Onnx, rows),
                run.Passages.Select(passage => passage.Outputs[0][0])
            );
        }
        Assert.False(model.Simulated);
        Assert.StartsWith("ONNX Runtime", model.SdkVersion);
    }

    [Fact]
    public async Task What_the_board_has_is_not_sent_again()
    {
        List<string> sent = [];
        for (var session = 0; session < 2; session++)
        {
            await using var device = await ConnectAsync();
            await device.LoadAsync(Backend.Simulator, Artifact.Path, progress: new Uploads(sent), cancellation: Cancellation);
            if (session == 0)
                Assert.NotEmpty(sent);
            else
                Assert.Empty(sent);
            sent.Clear();
        }
        Assert.Single(Directory.GetFiles(RemoteFolder, "rknn-agent-*"));
    }

    [Fact]
    public async Task The_board_says_what_it_is_and_how_it_feels()
    {
        await using var device = await ConnectAsync();

        var status = await device.StatusAsync(Cancellation);
        var @fixed = await device.FixFrequencyAsync(Cancellation);

        Assert.Equal(SshSettings.ThisPlatform, device.Facts.Platform);
        Assert.True(device.Facts.Cores >= Environment.ProcessorCount); // which counts those alone that this process may use
        Assert.Contains("simulator, no NPU", device.Facts.Runtime);
        Assert.Equal("", status.Note);
        Assert.NotEqual("", @fixed.Note); // there is no NPU whose governor could be set
    }

    [Fact]
    public async Task A_board_serves_one_pipeline_at_a_time()
    {
        await using (await ConnectAsync())
        {
            var holder = Agent; // asked before the second agent is there, which may take a moment to end
            var error = await Assert.ThrowsAsync<PipelineException>(() => ConnectAsync(Limits with { Busy = TimeSpan.FromSeconds(1) }));
            Assert.StartsWith($"device 'board' is in use: process {holder} holds {Board.LockFile}", error.Message);
        }
        await using var next = await ConnectAsync();
    }

    [Fact]
    public async Task A_pipeline_waits_for_the_one_before_it()
    {
        await using var first = await ConnectAsync();
        var second = ConnectAsync();
        await Task.Delay(300, Cancellation);
        Assert.False(second.IsCompleted);

        await first.DisposeAsync();

        await using var device = await second;
        await device.StatusAsync(Cancellation);
    }

    [Fact]
    public async Task Clean_removes_what_was_uploaded_and_nothing_else()
    {
        await using (var device = await ConnectAsync())
        {
            await device.LoadAsync(Backend.Simulator, Artifact.Path, cancellation: Cancellation);
            var before = Directory.GetFiles(RemoteFolder).Length;

            Assert.Equal(2, await device.CleanAsync(Cancellation));

            Assert.Equal(before - 2, Directory.GetFiles(RemoteFolder).Length);
        }
        Assert.Equal(["libonnxruntime.so", "librknnrt-sim.so"], Directory.GetFiles(RemoteFolder).Select(Path.GetFileName).Order());
    }

    [Fact]
    public async Task Cancelling_ends_a_run_at_once_and_leaves_nothing_behind()
    {
        using var stop = new CancellationTokenSource();
        await using var device = await ConnectAsync();
        await device.LoadAsync(Backend.Simulator, Artifact.Path, cancellation: Cancellation);
        var agent = Agent;
        var stopped = new Stopwatch();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            device.RunAsync(
                BoardArtifact.Rows(100_000),
                CorePlan.ThreeContexts,
                done =>
                {
                    if (done != 50)
                        return;
                    stopped.Start();
                    stop.Cancel();
                },
                stop.Token
            )
        );

        Assert.True(stopped.IsRunning && stopped.Elapsed < TimeSpan.FromSeconds(10), $"{stopped.Elapsed}");
        await device.DisposeAsync();
        await ProcessTable.EndsAsync(agent);
        await using var next = await ConnectAsync();
    }

    [Fact]
    public async Task A_cancelled_upload_leaves_no_part_of_a_file()
    {
        using var stop = new CancellationTokenSource();
        await using (var device = await ConnectAsync())
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
                device.LoadAsync(Backend.Simulator, Artifact.Path, progress: new Uploads(_ => stop.Cancel()), cancellation: stop.Token)
            );

        await using var next = await ConnectAsync();
        Assert.DoesNotContain(
            Directory.GetFiles(RemoteFolder),
            file => file.EndsWith(".partial", StringComparison.Ordinal) || file.EndsWith(".onnx", StringComparison.Ordinal)
        );
    }

    [Fact]
    public async Task The_agent_for_boards_runs_under_emulation()
    {
        var rows = BoardArtifact.Rows(5);
        var spec = new DeviceSpec
        {
            Name = "arm",
            Kind = DeviceKind.Loopback,
            Platform = "linux-arm64",
        };
        await using var device = await Device.OpenAsync(spec, warning: Warnings.Add, cancellation: Cancellation);

        var model = await device.LoadAsync(Backend.Simulator, Artifact.Path, cancellation: Cancellation);
        var run = await device.RunAsync(rows, CorePlan.ThreeContexts, cancellation: Cancellation);

        Assert.Equal("linux-arm64", device.Facts.Platform);
        Assert.True(model.Simulated);
        // Another instruction set adds in another order.
        Assert.All(
            run.Passages.Zip(BoardArtifact.Expected(Artifact.Path, Backend.Simulator, rows)),
            pair => Assert.Equal(pair.Second, pair.First.Outputs[0][0], 1e-4f)
        );
        Assert.Empty(Warnings);
    }

    /// <summary>Takes reports of an upload at once, on the uploading thread.</summary>
    private sealed class Uploads(Action<string> report) : IProgress<StageProgress>
    {
        public Uploads(List<string> reports)
            : this(reports.Add) { }

        public void Report(StageProgress value) => report(value.Activity);
    }
}
