using System.Net;
using System.Net.Sockets;
using System.Text;
using ModelPipeline.Core;
using ModelPipeline.Devices;
using ModelPipeline.Manifest;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Devices;

/// <summary>What goes wrong with boards: each ends in a recovery or one clear error, and no process and no lock is left.</summary>
public sealed class FaultTests(BoardArtifact artifact) : BoardTests(artifact)
{
    private static readonly IReadOnlyList<TokenizedInput> Rows = BoardArtifact.Rows(150);

    [Fact]
    public async Task A_run_goes_on_from_the_last_finished_passage_when_the_connection_dies()
    {
        List<int> done = [];
        await using var device = await LoadedAsync();
        var agent = Agent;

        var run = await device.RunAsync(
            Rows,
            CorePlan.Sequence,
            count =>
            {
                done.Add(count);
                if (count == 70)
                    Signal("KILL", ProcessTable.Parent(agent));
            },
            Cancellation
        );

        Assert.Equal(BoardArtifact.Expected(Artifact.Path, Backend.Simulator, Rows), run.Passages.Select(passage => passage.Outputs[0][0]));
        Assert.Equal(Enumerable.Range(1, Rows.Count), done);
        Assert.Contains("was lost", Assert.Single(Warnings));
        await ProcessTable.EndsAsync(agent);
        Assert.NotEqual(agent, Agent);
    }

    [Theory]
    [InlineData("SEGV")]
    [InlineData("KILL")]
    public async Task An_agent_that_dies_is_told_apart_from_a_lost_link_and_not_tried_again(string signal)
    {
        await using var device = await LoadedAsync();
        var agent = Agent;

        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            device.RunAsync(
                Rows,
                CorePlan.Sequence,
                count =>
                {
                    if (count == 70)
                        Signal(signal, agent);
                },
                Cancellation
            )
        );

