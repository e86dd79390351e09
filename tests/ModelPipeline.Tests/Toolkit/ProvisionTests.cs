using System.Security.Cryptography;
using System.Text.RegularExpressions;
using ModelPipeline.Core;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>Provisioning with the real pip, from a folder of wheels that the test packs.</summary>
public sealed partial class ProvisionTests : IDisposable
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
        Programs.Run(made.Environment.Python, "-I", "-c", "import importlib.metadata as m; assert m.version('rknn-toolkit2') == '2.3.2'");

        Directory.Delete(folder.File("wheels"), recursive: true);
        var again = await ProvisionAsync();
        Assert.True(again.Reused);
        Assert.Equal(made.Packages, again.Packages);

        File.AppendAllText(requirements, "another==1.0\n");
        Assert.NotEqual(
            made.Environment.Python,
            Path.Combine(ToolkitEnvironment.FolderOf(folder.File("cache"), requirements), "bin", "python")
        );

        Task<ProvisionedToolkit> ProvisionAsync() =>
            Provision.RunAsync(
                new(requirements, folder.File("cache")) { Wheels = folder.File("wheels") },
                cancellation: TestContext.Current.CancellationToken
            );
    }

    [Fact]
    public async Task Torch_and_OpenCV_come_when_asked_for_and_stay_then()
    {
        Wheels.Pack(folder.File("wheels"), "rknn-toolkit2", "2.3.2", requires: "torch<=2.4.0");
        Wheels.Pack(folder.File("wheels"), "opencv-python-headless", "4.10.0.84", content: Wheels.Module("cv2", "real = True"));
        foreach (var version in new[] { "2.13.0", "2.4.0" }) // by the Python that is found
            Wheels.Pack(folder.File("wheels"), "torch", version, content: Wheels.Module("torch", "real = True"));
        var requirements = folder.Write("requirements-2.3.2.txt", "rknn-toolkit2==2.3.2\n");

        var plain = await ProvisionAsync(withTorch: false);
        Assert.Equal(["rknn-toolkit2"], plain.Packages.Select(package => package.Name));

        var made = await ProvisionAsync(withTorch: true);
        Assert.False(made.Reused);
        Assert.Equal(["opencv-python-headless", "rknn-toolkit2", "torch"], made.Packages.Select(package => package.Name));
        Programs.Run(made.Environment.Python, "-I", "-c", "import cv2, torch; assert cv2.real and torch.real");

        foreach (var withTorch in new[] { true, false })
        {
            var again = await ProvisionAsync(withTorch);
            Assert.Equal((true, 3), (again.Reused, again.Packages.Count));
        }

        Task<ProvisionedToolkit> ProvisionAsync(bool withTorch) =>
            Provision.RunAsync(
                new(requirements, folder.File("cache")) { Wheels = folder.File("wheels"), WithTorch = withTorch },
                cancellation: TestContext.Current.CancellationToken
            );
    }

    [Fact]
    public async Task Only_Pythons_that_the_packages_take_are_chosen()
    {
        var bin = Directory.CreateDirectory(folder.File("bin")).FullName;
        Fake("python3", "3 13 1");
        Assert.Equal([(new Version(3, 13), false)], (await Find()).Select(python => (python.Version, python.IsSupported)));
        Fake("python3.12", "3 12 0");
        Fake("python3.10", "3 10 1");
        Fake("python3.8", "3 8 20");
        Assert.Equal(
            [new Version(3, 8), new Version(3, 10), new Version(3, 12), new Version(3, 13)],
            (await Find()).Select(python => python.Version).Order()
        );
        Fake("python3.7", "3 7 17");
        Fake("python", "no Python at all");
        Assert.Equal(4, (await Find()).Count);

        Task<IReadOnlyList<PythonInterpreter>> Find() => PythonInterpreter.FindAsync(bin, TestContext.Current.CancellationToken);

        void Fake(string name, string answer) => RecordedToolkit.Answering(Path.Combine(bin, name), answer);
    }

    [Theory]
    [InlineData("2.3.2")]
    [InlineData("2.5.0")]
    public void Each_Python_from_3_8_to_3_12_has_one_pin_of_each_package(string version)
    {
        var pins = File.ReadLines(ToolkitEnvironment.Requirements(version))
            .Select(line => Pin().Match(line))
            .Where(pin => pin.Success)
            .ToList();

        foreach (var python in Enumerable.Range(8, 5))
        {
            var serving = pins.Where(pin =>
                    !pin.Groups["minor"].Success
                    || (
                        pin.Groups["than"].Value == "<"
                            ? python < int.Parse(pin.Groups["minor"].Value)
                            : python >= int.Parse(pin.Groups["minor"].Value)
                    )
                )
                .Select(pin => pin.Groups["name"].Value)
                .ToList();
            Assert.Equal(11, serving.Count);
            Assert.Equal(serving, serving.Distinct());
        }
        Assert.Equal(File.ReadLines(ToolkitEnvironment.Requirements(version)).Count(line => !line.StartsWith('#')), pins.Count);
    }

    [Fact]
    public void The_driver_is_Python_3_8() =>
        Programs.Run(
            RecordedToolkit.SystemPython,
            "-I",
            "-c",
            "import ast, sys; ast.parse(open(sys.argv[1], encoding='utf-8').read(), feature_version=(3, 8))",
            ToolkitEnvironment.DriverPath
        );

    public void Dispose() => folder.Dispose();

    [GeneratedRegex("""^(?<name>[\w.-]+)==[\w.]+(?:; python_version (?<than><|>=) "3\.(?<minor>\d+)")?$""")]
    private static partial Regex Pin();
}
