using System.Net;
using System.Net.Sockets;
using ModelPipeline.Manifest;
using ModelPipeline.Stages;
using ModelPipeline.Tests.Toolkit;

namespace ModelPipeline.Tests.Stages;

public sealed class DoctorTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly Dictionary<string, string> variables = new() { ["PATH"] = Environment.GetEnvironmentVariable("PATH") ?? "" };

    [Fact]
    public async Task It_says_which_Python_is_used_with_its_versions_and_whether_the_toolkit_can_be_imported()
    {
        using var recorded = new RecordedToolkit();
        variables["MODELPIPELINE_TOOLKIT_PYTHON"] = recorded.Python;

        var well = Assert.Single(await ExamineAsync(Backend.Rknn), finding => finding.For == "backend rknn (toolkit 2.3.2)");
        Assert.Equal(("rknn-toolkit2", null), (well.Need, well.Fix));
        Assert.StartsWith($"{recorded.Python}: rknn-toolkit2 2.3.2, Python 3.", well.Found);

        // As with setuptools 80, which dropped it.
        recorded.Break("No module named 'pkg_resources'");
        var ill = Assert.Single(await ExamineAsync(Backend.Rknn), finding => finding.For == "backend rknn (toolkit 2.3.2)");
        Assert.EndsWith("importing it fails: ModuleNotFoundError: No module named 'pkg_resources'", ill.Found);
        Assert.Contains("run the target Provision, which pins setuptools<80", ill.Fix);
    }

    [Fact]
    public async Task A_machine_without_Python_or_with_one_that_is_too_new_learns_what_to_install()
    {
        variables["PATH"] = Directory.CreateDirectory(folder.File("bin")).FullName;
        Assert.Contains(await ExamineAsync(Backend.Rknn), finding => finding is { Need: "Python 3.8 to 3.12", Found: "", Fix: not null });
        Assert.Contains(await ExamineAsync(Backend.Rknn), finding => finding is { Need: "C++ compiler", Fix: "apt-get install g++" });

        RecordedToolkit.Answering(folder.File("bin/python3"), "3 13 0");
        Assert.Contains(
            await ExamineAsync(Backend.Rknn),
            finding => finding is { Need: "Python 3.8 to 3.12", Found: "3.13", Fix: not null }
        );
        Assert.Contains(
            await ExamineAsync(Backend.Rknn),
            finding => finding is { Need: "Python's venv module", Fix: "apt-get install python3-venv" }
        );
        Assert.Contains(
            await ExamineAsync(Backend.Rknn),
            finding => finding is { Need: "rknn-toolkit2", Found: "", Fix: "./build.sh --target=Provision" }
        );
    }

    [Fact]
    public async Task Backends_that_nobody_declared_are_not_looked_for()
    {
        Assert.DoesNotContain(await ExamineAsync(Backend.Simulator), finding => finding.For.Contains("rknn"));
        Assert.All(
            (await ExamineAsync(Backend.Simulator)).Where(finding => finding.For == "backend simulator"),
            finding => Assert.True(finding.IsWell, finding.ToString())
        );
    }

    [Fact]
    public async Task A_board_that_answers_is_well_and_one_that_does_not_says_how_it_was_called()
    {
        using var server = new TcpListener(IPAddress.Loopback, 0);
        server.Start();
        var device = new DeviceSpec
        {
            Name = "board",
            Kind = DeviceKind.Ssh,
            Host = "127.0.0.1",
            Port = ((IPEndPoint)server.LocalEndpoint).Port,
            User = "rock",
            HostKey = "SHA256:x",
            IdentityFile = folder.Write("key", ""),
        };

        Assert.All(
            (await ExamineAsync(Backend.Simulator, device)).Where(finding => finding.For == "device board"),
            finding => Assert.True(finding.IsWell, finding.ToString())
        );
        var findings = await ExamineAsync(Backend.Simulator, device with { Port = 1, HostKey = null, IdentityFile = folder.File("gone") });
        Assert.Equal(
            ["host key", "key", "reachable"],
            findings.Where(finding => finding is { For: "device board", IsWell: false }).Select(finding => finding.Need)
        );
        Assert.Contains(findings, finding => finding.Fix == "switch it on and check 'host' and 'port' (127.0.0.1:1)");
    }

    [Fact]
    public async Task This_machine_in_a_boards_place_needs_an_SSH_server_and_the_agent_and_says_which_packages_bring_what_is_missing()
    {
        var (native, arm64) = (
            new DeviceSpec { Name = "near", Kind = DeviceKind.Loopback },
            new DeviceSpec
            {
                Name = "near",
                Kind = DeviceKind.Loopback,
                Platform = "linux-arm64",
            }
        );
        Assert.Equal(["SSH server", "ssh-keygen", "agent for linux-x64"], (await OfDeviceAsync(native)).Select(finding => finding.Need));
        Assert.All(await OfDeviceAsync(native), finding => Assert.True(finding.IsWell, finding.ToString()));
        Assert.All(await OfDeviceAsync(arm64), finding => Assert.True(finding.IsWell, finding.ToString()));

        variables["PATH"] = Directory.CreateDirectory(folder.File("bin")).FullName;
        Assert.Equal(
            [("ssh-keygen", "apt-get install openssh-client"), ("emulator", "apt-get install qemu-user-static")],
            (await OfDeviceAsync(arm64)).Where(finding => !finding.IsWell).Select(finding => (finding.Need, finding.Fix))
        );

        async Task<IEnumerable<Finding>> OfDeviceAsync(DeviceSpec device) =>
            (await ExamineAsync(Backend.Simulator, device)).Where(finding => finding.For == "device near");
    }

    [Fact]
    public async Task On_the_board_itself_the_runtime_is_where_the_device_says_or_where_the_shim_finds_it()
    {
        var here = new DeviceSpec
        {
            Name = "here",
            Kind = DeviceKind.Local,
            RuntimeLibrary = folder.Write("librknnrt.so", ""),
        };
        Assert.Equal(here.RuntimeLibrary, (await RuntimeAsync(here)).Found);

        var gone = await RuntimeAsync(here with { RuntimeLibrary = folder.File("gone.so") });
        Assert.Equal("", gone.Found);
        Assert.Contains("or name it in the device's 'runtime_library'", gone.Fix);

        // Of this machine: what it has, or nothing.
        var own = await RuntimeAsync(here with { RuntimeLibrary = null });
        Assert.Equal(own.IsWell, File.Exists(own.Found));

        async Task<Finding> RuntimeAsync(DeviceSpec device) =>
            Assert.Single(
                await ExamineAsync(Backend.Simulator, device),
                finding => finding is { For: "device here", Need: "librknnrt.so" }
            );
    }

    [Fact]
    public async Task A_release_needs_a_token_that_is_never_shown()
    {
        var without = await ExamineAsync(Backend.Simulator, release: true);
        Assert.Contains(without, finding => finding is { For: "release", Fix: not null });

        variables["GH_TOKEN"] = "a-secret";
        var with = await ExamineAsync(Backend.Simulator, release: true);
        Assert.Contains(with, finding => finding is { For: "release", Found: "GH_TOKEN", Fix: null });
        Assert.DoesNotContain(with, finding => finding.ToString().Contains("a-secret"));
    }

    public void Dispose() => folder.Dispose();

    private Task<IReadOnlyList<Finding>> ExamineAsync(Backend backend, DeviceSpec? device = null, bool release = false)
    {
        var repository = ModelsYaml.Load(Path.GetFullPath(RepositoryFiles.Sample("../../models.yaml")), new ManifestOverrides(), _ => null);
        var model = repository.Models[0];
        var manifest = repository with
        {
            Devices = device is null ? new Dictionary<string, DeviceSpec>() : new Dictionary<string, DeviceSpec> { [device.Name] = device },
            Models =
            [
                model with
                {
                    Variants = [.. model.Variants.Select(variant => variant with { Backend = backend })],
                    Release = new ReleaseSpec { Repository = release ? "a/b" : null },
                },
            ],
        };
        return new Doctor(manifest, folder.File("cache"), variables.GetValueOrDefault).ExamineAsync(TestContext.Current.CancellationToken);
    }
}