        Assert.Contains($"died of SIG{signal} when running '{Path.GetFileName(Artifact.Path)}'; the link is well", error.Message);
        Assert.Empty(Warnings);
        // Another request has another agent.
        Assert.Equal(Rows.Count, (await device.RunAsync(Rows, CorePlan.Sequence, cancellation: Cancellation)).Passages.Count);
        Assert.NotEqual(agent, Agent);
    }

    [Fact]
    public async Task An_upload_begins_again_when_the_connection_is_cut()
    {
        await using var device = await ConnectAsync();
        var connection = ProcessTable.Parent(Agent);
        var cut = false;

        await device.LoadAsync(
            Backend.Simulator,
            Artifact.Path,
            progress: new Reports(_ =>
            {
                if (cut)
                    return;
                cut = true;
                Signal("KILL", connection);
            }),
            cancellation: Cancellation
        );

        Assert.True(cut);
        Assert.Single(Warnings);
        await device.RunAsync(BoardArtifact.Rows(2), CorePlan.Sequence, cancellation: Cancellation);
    }

    [Fact]
    public async Task A_server_that_is_gone_for_good_is_an_error_that_says_so()
    {
        await using var device = await LoadedAsync();
        var agent = Agent;

        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            device.RunAsync(
                Rows,
                CorePlan.Sequence,
                count =>
                {
                    if (count != 20)
                        return;
                    Board.StopAsync().Wait(Cancellation);
                    Signal("KILL", ProcessTable.Parent(agent));
                },
                Cancellation
            )
        );

        Assert.Contains("cannot be reached", error.Message);
        Assert.Contains($"127.0.0.1:{Board.Spec.Port}", error.Message);
        await ProcessTable.EndsAsync(agent);
    }

    [Fact]
    public async Task A_run_that_hangs_is_given_up_and_its_agent_goes_with_the_connection()
    {
        await using var device = await LoadedAsync(Limits with { Answer = TimeSpan.FromSeconds(5) });
        var agent = Agent;

        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            device.RunAsync(
                Rows,
                CorePlan.Sequence,
                count =>
                {
                    if (count == 20)
                        Signal("STOP", agent);
                },
                Cancellation
            )
        );

        Assert.Contains("no answer within 5 s", error.Message);
        await ProcessTable.EndsAsync(agent);
        await using var next = await ConnectAsync();
    }

    [Fact]
    public async Task A_run_that_the_runtime_fails_is_an_error_after_which_the_session_goes_on()
    {
        await using var device = await ConnectAsync();
        await device.LoadAsync(Backend.Simulator, Artifact.WithFault(20, TimeSpan.Zero, -3), cancellation: Cancellation);

        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            device.RunAsync(Rows, CorePlan.ThreeContexts, cancellation: Cancellation)
        );

        Assert.StartsWith("device 'board': ", error.Message);
        Assert.Contains("RKNN_ERR_DEVICE_UNAVAILABLE", error.Message);
        Assert.Equal(Rows.Count, (await device.RunAsync(Rows, CorePlan.Sequence, cancellation: Cancellation)).Passages.Count);
        Assert.Empty(Warnings);
    }

    [Fact]
    public async Task A_fixed_frequency_stays_so_on_a_new_connection_and_is_given_back()
    {
        var governor = FakeNpu.In(Board.Root);
        await using (var device = await LoadedAsync())
        {
            Assert.Equal(
                ("performance", ""),
                (await device.FixFrequencyAsync(Cancellation)) is var status ? (status.NpuGovernor, status.Note) : default
            );
            Signal("KILL", ProcessTable.Parent(Agent));

            await device.RunAsync(Rows, CorePlan.Sequence, cancellation: Cancellation);

            Assert.Single(Warnings);
            Assert.Equal("performance", (await device.StatusAsync(Cancellation)).NpuGovernor);
        }
        Assert.Equal(FakeNpu.Governor, await File.ReadAllTextAsync(governor, Cancellation));
    }

    [Fact]
    public async Task Another_host_key_is_refused_before_anything_is_sent()
    {
        var other = "SHA256:" + new string('A', 43);

        var error = await Assert.ThrowsAsync<PipelineException>(() => ConnectAsync(spec: spec => spec with { HostKey = other }));

        Assert.Contains($"shows the ssh-ed25519 key {Board.Spec.HostKey}, but models.yaml pins {other}", error.Message);
        Assert.Empty(Directory.GetFiles(RemoteFolder, "rknn-agent-*"));
    }

    [Fact]
    public async Task A_key_that_the_board_does_not_know_is_refused()
    {
        using var folder = new TemporaryFolder();
        var key = OpenSsh.NewKey(folder.File("other"));

        var error = await Assert.ThrowsAsync<PipelineException>(() => ConnectAsync(spec: spec => spec with { IdentityFile = key }));

        Assert.Contains("refuses this key: add its public half to ~/.ssh/authorized_keys", error.Message);
    }

    [Fact]
    public async Task A_server_that_says_nothing_is_given_up()
    {
        using var mute = new TcpListener(IPAddress.Loopback, 0);
        mute.Start();

        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            ConnectAsync(
                Limits with
                {
                    Connect = TimeSpan.FromSeconds(1),
                },
                spec => spec with { Port = ((IPEndPoint)mute.LocalEndpoint).Port }
            )
        );

        Assert.Contains("does not answer within 1 s", error.Message);
    }

    [Theory]
    [InlineData("1m", "the agent cannot be put into")]
    [InlineData("4m", "No space left on device; free some space there")]
    public async Task A_full_disk_is_named_and_nothing_unfinished_stays(string size, string expected)
    {
        var small = Directory.CreateDirectory(Path.Combine(RemoteFolder, "small")).FullName;
        Assert.SkipUnless(
            Environment.IsPrivilegedProcess && Programs.EndsWell("mount", "-t", "tmpfs", "-o", $"size={size}", "none", small),
            "only root can mount a small disk"
        );
        try
        {
            var error = await Assert.ThrowsAsync<PipelineException>(async () =>
            {
                await using var device = await ConnectAsync(settings: settings => settings with { RemoteFolder = small });
                await device.LoadAsync(Backend.Simulator, Artifact.Path, cancellation: Cancellation);
            });
            Assert.Contains(expected, error.Message);
            Assert.All(Directory.GetFiles(small), file => Assert.StartsWith("rknn-agent-", Path.GetFileName(file)));
            Assert.DoesNotContain(Directory.GetFiles(small), file => file.EndsWith(AtomicFile.TemporarySuffix, StringComparison.Ordinal));
        }
        finally
        {
            Assert.True(Programs.EndsWell("umount", "--lazy", small));
        }
    }

    [Fact]
    public async Task A_model_that_was_damaged_on_the_board_is_sent_again()
    {
        await using (await LoadedAsync()) { }
        var stored = Assert.Single(Directory.GetFiles(RemoteFolder, "*.sim.onnx"));
        var bytes = await File.ReadAllBytesAsync(stored, Cancellation);
        bytes[^100] ^= 1;
        await File.WriteAllBytesAsync(stored, bytes, Cancellation);
        var sent = 0L;
        await using var device = await ConnectAsync();

        await device.LoadAsync(
            Backend.Simulator,
            Artifact.Path,
            progress: new Reports(report => sent = report.Done),
            cancellation: Cancellation
        );

        Assert.Equal(bytes.Length, sent);
        Assert.Equal(FileDigest.Of(Artifact.Path, Cancellation), FileDigest.Of(stored, Cancellation));
    }

    [Fact]
    public async Task An_agent_that_was_damaged_on_the_board_is_sent_again()
    {
        await using (await ConnectAsync()) { }
        var agent = Assert.Single(Directory.GetFiles(RemoteFolder, "rknn-agent-*"));
        await File.WriteAllTextAsync(agent, "#!/bin/sh\necho damaged\n", Cancellation);

        await using var device = await LoadedAsync();

        Assert.EndsWith(FileDigest.Of(agent, Cancellation).Sha256, agent);
    }

    [Fact]
    public async Task An_upload_whose_bytes_are_not_the_announced_ones_is_refused_and_not_kept()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("changing.sim.onnx", await File.ReadAllBytesAsync(Artifact.Path, Cancellation));
        await using var device = await ConnectAsync();

        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            device.LoadAsync(
                Backend.Simulator,
                path,
                progress: new Reports(report =>
                {
                    using var file = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
                    file.Seek(-8, SeekOrigin.End);
                    file.Write(new byte[8]);
                }),
                cancellation: Cancellation
            )
        );

        Assert.Contains("the upload was damaged: its sha256 is", error.Message);
        Assert.Empty(Directory.GetFiles(RemoteFolder, "*.onnx*"));
        await device.LoadAsync(Backend.Simulator, Artifact.Path, cancellation: Cancellation); // the session goes on
    }

    [Fact]
    public async Task An_agent_of_another_version_is_refused()
    {
        using var folder = new TemporaryFolder();
        var reply = Encoding.UTF8.GetBytes(
            """{"protocol":2,"version":"9","busy":"","platform":"linux-arm64","soc":[],"driver":"","runtime":"","cores":8}"""
        );
        var message = folder.Write("reply", [.. BitConverter.GetBytes(reply.Length + 1), (byte)AgentMessageKind.HelloReply, .. reply]);

        var error = await Assert.ThrowsAsync<PipelineException>(() => ConnectToAsync(folder, $"cat '{message}'; sleep 9"));

        Assert.Contains("of another version: it speaks protocol 2, this program 1", error.Message);
    }

    [Theory]
    [InlineData("echo Welcome to your board; sleep 9", "Check that nothing (such as a login script) writes to the session's output")]
    [InlineData("echo libstdc++ is too old >&2; exit 1", "the agent did not start on")]
    [InlineData("printf '\\033[31mold\\007' >&2; exit 1", "It said: \uFFFD[31mold\uFFFD")]
    public async Task What_answers_and_is_no_agent_is_refused(string script, string expected)
    {
        using var folder = new TemporaryFolder();

        var error = await Assert.ThrowsAsync<PipelineException>(() => ConnectToAsync(folder, script));

        Assert.Contains(expected, error.Message);
    }

    [Theory]
    [InlineData("/nowhere/librknnrt.so", "/nowhere/librknnrt.so")]
    [InlineData("libonnxruntime.so", "rknn_init")]
    public async Task A_runtime_library_that_is_missing_or_lacks_a_function_is_named(string library, string expected)
    {
        await using var device = await ConnectAsync(spec: spec => spec with { RuntimeLibrary = Path.Combine(RemoteFolder, library) });

        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            device.LoadAsync(Backend.Simulator, Artifact.Path, cancellation: Cancellation)
        );

        Assert.StartsWith("device 'board': ", error.Message);
        Assert.Contains(expected, error.Message);
        await device.LoadAsync(Backend.Onnx, BoardArtifact.Onnx, cancellation: Cancellation); // CPU models need none
    }

    [Fact]
    public async Task A_model_for_another_platform_is_refused()
    {
        var foreign = await Artifact.BuildAsync("rk3576");
        await using var device = await ConnectAsync();

        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            device.LoadAsync(Backend.Simulator, foreign, cancellation: Cancellation)
        );

        Assert.Contains("another platform", error.Message);
    }

    [Fact]
    public async Task Neither_a_damaged_model_nor_a_real_one_runs_on_the_stand_in()
    {
        using var folder = new TemporaryFolder();
        await using var device = await ConnectAsync();

        foreach (
            var path in new[]
            {
                folder.Write("a.sim.onnx", "no model"),
                Path.Combine(RepositoryFiles.Root, "tests/ModelPipeline.Tests/Fixtures/rknn/tiny-fp16.rknn"),
            }
        )
            await Assert.ThrowsAsync<PipelineException>(() => device.LoadAsync(Backend.Rknn, path, cancellation: Cancellation));

        Assert.Empty(Warnings); // the agent lives on
    }

    private async Task<SshDevice> LoadedAsync(DeviceLimits? limits = null)
    {
        var device = await ConnectAsync(limits);
        await device.LoadAsync(Backend.Simulator, Artifact.Path, cancellation: Cancellation);
        return device;
    }

    /// <summary>Connects to a board on which this script is the agent.</summary>
    private Task<SshDevice> ConnectToAsync(TemporaryFolder folder, string script)
    {
        Directory.CreateDirectory(folder.File(SshSettings.ThisPlatform));
        folder.Write($"{SshSettings.ThisPlatform}/rknn-agent", $"#!/bin/sh\n{script}\n");
        return ConnectAsync(settings: settings => settings with { Agents = folder.Path });
    }

    /// <summary>Takes reports at once, on the thread that makes them.</summary>
    private sealed class Reports(Action<StageProgress> take) : IProgress<StageProgress>
    {
        public void Report(StageProgress value) => take(value);
    }
}
