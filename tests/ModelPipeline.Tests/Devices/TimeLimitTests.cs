using System.Diagnostics;
using System.Net;
using ModelPipeline.Core;
using ModelPipeline.Devices;
using ModelPipeline.Manifest;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Devices;

/// <summary>Whatever stops answering is given up within its limit, in one sentence, and the board is free for others within a
/// minute.</summary>
public sealed class TimeLimitTests(BoardArtifact artifact) : BoardTests(artifact)
{
    private static readonly TimeSpan Answer = TimeSpan.FromSeconds(5);

    /// <summary>For the machine to be busy, beyond a limit.</summary>
    private static readonly TimeSpan Slack = TimeSpan.FromSeconds(20);

    private static readonly TimeSpan Free = TimeSpan.FromSeconds(60);

    private static readonly IReadOnlyList<TokenizedInput> Rows = BoardArtifact.Rows(150);

    [Fact]
    public async Task A_server_that_is_stopped_in_a_run_is_given_up_and_its_agent_leaves_the_board()
    {
        var server = 0;
        try
        {
            await GivenUpAsync(Board, agent => Signal("STOP", server = ProcessTable.Parent(agent)));
        }
        finally
        {
            Signal("KILL", server);
        }
    }

    [Fact]
    public Task A_link_that_drops_every_packet_is_given_up_and_its_agent_leaves_the_board() =>
        InNetworkAsync(async (board, cut) => await GivenUpAsync(board, _ => cut()));

    [Fact]
    public async Task A_server_that_is_stopped_lets_nobody_wait_for_the_log_in()
    {
        var server = ProcessTable
            .Running()
            .Single(process =>
                process.CommandLine.Contains(Path.Combine(Path.GetDirectoryName(RemoteFolder)!, "sshd_config"))
                && !process.CommandLine.StartsWith("/bin/sh", StringComparison.Ordinal)
            )
            .Id;
        Signal("STOP", server);
        try
        {
            var waited = Stopwatch.StartNew();
            var error = await Assert.ThrowsAsync<PipelineException>(() => ConnectAsync(Limits with { Connect = TimeSpan.FromSeconds(2) }));
            Assert.Contains("does not answer within 2 s: check that it is on and reachable", error.Message);
            Assert.InRange(waited.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(2) + Slack);
        }
        finally
        {
            Signal("CONT", server);
        }
    }

    [Fact]
    public async Task An_agent_that_answers_a_byte_a_second_is_given_up()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.File(SshSettings.ThisPlatform));
        // A length of 100 bytes, then one of them each second.
        folder.Write(
            $"{SshSettings.ThisPlatform}/rknn-agent",
            "#!/bin/sh\nprintf 'd\\000\\000\\000\\201'\nwhile printf '{'; do sleep 1; done\n"
        );
        var waited = Stopwatch.StartNew();

        // Long enough for a busy machine to log in, far shorter than the answer takes.
        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            ConnectAsync(Limits with { Connect = TimeSpan.FromSeconds(10) }, settings: settings => settings with { Agents = folder.Path })
        );

        Assert.Contains("no answer within 10 s", error.Message);
        Assert.InRange(waited.Elapsed, TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(20) + Slack);
    }

    [Fact]
    public async Task An_upload_that_is_taken_no_further_is_given_up()
    {
        await using var device = await ConnectAsync(Limits with { Answer = Answer });
        var agent = Agent;
        var waited = new Stopwatch();
        var big = Folder.File("big.sim.onnx"); // more than the windows and pipes on the way hold
        await using (var file = File.Create(big))
            file.SetLength(32 << 20);

        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            device.LoadAsync(
                Backend.Simulator,
                big,
                progress: new Reports(() =>
                {
                    if (waited.IsRunning)
                        return;
                    Signal("STOP", agent);
                    waited.Start();
                }),
                cancellation: Cancellation
            )
        );

        Assert.Contains("no answer within 5 s", error.Message);
        Assert.InRange(waited.Elapsed, TimeSpan.Zero, Answer + Slack);
        await ProcessTable.EndsAsync(agent);
    }

    /// <summary>Stops a run by a fault and looks how long until it is given up, and until the agent is gone.</summary>
    private async Task GivenUpAsync(LoopbackBoard board, Action<int> fault)
    {
        await using var device = await SshDevice.ConnectAsync(
            board.Spec,
            board.Settings,
            Limits with
            {
                Answer = Answer,
            },
            Warnings.Add,
            Cancellation
        );
        await device.LoadAsync(Backend.Simulator, Artifact.Path, cancellation: Cancellation);
        var agent = ProcessTable
            .Running()
            .Single(process => process.CommandLine.StartsWith($"{board.Settings.RemoteFolder}/rknn-agent-", StringComparison.Ordinal))
            .Id;
        var waited = new Stopwatch();

        var error = await Assert.ThrowsAsync<PipelineException>(() =>
            device.RunAsync(
                Rows,
                CorePlan.Sequence,
                count =>
                {
                    if (count != 20)
                        return;
                    fault(agent);
                    waited.Start();
                },
                Cancellation
            )
        );

        Assert.Contains("no answer within 5 s: the run hangs or the link is dead", error.Message);
        Assert.InRange(waited.Elapsed, TimeSpan.Zero, Answer + Slack);
        Assert.Empty(Warnings);
        await ProcessTable.EndsAsync(agent);
        Assert.InRange(waited.Elapsed, TimeSpan.Zero, Free + Slack);
    }

    /// <summary>A board in a network namespace of its own, and what cuts the only cable to it.</summary>
    private static async Task InNetworkAsync(Func<LoopbackBoard, Action, Task> use)
    {
        var number = Environment.ProcessId % 250;
        var (name, here, there) = ($"mp{number}", $"mpa{number}", $"mpb{number}");
        var (host, address) = ($"10.213.{number}.1", $"10.213.{number}.2");
        Assert.SkipUnless(Ip("netns", "add", name), "only root with iproute2 can make a network namespace");
        try
        {
            Assert.SkipUnless(
                Ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name),
                "this kernel has no veth devices"
            );
            Assert.True(Ip("addr", "add", $"{host}/30", "dev", here) && Ip("link", "set", here, "up"));
            Assert.True(
                Ip("-n", name, "addr", "add", $"{address}/30", "dev", there)
                    && Ip("-n", name, "link", "set", there, "up")
                    && Ip("-n", name, "link", "set", "lo", "up")
            );
            var place = new BoardPlace { Address = IPAddress.Parse(address), Launcher = ["ip", "netns", "exec", name] };
            await using var board = await LoopbackBoard.StartAsync(
                new DeviceSpec { Name = "board", Kind = DeviceKind.Loopback },
                Cancellation,
                place
            );
            await use(board, () => Assert.True(Ip("-n", name, "link", "set", there, "down")));
        }
        finally
        {
            Ip("link", "del", here);
            Ip("netns", "del", name);
        }
    }

    private static bool Ip(params IEnumerable<string> arguments) => Programs.EndsWell("ip", arguments);

    private sealed class Reports(Action take) : IProgress<StageProgress>
    {
        public void Report(StageProgress value) => take();
    }
}
