using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using CliWrap;
using CliWrap.Buffered;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Npu;

namespace ModelPipeline.Devices;

/// <summary>
/// This machine in the place of a board: an SSH server on 127.0.0.1 with keys and settings of its own, and beside the agent the library
/// that stands in for the vendor's runtime. All of it lies in a temporary folder. Its processes end with this one however that ends; files
/// that a killed one leaves are removed by the next.
/// </summary>
internal sealed class LoopbackBoard : IAsyncDisposable
{
    private const int Attempts = 3;
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(30);
    private static readonly string[] SystemFolders = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

    /// <summary>Runs a program until its own input ends, which it does when this process is gone.</summary>
    private const string UntilInputEnds = """exec 3<&0; "$@" </dev/null & p=$!; (cat <&3; kill "$p") >/dev/null 2>&1 & wait "$p" """;

    private readonly OwnedFolder folder = new("modelpipeline-loopback-");
    private readonly List<string> log = [];
    private Process? server;

    private readonly BoardPlace place;

    private LoopbackBoard(DeviceSpec spec, BoardPlace place)
    {
        (Spec, this.place) = (spec, place);
        Settings = new SshSettings
        {
            RemoteFolder = Directory.CreateDirectory(folder["board"]).FullName,
            KnownHosts = [],
            AgentSocket = null,
        };
    }

    /// <summary>As declared, with where and how to log in.</summary>
    public DeviceSpec Spec { get; private set; }

    public SshSettings Settings { get; }

    /// <summary>What the agent locks instead of this machine's own board lock.</summary>
    public string LockFile => folder["lock"];

    /// <summary>Where the agent looks for /proc and /sys: an empty folder, so that it leaves this machine's own alone.</summary>
    public string Root => folder["machine"];

