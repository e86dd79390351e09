using System.Net.Sockets;
using ModelPipeline.Core;
using ModelPipeline.Devices;
using ModelPipeline.Manifest;
using ModelPipeline.Npu;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Stages;

/// <summary>One thing that a declared backend, device or release needs.</summary>
/// <param name="For">What needs it, as in models.yaml: <c>backend rknn</c>, <c>device board</c>, <c>release</c>.</param>
/// <param name="Need">What it is.</param>
/// <param name="Found">What is there; empty if nothing.</param>
/// <param name="Fix">The command or setting that mends it; null if all is well.</param>
public sealed record Finding(string For, string Need, string Found, string? Fix)
{
    public bool IsWell => Fix is null;
}

/// <summary>Looks at this machine for what models.yaml declares. Changes nothing.</summary>
/// <param name="manifest">Declares backends, devices and releases.</param>
/// <param name="cache">The pipeline's cache folder.</param>
/// <param name="variable">Reads the environment.</param>
public sealed class Doctor(ModelsManifest manifest, string cache, Func<string, string?> variable)
{
    /// <summary>What boards are.</summary>
    private const string Arm64 = "linux-arm64";

    private const string Provisioning = "./build.sh --target=Provision";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(3);

    /// <summary>Where servers lie, which is on the PATH of administrators alone.</summary>
    private static readonly string[] ServerFolders =
    [
        "/usr/sbin",
        "/usr/local/sbin",
        "/sbin",
        "/usr/lib/openssh",
        "/usr/libexec/openssh",
        "/usr/lib/ssh",
    ];

    /// <summary>All findings, backends first. The machine is well if all of them are.</summary>
    public async Task<IReadOnlyList<Finding>> ExamineAsync(CancellationToken cancellation = default)
    {
        List<Finding> findings = [.. IsSourceTree() ? Building() : [], .. Native()];
        foreach (
            var variant in ToolkitEnvironment
                .VariantsOf(manifest)
                .DistinctBy(variant => (variant.Toolkit, variant.ToolkitPython))
                .OrderBy(variant => variant.Toolkit, StringComparer.Ordinal)
        )
            findings.AddRange(await ToolkitAsync(variant, cancellation).ConfigureAwait(false));
        foreach (var device in manifest.Devices.Values)
            findings.AddRange(await DeviceAsync(device, cancellation).ConfigureAwait(false));
        if (manifest.Models.Any(model => model.Release.Repository is not null))
            findings.Add(Token());
        return findings;
    }

