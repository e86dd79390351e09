using System.Security.Cryptography;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>Provisioning with the real pip, from a folder of wheels that the test packs.</summary>
public sealed class ProvisionTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Fact]
    public async Task Wheels_of_a_folder_become_an_environment_that_is_locked_and_used_again()
    {
        var wheel = Wheels.Pack(folder.File("wheels"), "rknn-toolkit2", "2.3.2", requires: "torch<=2.4.0");
        var requirements = folder.Write("requirements-2.3.2.txt", "# pins\nrknn-toolkit2==2.3.2\ntinydependency==1.0  # with a remark\n");

        // Interrupted: one package cannot be had.
        var failure = await Assert.ThrowsAsync<PipelineException>(ProvisionAsync);
        Assert.Contains("No matching distribution found for tinydependency==1.0", failure.Message);
        Assert.Contains("folder of wheels", failure.Message);

        Wheels.Pack(folder.File("wheels"), "tinydependency", "1.0");
        var made = await ProvisionAsync();
        Assert.False(made.Reused);
        Assert.Equal(["rknn-toolkit2 2.3.2", "tinydependency 1.0"], made.Packages.Select(package => $"{package.Name} {package.Version}"));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(wheel))), made.Packages[0].Sha256);
        RecordedToolkit.Run(made.Environment.Python, "-I", "-c", "import importlib.metadata as m; assert m.version('rknn-toolkit2') == '2.3.2'");

        Directory.Delete(folder.File("wheels"), recursive: true);
        var again = await ProvisionAsync();
        Assert.True(again.Reused);
        Assert.Equal(made.Packages, again.Packages);

        File.AppendAllText(requirements, "another==1.0\n");
        Assert.NotEqual(made.Environment.Python, Path.Combine(ToolkitEnvironment.FolderOf(folder.File("cache"), requirements), "bin", "python"));

        Task<ProvisionedToolkit> ProvisionAsync() =>
            Provision.RunAsync(requirements, folder.File("cache"), folder.File("wheels"), cancellation: TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Only_Pythons_that_the_packages_take_are_chosen()
    {
        var bin = Directory.CreateDirectory(folder.File("bin")).FullName;
        Fake("python3", "3 13 1");
        Assert.Equal([(new Version(3, 13), false)], (await Find()).Select(python => (python.Version, python.IsSupported)));
        Fake("python3.12", "3 12 0");
        Fake("python3.10", "3 10 1");
        Assert.Equal([new Version(3, 10), new Version(3, 12), new Version(3, 13)], (await Find()).Select(python => python.Version));
        Fake("python", "no Python at all");
        Assert.Equal(3, (await Find()).Count);

        Task<IReadOnlyList<PythonInterpreter>> Find() => PythonInterpreter.FindAsync(bin, TestContext.Current.CancellationToken);

        void Fake(string name, string answer) => RecordedToolkit.Answering(Path.Combine(bin, name), answer);
    }

    public void Dispose() => folder.Dispose();
}
