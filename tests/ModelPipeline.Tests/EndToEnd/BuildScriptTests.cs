using ModelPipeline.Tests.Toolkit;

namespace ModelPipeline.Tests.EndToEnd;

/// <summary>What build.sh does on a Debian machine that has nothing, for a user who is not root: up to where it asks for the SDK.</summary>
[System.Runtime.Versioning.UnsupportedOSPlatform("windows")]
public sealed class BuildScriptTests : IDisposable
{
    private const UnixFileMode Anyone = (UnixFileMode)0x1FF;

    private readonly TemporaryFolder _folder = new();

    public BuildScriptTests()
    {
        File.SetUnixFileMode(_folder.Path, Anyone);
        foreach (var file in new[] { "build.sh", "global.json" })
            File.Copy(Path.Combine(RepositoryFiles.Root, file), _folder.File(file));
        foreach (var program in new[] { "bash", "env", "dirname", "cat", "tr", "sed" })
            File.CreateSymbolicLink(_folder.File(program), Path.Combine("/usr/bin", program));
        Program("apt-get", $"echo \"$DEBIAN_FRONTEND apt-get $*\" >>{Installed}");
    }

    private string Installed => _folder.File("installed");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_user_is_told_what_to_install()
    {
        var (exitCode, output) = await RunAsync(ci: false, "--target=Quantize");

        Assert.Equal(1, exitCode);
        Assert.Matches("Missing: cmake make g\\+\\+.*\\. Install them with:\n  sudo apt-get install -y cmake make g\\+\\+", output);
        Assert.False(File.Exists(Installed));
    }

    [Fact]
    public async Task A_CI_machine_with_sudo_gets_it_installed()
    {
        Program("sudo", "[[ $1 == -n ]] && shift && [[ $1 == true ]] || exec env \"$@\"");

        var (exitCode, output) = await RunAsync(ci: true, "--target=Quantize");

        Assert.Equal(1, exitCode);
        Assert.Contains("No .NET SDK", output);
        Assert.Collection(
            File.ReadAllLines(Installed),
            line => Assert.Equal(" apt-get update -qq", line),
            line => Assert.StartsWith("noninteractive apt-get install -y -qq --no-install-recommends cmake make g++", line));
    }

    [Fact]
    public async Task A_CI_machine_whose_sudo_asks_for_a_password_is_told_too()
    {
        Program("sudo", "exit 1");

        Assert.Contains("Install them with:", (await RunAsync(ci: true, "--target=Quantize")).Output);
        Assert.False(File.Exists(Installed));
    }

    [Theory]
    [InlineData("--device=simulator", "")]
    [InlineData("--device=rk3588", "g++-aarch64-linux-gnu")]
    [InlineData("--device=loopback", "g++-aarch64-linux-gnu qemu-user-static")]
    [InlineData("--target=Test", "g++-aarch64-linux-gnu qemu-user-static")]
    public async Task Only_what_the_device_needs_is_asked_for(string argument, string packages)
    {
        var wanted = (await RunAsync(ci: false, argument)).Output.Split('\n')[0];

        Assert.All(
            ["g++-aarch64-linux-gnu", "qemu-user-static"],
            package => Assert.Equal(packages.Split(' ').Contains(package), wanted.Contains(package, StringComparison.Ordinal)));
    }

    /// <summary>Another process writes it: none that this one starts meanwhile can hold it open, which would keep it from being run.</summary>
    private void Program(string name, string script) =>
        RecordedToolkit.Run("sh", "-c", "printf '#!%s/bash\\n%s\\n' \"$1\" \"$3\" >\"$1/$2\" && chmod 755 \"$1/$2\"", "sh", _folder.Path, name, script);

    private Task<(int ExitCode, string Output)> RunAsync(bool ci, string argument)
    {
        string[] command = ["env", "-i", $"PATH={_folder.Path}", $"HOME={_folder.Path}", $"CI={(ci ? "true" : "")}", "bash", _folder.File("build.sh"), argument];
        return Environment.UserName == "root"
            ? NodePackages.RunAsync(_folder.Path, "setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", .. command])
            : NodePackages.RunAsync(_folder.Path, command[0], command[1..]);
    }
}
