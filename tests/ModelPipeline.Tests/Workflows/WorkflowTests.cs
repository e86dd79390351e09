using System.Text.RegularExpressions;
using ModelPipeline.Tests.EndToEnd;
using YamlDotNet.RepresentationModel;

namespace ModelPipeline.Tests.Workflows;

/// <summary>GitHub workflows and actions, as far as they can be checked without GitHub.</summary>
public sealed partial class WorkflowTests
{
    private static readonly string[] Workflows = Directory.GetFiles(Path.Combine(RepositoryFiles.Root, ".github", "workflows"), "*.yml");
    private static readonly string[] Actions = Directory.GetFiles(
        Path.Combine(RepositoryFiles.Root, ".github", "actions"),
        "action.yml",
        SearchOption.AllDirectories
    );

    [Fact]
    public async Task The_linters_find_nothing() => Assert.Equal("", await Lint([.. Workflows, .. Actions]));

    [Theory]
    [InlineData("models.yml", "needs: decide", "needs: decision")]
    [InlineData("models.yml", "inputs.device == 'ssh'", "inputs.machine == 'ssh'")]
    [InlineData("models.yml", "steps.upload.outputs", "steps.uploaded.outputs")]
    [InlineData("models.yml", "runs-on:", "run-on:")]
    [InlineData("modelpipeline/action.yml", "using: composite", "using: component")]
    public async Task The_linters_would_find_a_mistake(string file, string right, string wrong)
    {
        using var folder = new TemporaryFolder();
        var text = File.ReadAllText(Workflows.Concat(Actions).Single(path => path.EndsWith(file, StringComparison.Ordinal)));
        Assert.Contains(right, text);
        Assert.NotEqual("", await Lint(folder.Write(Path.GetFileName(file), text.Replace(right, wrong))));
    }

    [Fact]
    public void Every_action_of_others_is_pinned_by_commit_and_says_its_version()
    {
        var uses = Workflows.Concat(Actions).SelectMany(File.ReadLines).Where(line => UsesLine().IsMatch(line)).ToList();
        Assert.NotEmpty(uses);
        Assert.All(uses, line => Assert.True(line.Contains("uses: ./", StringComparison.Ordinal) || Pinned().IsMatch(line), line));
        // One version of each throughout.
        Assert.All(
            uses.Select(line => Pinned().Match(line)).Where(match => match.Success).GroupBy(match => match.Groups[1].Value),
            action => Assert.Single(action.Select(match => match.Value).Distinct())
        );
    }

    [Fact]
    public void A_workflow_may_only_read_but_for_the_jobs_that_publish()
    {
        foreach (var file in Workflows)
        {
            var workflow = Parse(file);
            Assert.Equal("read", ((YamlMappingNode)workflow["permissions"])["contents"].ToString());
            Assert.Single(((YamlMappingNode)workflow["permissions"]).Children);
            Assert.Contains("concurrency", workflow.Children.Keys.Select(key => key.ToString()));
            foreach (var (name, job) in ((YamlMappingNode)workflow["jobs"]).Children)
            {
                Assert.Contains("timeout-minutes", ((YamlMappingNode)job).Children.Keys.Select(key => key.ToString()));
                Assert.True(name.ToString() == "publish" || !((YamlMappingNode)job).Children.ContainsKey("permissions"), $"{file}: {name}");
            }
        }
    }

    [Fact]
    public async Task They_call_targets_that_the_host_has()
    {
        using var workspace = new Workspace();
        var tree = (await workspace.RunAsync("--tree")).Succeeded().Output;
        var called = Workflows
            .Concat(Actions)
            .SelectMany(path => Target().Matches(File.ReadAllText(path)).Select(match => match.Groups[1].Value))
            .Distinct()
            .ToList();
        Assert.Contains("Release", called);
        Assert.All(called, target => Assert.Matches($@"(?m)^\W*{target}\b", tree));
    }

    [Fact]
    public async Task The_variants_of_a_model_are_read_off_the_task_tree()
    {
        var script = (
            (YamlSequenceNode)
                ((YamlMappingNode)Parse(Workflows.Single(path => path.EndsWith("models.yml", StringComparison.Ordinal)))["jobs"])[
                    "prepare"
                ]["steps"]
        )
            .Single(step =>
                step is YamlMappingNode { Children: var keys } && keys.TryGetValue("id", out var id) && id.ToString() == "variants"
            )["run"]
            .ToString();
        using var workspace = new Workspace();
        var tree = workspace.Write("tree.txt", System.Text.Encoding.UTF8.GetBytes((await workspace.RunAsync("--tree")).Succeeded().Output));
        workspace.Write("build.sh", System.Text.Encoding.UTF8.GetBytes($"cat {tree}\n"));
        try
        {
            foreach (var (only, expected) in new[] { ("", """variants=["cpu-int8","fp16","int8"]"""), ("int8", """variants=["int8"]""") })
            {
                var run = await Programs.RunAsync(
                    workspace.Folder,
                    "bash",
                    "-c",
                    $"export MODEL=tiny-reranker ONLY='{only}' GITHUB_OUTPUT=output; rm -f output; chmod +x build.sh; jq --version "
                        + $">/dev/null || exit 77; {script}cat output"
                );
                Assert.SkipWhen(run.ExitCode == 77, "There is no jq on this machine.");
                Assert.Equal((0, expected + "\n"), run);
            }
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Skip("There is no bash on this machine.");
        }
    }

    private static async Task<string> Lint(params string[] files)
    {
        var (installed, missing) = await NodePackages.InstallAsync("workflow-lint");
        Assert.SkipWhen(missing is not null, $"Workflows are not linted: {missing}");
        var run = await Programs.RunAsync(
            RepositoryFiles.Root,
            "node",
            [Path.Combine("tests", "workflow-lint", "lint.cjs"), installed, .. files]
        );
        Assert.True(run.ExitCode == 0, run.Output);
        return run.Output;
    }

    private static YamlMappingNode Parse(string file)
    {
        var stream = new YamlStream();
        using var reader = File.OpenText(file);
        stream.Load(reader);
        return (YamlMappingNode)stream.Documents.Single().RootNode;
    }

    [GeneratedRegex(@"^\s*(- )?uses:")]
    private static partial Regex UsesLine();

    [GeneratedRegex(@"uses: ([\w.-]+/[\w./-]+)@[0-9a-f]{40} # v\d+\.\d+\.\d+$")]
    private static partial Regex Pinned();

    [GeneratedRegex(@"(?:--target=|^ +target: )([A-Z][a-z]+)", RegexOptions.Multiline)]
    private static partial Regex Target();
}
