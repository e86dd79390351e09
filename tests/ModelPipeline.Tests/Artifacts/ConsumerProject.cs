using System.Reflection;
using System.Text.RegularExpressions;
using CliWrap;
using CliWrap.Buffered;

namespace ModelPipeline.Tests.Artifacts;

/// <summary>ModelPipeline.MSBuild as a package, in a feed of its own.</summary>
public sealed class PackedTask : IAsyncLifetime
{
    private readonly TemporaryFolder folder = new();

    internal string Feed => folder.Path;

    public async ValueTask InitializeAsync()
    {
        var project = Path.Combine(RepositoryFiles.Root, "src", "ModelPipeline.MSBuild");
        (await DotNet.RunAsync(project, "pack", "--no-build", "--nologo", "-c", DotNet.Configuration, "-o", Feed)).Succeeded();
    }

    public ValueTask DisposeAsync()
    {
        folder.Dispose();
        return ValueTask.CompletedTask;
    }
}

/// <summary>How a run of dotnet ended.</summary>
internal sealed record DotNetRun(int ExitCode, string Output)
{
    public DotNetRun Succeeded()
    {
        Assert.True(ExitCode == 0, Output);
        return this;
    }

    public DotNetRun Failed()
    {
        Assert.True(ExitCode != 0, Output);
        return this;
    }
}

/// <summary>The dotnet command line as its users have it.</summary>
internal static partial class DotNet
{
    /// <summary>Debug or Release, as the tests were built.</summary>
    public static string Configuration { get; } =
        typeof(DotNet).Assembly.GetCustomAttribute<AssemblyConfigurationAttribute>()!.Configuration;

    public static Task<DotNetRun> RunAsync(string folder, params string[] arguments) => RunAsync(folder, cache: null, arguments);

    /// <summary>The repository's cake.tool on a script, whose folder is the working folder.</summary>
    public static async Task<DotNetRun> CakeAsync(string cache, params string[] arguments)
    {
        (await RunAsync(RepositoryFiles.Root, "tool", "restore")).Succeeded();
        return await RunAsync(RepositoryFiles.Root, cache, ["cake", .. arguments]);
    }

    private static async Task<DotNetRun> RunAsync(string folder, string? cache, string[] arguments)
    {
        // Without those of the build that runs the tests.
        var variables = Environment
            .GetEnvironmentVariables()
            .Keys.Cast<string>()
            .Where(name =>
                name.StartsWith("MSBUILD", StringComparison.Ordinal) || name.StartsWith("MODELPIPELINE", StringComparison.Ordinal)
            )
            .ToDictionary(name => name, _ => (string?)null);
        variables["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1";
        variables["DOTNET_CLI_UI_LANGUAGE"] = "en";
        // No process may outlive the run with files of a deleted folder open.
        variables["MSBUILDDISABLENODEREUSE"] = "1";
        variables["MODELPIPELINE_CACHE"] = cache;
        var run = await Cli.Wrap("dotnet")
            .WithArguments(arguments)
            .WithWorkingDirectory(folder)
            .WithEnvironmentVariables(variables)
            .WithValidation(CommandResultValidation.None)
            .ExecuteBufferedAsync(TestContext.Current.CancellationToken);
        return new(run.ExitCode, Colours().Replace(run.StandardOutput + run.StandardError, ""));
    }

    [GeneratedRegex("\u001b\\[[0-9;]*m")]
    private static partial Regex Colours();
}

/// <summary>A small project in a folder of its own that takes ModelPipeline.MSBuild from the feed.</summary>
internal sealed class ConsumerProject : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public ConsumerProject(PackedTask package, string source, string items, string properties = "")
    {
        folder.Write(
            "nuget.config",
            $"""
            <configuration>
              <packageSources><clear /><add key="feed" value="{package.Feed}" /></packageSources>
              <config><add key="globalPackagesFolder" value="{folder.File("packages")}" /></config>
            </configuration>
            """
        );
        folder.Write("Directory.Build.props", "<Project />");
        folder.Write(
            "Program.cs",
            "System.Console.WriteLine(System.IO.Directory.GetFiles(System.AppContext.BaseDirectory, \"*.onnx\", "
                + "System.IO.SearchOption.AllDirectories).Length);"
        );
        Write(source, items, properties);
    }

    public string Folder => folder.Path;

    /// <summary>Writes the project again.</summary>
    public void Write(string source, string items, string properties = "") =>
        folder.Write(
            "Consumer.csproj",
            $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <UseAppHost>false</UseAppHost>
                <NuGetAudit>false</NuGetAudit>
                <ModelArtifactSource>{source}</ModelArtifactSource>
                <ModelArtifactCache>cache</ModelArtifactCache>
                {properties}
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="ModelPipeline.MSBuild" Version="0.1.0" PrivateAssets="all" />
                {items}
              </ItemGroup>
            </Project>
            """
        );

    public Task<DotNetRun> BuildAsync(params string[] arguments) =>
        DotNet.RunAsync(Folder, ["build", "--nologo", "-tl:off", "-v:n", .. arguments]);

    public string Built(string path) => folder.File($"bin/Debug/net10.0/{path}");

    /// <summary>Files below models/ of the output, or of another folder, by path.</summary>
    public IReadOnlyList<string> Models(string output = "bin/Debug/net10.0") =>
        !Directory.Exists(folder.File($"{output}/models"))
            ? []
            :
            [
                .. Directory
                    .EnumerateFiles(folder.File($"{output}/models"), "*", SearchOption.AllDirectories)
                    .Select(path => Path.GetRelativePath(folder.File(output), path))
                    .Order(StringComparer.Ordinal),
            ];

    public void Dispose() => folder.Dispose();
}