    /// <summary>Starts the server. sshd, ssh-keygen and for linux-arm64 qemu-aarch64-static must be installed.</summary>
    /// <param name="spec">What is declared.</param>
    /// <param name="cancellation">Honoured within a second.</param>
    /// <param name="place">This machine if null.</param>
    public static async Task<LoopbackBoard> StartAsync(DeviceSpec spec, CancellationToken cancellation, BoardPlace? place = null)
    {
        var board = new LoopbackBoard(spec, place ?? new BoardPlace());
        try
        {
            await board.StartAsync(cancellation).ConfigureAwait(false);
            return board;
        }
        catch
        {
            await board.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync().ConfigureAwait(false);
        await folder.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>Ends the server; connections that are open stay so.</summary>
    public async Task StopAsync()
    {
        if (server is null)
            return;
        server.StandardInput.Close();
        await server.WaitForExitAsync().ConfigureAwait(false);
        server.Dispose();
        server = null;
    }

    private async Task StartAsync(CancellationToken cancellation)
    {
        var sshd = Find("sshd", "openssh-server");
        var platform = Spec.Platform ?? SshSettings.ThisPlatform;
        Populate(platform);
        await KeyAsync("host_key", cancellation).ConfigureAwait(false);
        await KeyAsync("user_key", cancellation).ConfigureAwait(false);
        File.Copy(folder["user_key.pub"], folder["authorized_keys"]);
        if (Environment.IsPrivilegedProcess)
            Directory.CreateDirectory("/run/sshd"); // its own folder for the part without rights; the package makes it at boot
        var programs =
            platform == SshSettings.ThisPlatform
                ? "Subsystem sftp internal-sftp"
                : $"Subsystem sftp "
                    + $"{Find("sftp-server", "openssh-sftp-server", "/usr/lib/openssh", "/usr/libexec/openssh", "/usr/lib/ssh")}\n"
                    + $"ForceCommand {Emulation.Prepare(folder.Path, Find("qemu-aarch64-static", "qemu-user-static"))}";
        for (var attempt = 1; ; attempt++)
        {
            var port = FreePort();
            AtomicFile.WriteText(folder["sshd_config"], Configuration(port, programs));
            if (await ListensAsync(sshd, cancellation).ConfigureAwait(false))
            {
                Spec = Spec with
                {
                    Host = place.Address.ToString(),
                    Port = port,
                    User = Environment.UserName,
                    HostKey = KnownHosts.Fingerprint(
                        Convert.FromBase64String(
                            (await File.ReadAllTextAsync(folder["host_key.pub"], cancellation).ConfigureAwait(false)).Split(' ')[1]
                        )
                    ),
                    IdentityFile = folder["user_key"],
                    RuntimeLibrary = folder["board/librknnrt-sim.so"],
                };
                return;
            }
            if (attempt == Attempts)
                throw new PipelineException($"device '{Spec.Name}': the SSH server does not start: {string.Join(" ", log)}");
        }
    }

    /// <summary>Puts there what a board has: a runtime library, and ONNX Runtime for CPU models.</summary>
    private void Populate(string platform)
    {
        var stand = Path.Combine(Settings.Agents, platform, "librknnrt-sim.so");
        var onnxRuntime =
            platform == SshSettings.ThisPlatform
                ? OnnxRuntimeLibrary.Find()
                : Path.Combine(AppContext.BaseDirectory, "runtimes", platform, "native", "libonnxruntime.so");
        foreach (var library in new[] { stand, onnxRuntime })
        {
            if (!File.Exists(library))
                throw new PipelineException($"device '{Spec.Name}': '{library}' is missing: {SshSettings.AgentHint}.");
            File.CreateSymbolicLink(folder[Path.Combine("board", Path.GetFileName(library))], library);
        }
    }

    private string Configuration(int port, string programs) =>
        $"""
            ListenAddress {place.Address}:{port}
            HostKey {folder["host_key"]}
            AuthorizedKeysFile {folder["authorized_keys"]}
            AllowUsers {Environment.UserName}
            AuthenticationMethods publickey
            PermitRootLogin prohibit-password
            StrictModes no
            UsePAM no
            PidFile none
            PrintMotd no
            AllowTcpForwarding no
            X11Forwarding no
            SetEnv MODELPIPELINE_LOCK={LockFile} MODELPIPELINE_ROOT={Root}{string.Concat(
                place.Variables.Select(variable => $" \"{variable.Key}={variable.Value}\"")
            )}
            {programs}

            """;

    private async Task KeyAsync(string name, CancellationToken cancellation)
    {
        var made = await Cli.Wrap(Find("ssh-keygen", "openssh-client"))
            .WithArguments(["-q", "-t", "ed25519", "-N", "", "-C", "loopback", "-f", folder[name]])
            .WithValidation(CommandResultValidation.None)
            .ExecuteBufferedAsync(cancellation)
            .ConfigureAwait(false);
        if (made.ExitCode != 0)
            throw new PipelineException($"device '{Spec.Name}': ssh-keygen fails: {made.StandardError.Trim()}");
    }

    /// <summary>Starts the server; false when it ended again.</summary>
    private async Task<bool> ListensAsync(string sshd, CancellationToken cancellation)
    {
        log.Clear();
        // Not CliWrap: the server's input must stay open until this process is gone, and its output is read before it ends.
        server = Process.Start(
            new ProcessStartInfo("/bin/sh", ["-c", UntilInputEnds, "sh", .. place.Launcher, sshd, "-D", "-e", "-f", folder["sshd_config"]])
            {
                RedirectStandardInput = true,
                RedirectStandardError = true,
            }
        )!;
        var errors = server.StandardError;
        try
        {
            while (await errors.ReadLineAsync(cancellation).AsTask().WaitAsync(StartLimit, cancellation).ConfigureAwait(false) is { } line)
            {
                log.Add(line);
                if (!line.StartsWith("Server listening", StringComparison.Ordinal))
                    continue;
                _ = DrainAsync(errors);
                return true;
            }
        }
        catch (TimeoutException)
        {
            log.Add($"it says no more for {StartLimit.TotalSeconds:0} s");
        }
        await StopAsync().ConfigureAwait(false);
        return false;
    }

    /// <summary>Keeps the server's log from filling its pipe. It ends with the last connection, which may outlive the server.</summary>
    private static async Task DrainAsync(StreamReader errors)
    {
        try
        {
            while (await errors.ReadLineAsync().ConfigureAwait(false) is not null) { }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The server was disposed of.
        }
    }

    private string Find(string program, string package, params IEnumerable<string> folders) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "")
            .Split(Path.PathSeparator)
            .Concat(SystemFolders)
            .Concat(folders)
            .Select(folder => Path.Combine(folder, program))
            .FirstOrDefault(File.Exists)
        ?? throw new PipelineException(
            $"device '{Spec.Name}': {program} is missing: install it, on Debian and Ubuntu with 'apt-get install {package}'."
        );

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
