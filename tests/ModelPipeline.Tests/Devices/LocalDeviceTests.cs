using System.Diagnostics;
using System.Text;
using ModelPipeline.Core;
using ModelPipeline.Devices;
using ModelPipeline.Manifest;

namespace ModelPipeline.Tests.Devices;

/// <summary>The shim in this process as on the board itself, over the library that stands in for the vendor's; and what goes wrong
/// there.</summary>
public sealed class LocalDeviceTests(BoardArtifact artifact) : BoardTests(artifact)
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(2);

    private static readonly DeviceSpec Local = new()
    {
        Name = "here",
        Kind = DeviceKind.Local,
        RuntimeLibrary = Path.Combine(new SshSettings().Agents, SshSettings.ThisPlatform, "librknnrt-sim.so"),
    };

    private LocalSettings Settings => new() { Lock = Folder.File("lock"), Root = Folder.Path };

    [Fact]
    public async Task Every_core_plan_gives_the_scores_of_the_simulator()
    {
        var rows = BoardArtifact.Rows(30);
        await using var device = await OpenAsync();
        var model = await device.LoadAsync(Backend.Simulator, Artifact.Path, cancellation: Cancellation);

        foreach (var plan in CorePlan.OfThreeCores)
        {
            var run = await device.RunAsync(rows, plan, cancellation: Cancellation);
            Assert.Equal(
                BoardArtifact.Expected(Artifact.Path, Backend.Simulator, rows),
                run.Passages.Select(passage => passage.Outputs[0][0])
            );
        }
        Assert.True(model.Simulated);
        Assert.Contains("simulator, no NPU", device.Facts.Runtime);
    }

    [Fact]
    public async Task One_file_for_several_shapes_gives_under_every_plan_the_outputs_of_a_file_for_each()
    {
        await using var device = await OpenAsync();
        var model = await device.LoadAsync(Backend.Simulator, Artifact.ForLengths(32, 48), cancellation: Cancellation);
        Assert.All(model.Inputs, input => Assert.Equal([1, 48], input.Dims));

        foreach (var (plan, tokens) in CorePlan.OfThreeCores.SelectMany(plan => new[] { (plan, 48), (plan, 32) }))
        {
            var rows = BoardArtifact.Rows(10, tokens);
            BoardArtifact.Same(
                BoardArtifact.Expected(await Artifact.BuildAsync("rk3588", tokens), Backend.Simulator, rows),
                await device.RunAsync(rows, plan, cancellation: Cancellation)
            );
        }
    }

    [Fact]
    public async Task The_governor_is_fixed_while_the_device_is_open_and_given_back()
    {
        var governor = FakeNpu.In(Folder.Path);
        await using (var device = await OpenAsync())
        {
            Assert.Contains(
                $"the NPU's governor is '{FakeNpu.Governor}'",
                Assert.Single(DeviceStatus.Doubts(DeviceStatus.Unknown, await device.StatusAsync(Cancellation)))
            );

            var before = await device.FixFrequencyAsync(Cancellation);

            Assert.Equal(("performance", ""), (before.NpuGovernor, before.Note));
            Assert.Empty(DeviceStatus.Doubts(DeviceStatus.Unknown, before));
        }
        Assert.Equal(FakeNpu.Governor, await File.ReadAllTextAsync(governor, Cancellation));
    }

    [Fact]
    public async Task A_governor_that_may_not_be_set_is_reported()
    {
        var governor = FakeNpu.In(Folder.Path);
        File.Delete(governor);
        Directory.CreateDirectory(governor); // which nobody can write to, not even root
        await using var device = await OpenAsync();

        Assert.Contains($"this user may not write {governor}", (await device.FixFrequencyAsync(Cancellation)).Note);

        await using var bare = await OpenAsync(Settings with { Lock = Folder.File("other"), Root = Folder.File("nothing") });
        Assert.Contains("has no NPU", (await bare.FixFrequencyAsync(Cancellation)).Note);
    }

    [Fact]
    public async Task Heat_and_throttling_in_a_measurement_are_noticed()
    {
        FakeNpu.In(Folder.Path);
        await using var device = await OpenAsync();
        await device.LoadAsync(Backend.Simulator, Artifact.Path, cancellation: Cancellation);
        var before = await device.FixFrequencyAsync(Cancellation);

        await device.RunAsync(BoardArtifact.Rows(3), CorePlan.Sequence, done => FakeNpu.Warm(Folder.Path, 80 + (3 * done)), Cancellation);

        Assert.Equal(
            [
                "the NPU is throttled: 500 of 1000 MHz",
                "npu-thermal is at 89.0 degrees (before: 50.0), where boards slow down: cool the board and measure again",
            ],
            DeviceStatus.Doubts(before, await device.StatusAsync(Cancellation))
        );
    }

    [Fact]
    public async Task It_shares_its_lock_with_pipelines_that_come_over_SSH()
    {
        var shared = Settings with { Lock = Board.LockFile };
        var brief = Limits with { Busy = TimeSpan.FromSeconds(1) };
        await using (await OpenAsync(shared))
        {
            var remote = await Assert.ThrowsAsync<PipelineException>(() => ConnectAsync(brief));
            Assert.StartsWith($"device 'board' is in use: process {Environment.ProcessId} holds {Board.LockFile}", remote.Message);
        }
        await using (await ConnectAsync())
        {
            var local = await Assert.ThrowsAsync<PipelineException>(() => OpenAsync(shared, brief));
            Assert.StartsWith($"device 'here' is in use: process {Agent} holds {Board.LockFile}", local.Message);

            var waiting = OpenAsync(shared);
            await Assert.ThrowsAsync<TimeoutException>(() => waiting.WaitAsync(TimeSpan.FromMilliseconds(300), Cancellation));
            Signal("KILL", Agent); // no lock outlives its holder
            await (await waiting).DisposeAsync();
        }
    }

    [Fact]
    public async Task A_lock_that_cannot_be_made_is_an_error_and_waiting_for_one_can_be_cancelled()
    {
        Assert.Contains(
            "cannot be opened",
            (await Assert.ThrowsAsync<PipelineException>(() => OpenAsync(Settings with { Lock = Folder.File("no/such/lock") }))).Message
        );

        await using var first = await OpenAsync();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        var second = InProcessDevice.OpenAsync(Local, Settings, Limits, stop.Token);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
    }

    [Fact]
    public async Task A_run_that_hangs_is_given_up_and_so_is_what_comes_after_it()
    {
        await using var device = await OpenAsync(limits: Limits with { Answer = TimeSpan.FromSeconds(5), Load = TimeSpan.FromSeconds(5) });
        await device.LoadAsync(Backend.Simulator, Artifact.WithFault(20, Long, 0), cancellation: Cancellation);

        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            device.RunAsync(BoardArtifact.Rows(50), CorePlan.Sequence, cancellation: Cancellation)
        );
        var next = await Assert.ThrowsAsync<PipelineException>(() =>
            device.RunAsync(BoardArtifact.Rows(50), CorePlan.ThreeContexts, cancellation: Cancellation)
        );

        Assert.StartsWith("device 'here': no passage ended within 5 s: the run hangs", error.Message);
        Assert.StartsWith("device 'here': making a context did not end within 5 s", next.Message);
    }

    [Theory]
    [InlineData(-3, "RKNN_ERR_DEVICE_UNAVAILABLE")]
    [InlineData(-4, "RKNN_ERR_MALLOC_FAIL")]
    public async Task A_run_that_the_runtime_fails_is_an_error_after_which_the_device_goes_on(int status, string expected)
    {
        var rows = BoardArtifact.Rows(50);
        await using var device = await OpenAsync();
        await device.LoadAsync(Backend.Simulator, Artifact.WithFault(20, TimeSpan.Zero, status), cancellation: Cancellation);
        var done = 0;

        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            device.RunAsync(rows, CorePlan.ThreeContexts, count => done = count, Cancellation)
        );

        Assert.StartsWith("device 'here': ", error.Message);
        Assert.Contains(expected, error.Message);
        Assert.InRange(done, 1, rows.Count - 1);
        var again = await device.RunAsync(rows, CorePlan.ThreeContexts, cancellation: Cancellation);
        Assert.Equal(
            BoardArtifact.Expected(Artifact.Path, Backend.Simulator, rows),
            again.Passages.Select(passage => passage.Outputs[0][0])
        );
    }

    [Fact]
    public async Task Cancelling_ends_a_run_at_once_even_one_that_hangs_and_gives_back_lock_and_governor()
    {
        var governor = FakeNpu.In(Folder.Path);
        using var stop = new CancellationTokenSource();
        var stopped = new Stopwatch();
        await using (var device = await OpenAsync())
        {
            await device.FixFrequencyAsync(Cancellation);
            await device.LoadAsync(Backend.Simulator, Artifact.WithFault(20, Long, 0), cancellation: Cancellation);

            await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
                device.RunAsync(
                    BoardArtifact.Rows(50),
                    CorePlan.Sequence,
                    done =>
                    {
                        if (done != 19)
                            return;
                        stopped.Start();
                        stop.CancelAfter(100);
                    },
                    stop.Token
                )
            );
        }
        Assert.True(stopped.IsRunning && stopped.Elapsed < TimeSpan.FromSeconds(20), $"{stopped.Elapsed}");
        Assert.Equal(FakeNpu.Governor, await File.ReadAllTextAsync(governor, Cancellation));
        await using var next = await OpenAsync(limits: Limits with { Busy = TimeSpan.Zero });
    }

    [Fact]
    public async Task Models_for_another_platform_or_of_real_bytes_are_refused_and_the_device_goes_on()
    {
        await using var device = await OpenAsync();

        var foreign = await Assert.ThrowsAsync<PipelineException>(async () =>
            await device.LoadAsync(Backend.Simulator, await Artifact.BuildAsync("rk3576"), cancellation: Cancellation)
        );
        Assert.StartsWith("device 'here': ", foreign.Message);
        Assert.Contains("another platform", foreign.Message);
        await Assert.ThrowsAsync<PipelineException>(() =>
            device.LoadAsync(Backend.Rknn, Folder.Write("a.rknn", "no model"), cancellation: Cancellation)
        );

        await device.LoadAsync(Backend.Simulator, Artifact.Path, cancellation: Cancellation);
        Assert.Single((await device.RunAsync(BoardArtifact.Rows(1), CorePlan.Sequence, cancellation: Cancellation)).Passages);
    }

    /// <summary>The stand-in has version 2.3.2.</summary>
    [Fact]
    public async Task A_runtime_older_than_the_file_is_refused_before_the_load_and_the_device_goes_on()
    {
        var text = Encoding.Latin1.GetString(await File.ReadAllBytesAsync(RepositoryFiles.Fixture("rknn/tiny-fp16.rknn"), Cancellation));
        var newer = Folder.Write("newer.rknn", Encoding.Latin1.GetBytes(text.Replace("2.3.2", "2.5.0", StringComparison.Ordinal)));
        await using var device = await OpenAsync();

        var error = await Assert.ThrowsAsync<PipelineException>(() => device.LoadAsync(Backend.Rknn, newer, cancellation: Cancellation));

        Assert.Contains("wants librknnrt 2.5.0 or later, and the device has 2.3.2", error.Message);
        Assert.Contains("allow_old_runtime: true", error.Message);
        await device.LoadAsync(Backend.Simulator, Artifact.Path, cancellation: Cancellation);
        Assert.Single((await device.RunAsync(BoardArtifact.Rows(1), CorePlan.Sequence, cancellation: Cancellation)).Passages);
    }

    private Task<InProcessDevice> OpenAsync(LocalSettings? settings = null, DeviceLimits? limits = null) =>
        InProcessDevice.OpenAsync(Local, settings ?? Settings, limits ?? Limits, Cancellation);
}
