using ModelPipeline.Devices;
using ModelPipeline.Manifest;

namespace ModelPipeline.Tests.Devices;

/// <summary>Tests with a board of their own: sshd, agent and stand-in runtime on this machine.</summary>
public abstract class BoardTests(BoardArtifact artifact) : IClassFixture<BoardArtifact>, IAsyncLifetime
{
    /// <summary>For a busy machine; what is to run out is set shorter where that is the question.</summary>
    private protected static readonly DeviceLimits Limits = new() { Connect = TimeSpan.FromMinutes(1) };

    private protected LoopbackBoard Board { get; private set; } = null!;

    private protected TemporaryFolder Folder { get; } = new();

    /// <summary>What the device warned of.</summary>
    private protected List<string> Warnings { get; } = [];

    private protected BoardArtifact Artifact => artifact;

    private protected static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private protected string RemoteFolder => Board.Settings.RemoteFolder;

    /// <summary>Process number of the one agent that runs there.</summary>
    private protected int Agent =>
        ProcessTable
            .Running()
            .Single(process => process.CommandLine.StartsWith($"{RemoteFolder}/rknn-agent-", StringComparison.Ordinal))
            .Id;

    public async ValueTask InitializeAsync() =>
        Board = await LoopbackBoard.StartAsync(new DeviceSpec { Name = "board", Kind = DeviceKind.Loopback }, Cancellation);

    public async ValueTask DisposeAsync()
    {
        await Board.DisposeAsync();
        Folder.Dispose();
        GC.SuppressFinalize(this);
    }

    private protected Task<SshDevice> ConnectAsync(
        DeviceLimits? limits = null,
        Func<DeviceSpec, DeviceSpec>? spec = null,
        Func<SshSettings, SshSettings>? settings = null
    ) =>
        SshDevice.ConnectAsync(
            (spec ?? (same => same))(Board.Spec),
            (settings ?? (same => same))(Board.Settings),
            limits ?? Limits,
            Warnings.Add,
            Cancellation
        );

    private protected static void Signal(string name, int process) => Programs.Run("kill", $"-{name}", $"{process}");
}
