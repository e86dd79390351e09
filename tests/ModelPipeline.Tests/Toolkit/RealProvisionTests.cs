using ModelPipeline.Manifest;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>
/// Provisioning from the vendor's own wheels, with the pins as they are and without an index. Of what the toolkit uses besides, wheels of
/// the pinned names and versions point to Debian's packages.
/// </summary>
public sealed class RealProvisionTests(ConversionFiles files) : IClassFixture<ConversionFiles>, IDisposable
{
    private const string DebianPackages = "/usr/lib/python3/dist-packages";

    private readonly TemporaryFolder folder = new();

    [Theory]
    [InlineData("2.3.2")]
    [InlineData("2.5.0")]
    public async Task What_was_provisioned_without_torch_and_OpenCV_builds_a_model(string version)
    {
        var archive = Shared("toolkit/wheels.tar.xz");
        var other = await RealToolkit.OfAsync(version);
        var wheels = Directory.CreateDirectory(folder.File("wheels")).FullName;
        Programs.Run("tar", "-C", wheels, "-xJf", archive);
        var pins = File.ReadLines(ToolkitEnvironment.Requirements(version))
            .Where(line => !line.StartsWith('#') && !line.Contains('<'))
            .Select(line => line.Split(';')[0].Split("=="));
        foreach (var pin in pins.Where(pin => Directory.GetFiles(wheels, $"{pin[0].Replace('-', '_')}-*.whl").Length == 0))
            Wheels.Pack(
                wheels,
                pin[0],
                pin[1],
                content: pin[0] == "setuptools" ? SetupTools(other) : Wheels.Pointer(pin[0], DebianPackages)
            );
        foreach (var name in new[] { "coloredlogs", "packaging", "sympy" })
            Wheels.Pack(wheels, name, "99.0", content: Wheels.Pointer(name, DebianPackages));
        List<string> told = [];

        var made = await Provision.RunAsync(
            new(ToolkitEnvironment.Requirements(version), folder.File("cache")) { Wheels = wheels, Tell = told.Add },
            cancellation: Cancellation
        );

        Assert.Contains($"rknn-toolkit2 {version}, ", string.Join('\n', told));
        Assert.Contains(
            told,
            line => line.StartsWith("installing ", StringComparison.Ordinal) && line.EndsWith(" MB packed", StringComparison.Ordinal)
        );
        Assert.DoesNotContain(made.Packages, package => package.Name is "torch" or "opencv-python-headless");
        Assert.Null((await InstalledToolkit.OfAsync(made.Environment.Python, import: true, Cancellation))!.Error);
        Assert.Equal(File.ReadAllBytes(await BuildAsync(other, "other")), File.ReadAllBytes(await BuildAsync(made.Environment, "own")));

        async Task<string> BuildAsync(ToolkitEnvironment environment, string name)
        {
            var request = new ToolkitRequest
            {
                Environment = environment,
                Source = files.Prepared,
                Artifact = folder.File($"{name}.rknn"),
                Variant = new VariantSpec
                {
                    Name = name,
                    Backend = Backend.Rknn,
                    Precision = Precision.Fp16,
                    Toolkit = version,
                    Rewrites = [],
                    Gates = [],
                },
            };
            await ToolkitConversion.RunAsync(request, cancellation: Cancellation);
            return request.Artifact;
        }
    }

    public void Dispose() => folder.Dispose();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static string Shared(string name)
    {
        var root = Environment.GetEnvironmentVariable(Text.SharedFixtures.Variable) is { Length: > 0 } named
            ? named
            : Path.Combine(RepositoryFiles.Root, "..", "shared");
        var path = Path.Combine(root, name);
        Assert.SkipUnless(
            File.Exists(path),
            $"needs ../shared beside the project, or its path in {Text.SharedFixtures.Variable}: {name} is missing"
        );
        return path;
    }

    /// <summary>pkg_resources and its package as the other environment has them.</summary>
    private static Dictionary<string, byte[]> SetupTools(ToolkitEnvironment other)
    {
        var packages = Path.Combine(
            Directory.EnumerateDirectories(Path.Combine(Path.GetDirectoryName(other.Python)!, "..", "lib"), "python3*").Single(),
            "site-packages"
        );
        return new[] { "pkg_resources", "setuptools" }
            .SelectMany(name => Directory.EnumerateFiles(Path.Combine(packages, name), "*.py", SearchOption.AllDirectories))
            .ToDictionary(path => Path.GetRelativePath(packages, path), File.ReadAllBytes);
    }
}