    /// <summary>A published host is built already.</summary>
    private static bool IsSourceTree()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "ModelPipeline.sln")))
                return true;
        }
        return false;
    }

    private IEnumerable<Finding> Building() =>
        [
            Program("build", ".NET SDK", "dotnet", "curl -sSL https://dot.net/v1/dotnet-install.sh | bash -s -- --jsonfile global.json"),
            Program("build", "CMake", "cmake", "apt-get install cmake"),
            Program("build", "make", "make", "apt-get install make"),
            Program("build", "C++ compiler", variable("CXX") is { Length: > 0 } named ? named : "c++", "apt-get install g++"),
        ];

    private static IEnumerable<Finding> Native()
    {
        yield return Try(
            "backend simulator",
            "native shim",
            () =>
            {
                NativeShim.Require();
                return "librknnshim.so";
            },
            "dotnet build build"
        );
        yield return OnnxRuntimeLibrary.Find() is { } library
            ? new Finding("backend simulator", "ONNX Runtime", Path.GetFileName(library), null)
            : new Finding("backend simulator", "ONNX Runtime", "", "dotnet restore");
    }

    private async Task<IReadOnlyList<Finding>> ToolkitAsync(VariantSpec variant, CancellationToken cancellation)
    {
        var subject = $"backend rknn (toolkit {variant.Toolkit})";
        List<Finding> findings = [];
        if (!ToolkitEnvironment.NamedBy(variant, variable).Any())
        {
            var found = (await PythonInterpreter.FindAsync(variable("PATH") ?? "", cancellation).ConfigureAwait(false)).FirstOrDefault();
            findings.Add(
                new Finding(
                    subject,
                    $"Python {PythonInterpreter.Oldest} to {PythonInterpreter.Newest}",
                    found?.Version.ToString() ?? "",
                    found?.IsSupported == true ? null : "apt-get install python3 (Debian 12), or put a python3.11 on the PATH"
                )
            );
            findings.Add(
                new Finding(
                    subject,
                    "Python's venv module",
                    found?.HasVenv == true ? "venv" : "",
                    found?.HasVenv == true ? null : "apt-get install python3-venv"
                )
            );
        }
        try
        {
            var environment = await ToolkitEnvironment.FindAsync(variant, cache, variable, cancellation).ConfigureAwait(false);
            findings.Add(
                Judge(
                    subject,
                    environment.Python,
                    await InstalledToolkit.OfAsync(environment.Python, import: true, cancellation).ConfigureAwait(false)
                )
            );
        }
        catch (PipelineException failure)
        {
            findings.Add(
                new Finding(
                    subject,
                    "rknn-toolkit2",
                    "",
                    failure.ExitCode == PipelineException.ConfigurationError ? failure.Message : Provisioning
                )
            );
        }
        return findings;
    }

    /// <summary>Which Python is used, with its versions, and what an import of the toolkit says.</summary>
    private static Finding Judge(string subject, string python, InstalledToolkit? installed)
    {
        if (installed?.Error is { } error)
        {
            var failure = ToolkitFailure.Of("import", error, "");
            return new Finding(
                subject,
                "rknn-toolkit2",
                $"{python}: {installed.Versions}; importing it fails: {failure.Reason}",
                failure.Hint ?? Provisioning
            );
        }
        return installed is null
            ? new Finding(subject, "rknn-toolkit2", $"{python} does not run", Provisioning)
            : new Finding(subject, "rknn-toolkit2", $"{python}: {installed.Versions}", null);
    }

    private async Task<IReadOnlyList<Finding>> DeviceAsync(DeviceSpec device, CancellationToken cancellation) =>
        device.Kind switch
        {
            DeviceKind.Local => [Runtime(device), Board(device)],
            DeviceKind.Ssh =>
            [
                Agent(device, Arm64),
                HostKey(device),
                Identity(device),
                await ReachableAsync(device, cancellation).ConfigureAwait(false),
            ],
            DeviceKind.Loopback => Loopback(device, device.Platform ?? SshSettings.ThisPlatform),
            DeviceKind.Simulator => [],
        };

    /// <summary>An SSH server, what boards run, and an emulator where that is for another kind of processor.</summary>
    private IReadOnlyList<Finding> Loopback(DeviceSpec device, string platform)
    {
        var subject = $"device {device.Name}";
        Finding[] findings =
        [
            Program(subject, "SSH server", "sshd", "apt-get install openssh-server", ServerFolders),
            Program(subject, "ssh-keygen", "ssh-keygen", "apt-get install openssh-client"),
            Agent(device, platform),
        ];
        return platform == SshSettings.ThisPlatform
            ? findings
            :
            [
                .. findings,
                Program(subject, "emulator", "qemu-aarch64-static", "apt-get install qemu-user-static"),
                Present(subject, "libraries for emulated programs", "/usr/aarch64-linux-gnu/lib", "apt-get install g++-aarch64-linux-gnu"),
                Program(subject, "SFTP server", "sftp-server", "apt-get install openssh-sftp-server", ServerFolders),
            ];
    }

    /// <summary>The agent for a platform, which the build makes where it finds the compiler.</summary>
    private static Finding Agent(DeviceSpec device, string platform) =>
        Present(
            $"device {device.Name}",
            $"agent for {platform}",
            Path.Combine(AppContext.BaseDirectory, "agents", platform, "rknn-agent"),
            platform == SshSettings.ThisPlatform ? "dotnet build build" : "apt-get install g++-aarch64-linux-gnu"
        );

    private static Finding Runtime(DeviceSpec device)
    {
        var (subject, need) = ($"device {device.Name}", "librknnrt.so");
        try
        {
            return Present(
                subject,
                need,
                InProcessDevice.RuntimeLibraryOf(device),
                "copy librknnrt.so of the toolkit's version to /usr/lib, or name it in the device's 'runtime_library'"
            );
        }
        catch (PipelineException)
        {
            return new Finding(subject, need, "", "mend the native shim, which looks for it");
        }
    }

    private static Finding Board(DeviceSpec device)
    {
        const string Tree = "/proc/device-tree/compatible";
        var compatible = File.Exists(Tree) ? File.ReadAllText(Tree).Replace('\0', ' ').Trim() : "";
        return new Finding(
            $"device {device.Name}",
            "Rockchip board",
            compatible,
            compatible.Contains("rockchip", StringComparison.Ordinal)
                ? null
                : "run on the board itself, or declare the device as 'kind: ssh'"
        );
    }

    private Finding HostKey(DeviceSpec device)
    {
        var subject = $"device {device.Name}";
        if (device.HostKey is { } pinned)
            return new Finding(subject, "host key", pinned, null);
        var known = Path.Combine(variable("HOME") ?? "/", ".ssh", "known_hosts");
        return File.Exists(known)
            ? new Finding(subject, "host key", known, null)
            : new Finding(
                subject,
                "host key",
                "",
                $"ssh-keyscan -p {device.Port} {device.Host} >> ~/.ssh/known_hosts, after comparing it with the board's own"
            );
    }

    private Finding Identity(DeviceSpec device)
    {
        var subject = $"device {device.Name}";
        if (device.IdentityFile is { } key)
            return File.Exists(key)
                ? new Finding(subject, "key", key, null)
                : new Finding(
                    subject,
                    "key",
                    "",
                    $"ssh-keygen -t ed25519 -f '{key}', then ssh-copy-id -i '{key}' -p {device.Port} {device.User}@{device.Host}"
                );
        return variable("SSH_AUTH_SOCK") is { Length: > 0 } agent
            ? new Finding(subject, "key", "ssh-agent", null)
            : new Finding(subject, "key", "", "ssh-add, or name a key in the device's 'identity_file'");
    }

    private static async Task<Finding> ReachableAsync(DeviceSpec device, CancellationToken cancellation)
    {
        var (subject, place) = ($"device {device.Name}", $"{device.Host}:{device.Port}");
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(Patience);
        try
        {
            using var client = new TcpClient();
            await client.ConnectAsync(device.Host!, device.Port, limit.Token).ConfigureAwait(false);
            return new Finding(subject, "reachable", place, null);
        }
        catch (Exception failure) when (failure is SocketException or OperationCanceledException && !cancellation.IsCancellationRequested)
        {
            return new Finding(subject, "reachable", "", $"switch it on and check 'host' and 'port' ({place})");
        }
    }

    private Finding Token() =>
        new[] { "GITHUB_TOKEN", "GH_TOKEN" }.FirstOrDefault(name => variable(name) is { Length: > 0 }) is { } name
            ? new Finding("release", "GitHub token", name, null)
            : new Finding("release", "GitHub token", "", "export GITHUB_TOKEN with a fine-grained token: contents, read and write");

    private Finding Program(string subject, string need, string program, string fix, params IEnumerable<string> folders)
    {
        var path = Path.IsPathRooted(program)
            ? program
            : (variable("PATH") ?? "")
                .Split(':')
                .Where(folder => folder.Length > 0)
                .Concat(folders)
                .Select(folder => Path.Combine(folder, program))
                .FirstOrDefault(File.Exists);
        return Present(subject, need, path, fix);
    }

    private static Finding Present(string subject, string need, string? path, string fix) =>
        Path.Exists(path) ? new Finding(subject, need, path, null) : new Finding(subject, need, "", fix);

    private static Finding Try(string subject, string need, Func<string> look, string fix)
    {
        try
        {
            return new Finding(subject, need, look(), null);
        }
        catch (PipelineException failure)
        {
            return new Finding(subject, need, failure.Message, fix);
        }
    }
}
