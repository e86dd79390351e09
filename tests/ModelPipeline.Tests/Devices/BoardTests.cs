using System.Diagnostics;
using System.Globalization;
using ModelPipeline.Devices;
using ModelPipeline.Manifest;

namespace ModelPipeline.Tests.Devices;

/// <summary>Tests with a board of their own: sshd, agent and stand-in runtime on this machine.</summary>
public abstract class BoardTests(BoardArtifact artifact) : IClassFixture<BoardArtifact>, IAsyncLifetime
{
    private protected static readonly DeviceLimits Short = new() { Answer = TimeSpan.FromSeconds(10), Busy = TimeSpan.FromSeconds(1) };

    private protected LoopbackBoard Board { get; private set; } = null!;

    private protected TemporaryFolder Folder { get; } = new();

    /// <summary>What the device warned of.</summary>
    private protected List<string> Warnings { get; } = [];

    private protected BoardArtifact Artifact => artifact;

    private protected static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private protected string RemoteFolder => Board.Settings.RemoteFolder;

    /// <summary>Process number of the one agent that runs there.</summary>
    private protected int Agent => Directory.EnumerateDirectories("/proc").Select(Path.GetFileName)
        .Select(name => int.TryParse(name, out var process) ? process : 0)
        .Single(process => process > 0 && IsAlive(process) && CommandLine(process).StartsWith($"{RemoteFolder}/rknn-agent-", StringComparison.Ordinal));

    public async ValueTask InitializeAsync() => Board = await LoopbackBoard.StartAsync(new DeviceSpec { Name = "board", Kind = DeviceKind.Loopback }, Cancellation);

    public async ValueTask DisposeAsync()
    {
        await Board.DisposeAsync();
        Folder.Dispose();
        GC.SuppressFinalize(this);
    }

    private protected Task<SshDevice> ConnectAsync(DeviceLimits? limits = null, Func<DeviceSpec, DeviceSpec>? spec = null, Func<SshSettings, SshSettings>? settings = null) =>
        SshDevice.ConnectAsync((spec ?? (same => same))(Board.Spec), (settings ?? (same => same))(Board.Settings), limits ?? Short, Warnings.Add, Cancellation);

    /// <summary>Waits until a process is gone, or else fails.</summary>
    private protected static async Task AssertEndsAsync(int process)
    {
        var waited = Stopwatch.StartNew();
        while (IsAlive(process))
        {
            Assert.True(waited.Elapsed < TimeSpan.FromSeconds(5), $"process {process} is still there");
            await Task.Delay(20, Cancellation);
        }
    }

    /// <summary>The process that started this one: for an agent, the SSH server's of its connection.</summary>
    private protected static int Parent(int process) => int.Parse(Stat(process)[1], CultureInfo.InvariantCulture);

    private static bool IsAlive(int process) => Directory.Exists($"/proc/{process}") && Stat(process)[0] != "Z";

    private static string CommandLine(int process)
    {
        try
        {
            return File.ReadAllText($"/proc/{process}/cmdline");
        }
        catch (IOException)
        {
            return ""; // gone between two looks
        }
    }

    /// <summary>Fields of proc(5)'s stat from the state on.</summary>
    private static string[] Stat(int process)
    {
        try
        {
            var text = File.ReadAllText($"/proc/{process}/stat");
            return text[(text.LastIndexOf(')') + 2)..].Split(' ');
        }
        catch (IOException)
        {
            return ["Z", "0"]; // gone between two looks
        }
    }
}
