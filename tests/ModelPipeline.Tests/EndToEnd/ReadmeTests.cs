using System.Text.RegularExpressions;

namespace ModelPipeline.Tests.EndToEnd;

/// <summary>The README says what is there. Its summary is compared in <see cref="DefaultRunTests"/>.</summary>
public sealed partial class ReadmeTests
{
    private static readonly string Readme = File.ReadAllText(Path.Combine(RepositoryFiles.Root, "README.md"));

    [Fact]
    public void Its_first_two_commands_run_the_main_job_and_the_tests()
    {
        Assert.Equal("./build.sh\n./build.sh --target=Test\n", Blocks("sh")[0]);
        Assert.True(
            OperatingSystem.IsWindows()
                || File.GetUnixFileMode(Path.Combine(RepositoryFiles.Root, "build.sh")).HasFlag(UnixFileMode.UserExecute)
        );
    }

    [Fact]
    public async Task Its_targets_are_those_of_the_host()
    {
        using var workspace = new Workspace();
        var tree = (await workspace.RunAsync("--tree")).Succeeded().Output;
        var targets = TreeName().Matches(tree).Select(match => match.Value).ToHashSet();
        var table = Readme
            .Split('\n')
            .Where(line => TargetRow().IsMatch(line))
            .SelectMany(line => Code().Matches(line.Split('|')[1]).Select(match => match.Groups[1].Value))
            .ToList();
        Assert.Equal(targets.Where(target => !target.Contains(':')).Order(), table.Order());
        Assert.All(TargetOption().Matches(Readme).Select(match => match.Groups[1].Value), target => Assert.Contains(target, targets));
    }

    [Fact]
    public async Task Its_options_and_variables_are_in_the_help()
    {
        using var workspace = new Workspace();
        var help = (await workspace.RunAsync("--help")).Succeeded().Output;
        string[] ofDotnet = ["--project"];
        Assert.All(
            Option().Matches(Readme).Select(match => match.Value).Distinct().Except(ofDotnet),
            option => Assert.Contains(option, help)
        );
        Assert.All(
            Readme.Split('\n').Where(line => line.StartsWith("| `", StringComparison.Ordinal) && line.Contains("--")),
            line =>
                Assert.Matches(
                    Regex.Escape(Code().Matches(line)[1].Groups[1].Value) + $".*\\({Code().Match(line).Groups[1].Value}\\)",
                    help
                )
        );
    }

    /// <summary>As it stands, beside the folder of the repository that its paths name.</summary>
    [Fact]
    public async Task Its_models_yaml_runs_to_the_end()
    {
        using var workspace = new Workspace();
        await File.WriteAllTextAsync(workspace.Manifest, Blocks("yaml").Single(), TestContext.Current.CancellationToken);
        Directory.CreateSymbolicLink(Path.Combine(workspace.Folder, "pipeline"), Path.Combine(RepositoryFiles.Root, "pipeline"));
        var run = (await workspace.RunAsync()).Succeeded();
        Assert.Contains("int8 1x128", run.Output);
        Assert.True(File.Exists(Path.Combine(workspace.Folder, "artifacts/packages/my-reranker-1.0.0/manifest.json")));
    }

    [Fact]
    public void Its_links_lead_somewhere()
    {
        Assert.All(
            Link().Matches(Readme).Select(match => match.Groups[1].Value),
            link =>
            {
                if (link.StartsWith('#'))
                    Assert.Contains(
                        link[1..],
                        Heading().Matches(Readme).Select(match => match.Groups[1].Value.ToLowerInvariant().Replace(' ', '-'))
                    );
                else
                    Assert.True(File.Exists(Path.Combine(RepositoryFiles.Root, link)), link);
            }
        );
    }

    [Fact]
    public void The_project_has_the_licence_it_names()
    {
        Assert.Contains("[Apache-2.0](LICENSE)", Readme);
        var licence = File.ReadAllText(Path.Combine(RepositoryFiles.Root, "LICENSE"));
        Assert.Contains("Apache License\n                           Version 2.0, January 2004", licence);
        Assert.Contains("END OF TERMS AND CONDITIONS", licence);
    }

    /// <summary>Contents of the fenced blocks of one language.</summary>
    private static List<string> Blocks(string language) =>
        [
            .. Regex
                .Matches(Readme, $"^```{language}\n(.*?)^```$", RegexOptions.Multiline | RegexOptions.Singleline)
                .Select(match => match.Groups[1].Value),
        ];

    [GeneratedRegex(@"(?<=^[└├─│ ]*)[A-Z]\S+", RegexOptions.Multiline)]
    private static partial Regex TreeName();

    [GeneratedRegex(@"^\| `[A-Z][a-z]+`")]
    private static partial Regex TargetRow();

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex Code();

    [GeneratedRegex(@"--target=([A-Za-z0-9:.-]+)")]
    private static partial Regex TargetOption();

    [GeneratedRegex(@"(?<=[\s`])--[a-z][a-z-]+")]
    private static partial Regex Option();

    [GeneratedRegex(@"\]\(([^)]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"^## (.+)$", RegexOptions.Multiline)]
    private static partial Regex Heading();
}
