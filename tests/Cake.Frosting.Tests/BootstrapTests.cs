using CliWrap;
using CliWrap.Buffered;

namespace Cake.Frosting.Tests;

/// <summary>build.sh and .ci/run, started as a user does, in a world that holds only the programs that a test puts there.</summary>
public sealed class BootstrapTests : IDisposable
{
    private static readonly string _root = FindRoot();
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("bootstrap");

    public BootstrapTests() => Assert.SkipWhen(OperatingSystem.IsWindows(), "Shell scripts.");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task Where_there_is_no_apt_what_is_missing_is_named_and_the_run_ends()
    {
        Provide("dirname", "make", "c++");

        var (exitCode, output) = await Run($"{_root}/build.sh");

        Assert.Equal(1, exitCode);
        Assert.Contains("Missing: cmake.", output, StringComparison.Ordinal);
        Assert.Contains("dnf install cmake", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task On_Debian_root_installs_the_missing_packages_alone_and_others_are_told_the_command()
    {
        Provide("dirname", "tr", "sed", "make");
        var calls = Script("apt-get", "echo \"$DEBIAN_FRONTEND: $*\" >> \"$(dirname \"$0\")/calls\"") + "/calls";

        var (exitCode, output) = await Run($"{_root}/build.sh");

        Assert.Equal(1, exitCode);
        if (Environment.IsPrivilegedProcess)
        {
            Assert.Equal(
                ["noninteractive: update -qq", "noninteractive: install -y -qq --no-install-recommends cmake g++"],
                await File.ReadAllLinesAsync(calls, Xunit.TestContext.Current.CancellationToken)
            );
        }
        else
        {
            Assert.Contains("sudo apt-get install -y cmake g++", output, StringComparison.Ordinal);
            Assert.False(File.Exists(calls));
        }
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("--device=simulator", "")]
    [InlineData("--device=rk3588", "g++-aarch64-linux-gnu")]
    [InlineData("--device=loopback", "g++-aarch64-linux-gnu qemu-user-static")]
    [InlineData("--target=Test", "g++-aarch64-linux-gnu qemu-user-static python3")]
    public async Task Devices_and_tests_need_more(string argument, string packages)
    {
        Provide("dirname", "cmake", "make", "c++", "tr", "sed");

        var wanted = (await Run($"{_root}/build.sh", argument)).Output.Split('\n')[0].Replace(".", "", StringComparison.Ordinal).Split(' ');

        Assert.All(
            ["g++-aarch64-linux-gnu", "qemu-user-static", "python3"],
            package => Assert.Equal(packages.Split(' ').Contains(package), wanted.Contains(package))
        );
    }

    [Theory]
    [InlineData(true, "exit 1", false)]
    [InlineData(false, "exit 0", false)]
    [InlineData(true, "shift; [[ $1 == true ]] || exec /usr/bin/env SUDO=yes \"${@:2}\"", true)]
    public async Task On_a_CI_machine_sudo_installs_if_it_asks_nothing(bool ci, string sudo, bool installs)
    {
        Provide("dirname", "tr", "sed", "make");
        var calls = Script("apt-get", "echo \"$SUDO $DEBIAN_FRONTEND: $*\" >> \"$(dirname \"$0\")/calls\"") + "/calls";
        Script("sudo", sudo);
        // Another user may have no way to the repository.
        foreach (var file in new[] { "build.sh", "global.json" })
            File.Copy($"{_root}/{file}", $"{_folder}/{file}");
        await CliWrap
            .Cli.Wrap("chmod")
            .WithArguments(["-R", "777", _folder.FullName])
            .ExecuteAsync(Xunit.TestContext.Current.CancellationToken);

        var (exitCode, output) = await Run($"{_folder}/build.sh", "", ci, asNobody: true);

        Assert.Equal(1, exitCode);
        Assert.Equal(!installs, output.Contains("sudo apt-get install -y cmake g++", StringComparison.Ordinal));
        Assert.Equal(
            installs ? ["yes noninteractive: update -qq", "yes noninteractive: install -y -qq --no-install-recommends cmake g++"] : [],
            File.Exists(calls) ? File.ReadAllLines(calls) : []
        );
    }

    [Fact]
    public async Task Without_the_dotnet_sdk_one_message_names_the_version_and_where_to_get_it()
    {
        Provide("dirname", "tr", "sed", "cmake", "make", "c++");

        var (exitCode, output) = await Run($"{_root}/build.sh");

        Assert.Equal(1, exitCode);
        Assert.StartsWith("No .NET SDK that global.json accepts (10.0.", output, StringComparison.Ordinal);
        Assert.Contains("https://dotnet.microsoft.com/download", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task It_builds_what_has_changed_and_runs_in_the_callers_folder()
    {
        Assert.SkipUnless(File.Exists("/usr/include/nlohmann/json.hpp"), "build.sh would install nlohmann-json3-dev.");
        Provide("dirname", "find", "cksum", "sort", "cat", "mkdir", "touch", "cmake", "make", "c++");
        Script(
            "dotnet",
            """
            case $1 in
              --version) echo 10.0.100 ;;
              build) echo build >>builds && mkdir -p build/obj build/bin/Release/net10.0 && touch build/bin/Release/net10.0/{Build,Cake.Frosting,ModelPipeline}.dll ;;
              *) printf '%s\n' "$PWD" "$@" ;;
            esac
            """
        );
        var root = _folder.CreateSubdirectory("root").FullName;
        var caller = _folder.CreateSubdirectory("caller").FullName;
        foreach (var folder in new[] { "build", "src", "native", "pipeline/schema", "pipeline/sample/tiny-reranker" })
            Directory.CreateDirectory(Path.Combine(root, folder));
        foreach (var file in new[] { "build.sh", "global.json", "Directory.Build.props" })
            File.Copy(Path.Combine(_root, file), Path.Combine(root, file));
        var host = Path.Combine(root, "build/bin/Release/net10.0/Build.dll");

        Assert.Equal(
            [caller, host, $"--manifest={root}/models.yaml", $"--artifacts={root}/artifacts", "--tree", ""],
            (await Run($"{root}/build.sh", "--tree", from: caller)).Output.Split('\n')
        );
        Assert.Equal(
            [caller, host, "--manifest=my.yaml", "--artifacts=out", ""],
            (await Run($"{root}/build.sh", "--manifest=my.yaml --artifacts=out", from: caller)).Output.Split('\n')
        );
        Assert.Equal(
            [caller, host, "--target=New", "--from=m", ""],
            (await Run($"{root}/build.sh", "--target=New --from=m", from: caller)).Output.Split('\n')
        );
        await File.WriteAllTextAsync(Path.Combine(caller, "models.yaml"), "", Xunit.TestContext.Current.CancellationToken);
        Assert.Equal([caller, host, "--tree", ""], (await Run($"{root}/build.sh", "--tree", from: caller)).Output.Split('\n'));
        Assert.Equal([root, host, "--tree", ""], (await Run($"{root}/build.sh", "--tree", from: root)).Output.Split('\n'));
        Assert.Single(await BuildsAsync());

        await File.WriteAllTextAsync(
            Path.Combine(root, "pipeline/sample/tiny-reranker/text"),
            "is read from there",
            Xunit.TestContext.Current.CancellationToken
        );
        await Run($"{root}/build.sh", from: root);
        Assert.Single(await BuildsAsync());

        await File.WriteAllTextAsync(
            Path.Combine(root, "pipeline/schema/models.schema.json"),
            "{}",
            Xunit.TestContext.Current.CancellationToken
        );
        await Run($"{root}/build.sh", from: root);
        Assert.Equal(2, (await BuildsAsync()).Length);

        Task<string[]> BuildsAsync() => File.ReadAllLinesAsync(Path.Combine(root, "builds"), Xunit.TestContext.Current.CancellationToken);
    }

    [Theory]
    [InlineData("echo '12 passed, 0 failed' > artifacts/tests/summary.txt", 0, "12 passed, 0 failed")]
    [InlineData("echo '11 passed, 1 failed' > artifacts/tests/summary.txt; exit 1", 1, "11 passed, 1 failed")]
    [InlineData("echo '11 passed, 1 failed' > artifacts/tests/summary.txt", 1, "11 passed, 1 failed")]
    [InlineData("echo '12 passed, 0 failed' > artifacts/tests/summary.txt; exit 3", 3, "12 passed, 0 failed")]
    [InlineData("echo broken > artifacts/tests/summary.txt", 1, "0 passed, 1 failed")]
    [InlineData("exit 2", 1, "0 passed, 1 failed")]
    public async Task The_last_line_of_ci_is_the_count_of_tests(string host, int expectedExitCode, string expectedLine)
    {
        Provide("dirname", "rm", "tail", "mkdir", "bash");
        _folder.CreateSubdirectory(".ci");
        File.Copy($"{_root}/.ci/run", $"{_folder}/.ci/run");
        Script("../build.sh", $"[[ $CI-$1 == true---target=Test ]] || exit 9; echo noise; mkdir -p artifacts/tests; {host}");

        var (exitCode, output) = await Run($"{_folder}/.ci/run");

        Assert.Equal(expectedExitCode, exitCode);
        Assert.Equal(expectedLine, output.TrimEnd('\n').Split('\n')[^1]);
    }

    private void Provide(params string[] programs)
    {
        var bin = _folder.CreateSubdirectory("bin");
        foreach (var program in programs)
        {
            var target = Environment
                .GetEnvironmentVariable("PATH")!
                .Split(':')
                .Select(folder => Path.Combine(folder, program))
                .First(File.Exists);
            File.CreateSymbolicLink(Path.Combine(bin.FullName, program), target);
        }
    }

    /// <returns>The folder that programs are provided in.</returns>
    private string Script(string name, string body)
    {
        var bin = Path.Combine(_folder.FullName, "bin");
        var path = Path.Combine(bin, name);
        // Another process writes it: none that this one starts meanwhile can hold it open, which would keep it from being run.
        CliWrap
            .Cli.Wrap("/bin/sh")
            .WithArguments(["-c", "printf '#!/bin/bash\\n%s\\n' \"$1\" >\"$0\" && chmod 755 \"$0\"", path, body])
            .ExecuteAsync()
            .GetAwaiter()
            .GetResult();
        return bin;
    }

    private async Task<(int ExitCode, string Output)> Run(
        string script,
        string argument = "",
        bool ci = false,
        bool asNobody = false,
        string from = ""
    )
    {
        string[] user =
            asNobody && Environment.IsPrivilegedProcess
                ? ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/env"]
                : ["/usr/bin/env"];
        string[] variables =
        [
            $"PATH={Path.Combine(_folder.FullName, "bin")}",
            $"HOME={_folder.FullName}",
            .. ci ? ["CI=true"] : Array.Empty<string>(),
        ];
        var run = await CliWrap
            .Cli.Wrap(user[0])
            .WithArguments([.. user[1..], "-i", .. variables, "/bin/bash", "-c", "exec /bin/bash \"$0\" $1 2>&1", script, argument])
            .WithWorkingDirectory(from)
            .WithValidation(CommandResultValidation.None)
            .ExecuteBufferedAsync(Xunit.TestContext.Current.CancellationToken);
        return (run.ExitCode, run.StandardOutput);
    }

    private static string FindRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "global.json")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("The tests run inside the repository.");
        return folder;
    }
}
