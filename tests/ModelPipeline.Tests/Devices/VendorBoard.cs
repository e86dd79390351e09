using ModelPipeline.Devices;
using ModelPipeline.Manifest;

namespace ModelPipeline.Tests.Devices;

/// <summary>A board that is this machine but for its NPU: an SSH server, the agent for linux-arm64, the vendor's own runtime, and a library
/// that answers for the kernel driver.</summary>
internal sealed class VendorBoard : IAsyncDisposable
{
    private const string Variable = "MODELPIPELINE_VENDOR_RUNTIME";
    private const string Compiler = "aarch64-linux-gnu-g++";

    private readonly TemporaryFolder folder;
    private readonly LoopbackBoard board;

    private VendorBoard(TemporaryFolder folder, LoopbackBoard board, string runtime)
    {
        (this.folder, this.board) = (folder, board);
        Spec = board.Spec with { Kind = DeviceKind.Ssh, RuntimeLibrary = runtime, AllowOldRuntime = true };
    }

    /// <summary>Of kind ssh, as a board is declared.</summary>
    public DeviceSpec Spec { get; }

    public SshSettings Settings => board.Settings;

    /// <summary>A line for each job that the driver got.</summary>
    public IReadOnlyList<string> Jobs => File.Exists(folder.File("jobs")) ? File.ReadAllLines(folder.File("jobs")) : [];

    /// <param name="driver">Variables of native/tests/vendor/rknpu_driver.cpp, as NAME=VALUE.</param>
    public static async Task<VendorBoard> StartAsync(params IEnumerable<string> driver)
    {
        var runtime = Environment.GetEnvironmentVariable(Variable) ?? "";
        Assert.SkipUnless(
            File.Exists(runtime),
            $"{Variable} is '{runtime}', not the vendor's librknnrt.so for arm64. .ci/run takes it from ../shared/vendor."
        );
        Assert.SkipUnless(File.Exists("/usr/bin/" + Compiler), $"{Compiler} is not installed");
        var folder = new TemporaryFolder();
        var library = folder.File("librknpu-driver.so");
        Programs.Run(
            Compiler,
            "-std=c++20",
            "-O2",
            "-fvisibility=hidden",
            "-shared",
            "-fPIC",
            "-static-libstdc++",
            "-static-libgcc",
            "-o",
            library,
            Path.Combine(RepositoryFiles.Root, "native/tests/vendor/rknpu_driver.cpp")
        );
        var emulated = string.Join(',', [$"LD_PRELOAD={library}", $"RKNPU_JOBS={folder.File("jobs")}", .. driver]);
        var spec = new DeviceSpec
        {
            Name = "board",
            Kind = DeviceKind.Loopback,
            Platform = "linux-arm64",
        };
        var board = await LoopbackBoard.StartAsync(
            spec,
            TestContext.Current.CancellationToken,
            new BoardPlace { Variables = new Dictionary<string, string> { ["QEMU_SET_ENV"] = emulated } }
        );
        return new VendorBoard(folder, board, runtime);
    }

    public async ValueTask DisposeAsync()
    {
        await board.DisposeAsync();
        folder.Dispose();
    }
}
