using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using ModelPipeline.Core;

namespace ModelPipeline.Tests.EndToEnd;

/// <summary>Options, variables and mistakes, each in a new folder.</summary>
public sealed partial class CommandLineTests : IDisposable
{
    private readonly Workspace workspace = new(Workspace.TenQueries);

    public void Dispose() => workspace.Dispose();

    [Fact]
    public async Task The_tree_shows_what_models_yaml_declares()
    {
        var lines = (await workspace.RunAsync("--tree")).Succeeded().Output.Split('\n');
        Assert.Equal(
            [
                "Default",
                "Release",
                "Release:tiny-reranker",
                "Package:tiny-reranker",
                "Decide:tiny-reranker",
                "Validate:tiny-reranker",
                "Validate:tiny-reranker:fp16",
                "Quantize:tiny-reranker:fp16",
                "Calibrate:tiny-reranker",
                "Prepare:tiny-reranker",
                "Fetch:tiny-reranker",
            ],
            lines.SkipWhile(line => line != "Default").Take(11).Select(line => line.TrimStart('└', '├', '─', '│', ' '))
        );
        Assert.Contains(lines, line => line.EndsWith("─Quantize:ms-marco-MiniLM-L-12-v2:cpu-int8", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_description_says_what_each_target_does()
    {
        var output = (await workspace.RunAsync("--description")).Succeeded().Output;
        Assert.Matches("Clean +Deletes what the pipeline built", output);
        Assert.Matches("Quantize:tiny-reranker:int8 +w8a8 by simulator for rk3588", output);
    }

    [Theory]
    [InlineData("--variant=int8", "int8")]
    [InlineData("--quantize=0", "fp16")]
    public async Task Options_select_variants_and_win_over_the_environment(string option, string variant)
    {
        var run = (await workspace.RunAsync(("QUANTIZE", "1"), "--dryrun", "--target=Quantize", option)).Succeeded();
        Assert.Equal(variant, Assert.Single(QuantizeStep().Matches(run.Output)).Groups[1].Value);
        Assert.Empty(workspace.Files());
    }

    [Fact]
    public async Task One_variant_is_built_without_the_other()
    {
        (await workspace.RunAsync(("QUANTIZE", "0"), "--target=Quantize", "--model=tiny-reranker")).Succeeded();
        Assert.True(File.Exists(workspace.Artifact("fp16")));
        Assert.Equal(["fp16"], Directory.EnumerateDirectories(workspace.Built("variants")).Select(Path.GetFileName));
        Assert.False(File.Exists(workspace.Built("validation/report.html")));
    }

    [Fact]
    public async Task The_number_of_calibration_samples_is_set_for_one_run()
    {
        (await workspace.RunAsync(("CALIBRATION_SAMPLES", "7"), "--target=Calibrate")).Succeeded();
        Assert.Equal(7, File.ReadLines(workspace.Built("calibration/1x128/calibration_dataset.txt")).Count());
        (await workspace.RunAsync(("CALIBRATION_SAMPLES", "7"), "--target=Calibrate", "--calibration-samples=5")).Succeeded();
        Assert.Equal(5, Directory.EnumerateDirectories(workspace.Built("calibration/1x128")).Count());
    }

    [Theory]
    [InlineData("--model=nope", 2, "--model: 'nope' is not one of tiny-reranker, ms-marco-MiniLM-L-12-v2")]
    [InlineData("--variant=int9", 2, "--variant: 'int9' is not one of fp16, int8, cpu-int8")]
    [InlineData("--target=Nope", 2, "The target 'Nope' was not found. --description lists all targets.")]
    [InlineData("--target=Valdate", 2, "The target 'Valdate' was not found (did you mean 'Validate'?).")]
    [InlineData("--target=Quantize:tiny-rerankr:int8", 2, "(did you mean 'Quantize:tiny-reranker:int8'?)")]
    [InlineData("--verbosity=Loud", 2, "--verbosity: 'Loud' is not one of quiet, minimal, normal, verbose, diagnostic")]
    [InlineData("--dryun", 2, "there is no option --dryun (did you mean '--dryrun'?)")]
    [InlineData("-dryrun", 2, "there is no option -dryrun (did you mean '--dryrun'?)")]
    [InlineData("--Model=tiny-reranker", 2, "there is no option --Model (did you mean '--model'?)")]
    [InlineData("--artifact=out", 2, "there is no option --artifact (did you mean '--artifacts'?)")]
    [InlineData("--zzzzzz", 2, "there is no option --zzzzzz; --help lists them")]
    [InlineData("--offline=1", 2, "--offline takes no value, but was given '1'")]
    [InlineData("--manifest", 2, "--manifest needs a value: --manifest=PATH")]
    [InlineData("--artifacts=models.yaml", 2, "models.yaml is a file, where a folder is expected")]
    [InlineData("--artifacts=models.yaml/out", 2, "models.yaml is a file, where a folder is expected")]
    [InlineData(
        "--dry-run",
        2,
        "--dry-run tells what --target=Publish would do, and is for nothing else; --dryrun lists the targets that would run"
    )]
    [InlineData("Validate", 2, "'Validate' is not an option; what to make is named with --target=Validate")]
    public async Task A_mistake_gets_one_sentence(string argument, int exitCode, string sentence)
    {
        var run = await workspace.RunAsync(argument);
        Assert.Equal(exitCode, run.ExitCode);
        Assert.Contains(sentence, run.Error);
        Assert.Single(run.Error.TrimEnd('\n').Split('\n'));
        Assert.Empty(workspace.Files());
    }

    [Theory]
    [InlineData("--dry-rum", "--dry-rum")]
    [InlineData("--dry-run", "--model=other")]
    [InlineData("--dry-run", "--target=Clean")]
    [InlineData("--dry-run", "--to=elsewhere")]
    [InlineData("--dry-run", "stray")]
    public async Task A_mistake_never_publishes(params string[] arguments)
    {
        var run = await workspace.RunAsync(["--target=Publish", "--to=out", .. arguments]);
        Assert.Equal(2, run.ExitCode);
        Assert.Empty(workspace.Files());
        Assert.False(Path.Exists(Path.Combine(workspace.Folder, "out")));
    }

    [Fact]
    public async Task Help_and_version_are_this_program_s()
    {
        var help = (await workspace.RunAsync("--help")).Succeeded().Output;
        Assert.StartsWith("Usage: ./build.sh [OPTIONS]\n", help);
        Assert.All(help.Split('\n'), line => Assert.InRange(line.Length, 0, 140));
        Assert.Matches(
            @"\AModelPipeline \d+\.\d+\.\d+ \(Cake \d+\.\d+\.\d+\)\n\z",
            (await workspace.RunAsync("--version")).Succeeded().Output
        );
    }

    [Fact]
    public async Task What_killed_runs_left_is_gone_after_the_next()
    {
        var left = workspace.Built("variants/int8/model.onnx.4194304-00000000000000000000000000000000" + AtomicFile.TemporarySuffix);
        Directory.CreateDirectory(Path.Combine(left, "scratch"));
        (await workspace.RunAsync("--target=Fetch", "--dryrun")).Succeeded();
        Assert.True(Path.Exists(left));
        (await workspace.RunAsync("--target=Fetch")).Succeeded();
        Assert.False(Path.Exists(left));
    }

    [Fact]
    public async Task A_misspelt_key_is_shown_with_line_and_column()
    {
        workspace.Edit(("        algorithm: normal", "        algorythm: normal"));
        var lines = await File.ReadAllLinesAsync(workspace.Manifest, TestContext.Current.CancellationToken);
        var line = lines.Index().Single(each => each.Item.Contains("algorythm", StringComparison.Ordinal)).Index + 1;
        var run = await workspace.RunAsync();
        Assert.Equal(2, run.ExitCode);
        Assert.Contains($"models.yaml:{line}:9: models.tiny-reranker.variants.int8.algorythm: ", run.Error);
        Assert.Contains("did you mean 'algorithm'?", run.Error);
        Assert.Empty(workspace.Files());
    }

    [Fact]
    public async Task A_corrupt_model_is_refused_with_both_hashes()
    {
        var bytes = await File.ReadAllBytesAsync(RepositoryFiles.Sample("tiny-reranker/model.onnx"), TestContext.Current.CancellationToken);
        bytes[bytes.Length / 2] ^= 1;
        var corrupt = workspace.Write("model.onnx", bytes);
        var declared = workspace.Spec().Source.Sha256!;
        workspace.Edit((RepositoryFiles.Sample("tiny-reranker/model.onnx"), corrupt));
        var run = await workspace.RunAsync();
        Assert.Equal(1, run.ExitCode);
        Assert.Contains(corrupt, run.Error);
        Assert.Contains(declared, run.Error);
        Assert.Contains(Convert.ToHexStringLower(SHA256.HashData(bytes)), run.Error);
        Assert.Empty(workspace.Files());
    }

    [Theory]
    [InlineData("Quantize:tiny-reranker:int8")]
    [InlineData("Validate:tiny-reranker:int8")]
    public async Task Ctrl_C_ends_a_stage_at_once_and_leaves_nothing_unfinished(string stage)
    {
        workspace.Edit(("    queries: 10\n", ""));
        HostRun run;
        using (var host = new HostProcess(workspace.Folder, ["--variant=int8"]))
        {
            await host.PrintsAsync($"\n {stage} ");
            var watch = Stopwatch.StartNew();
            host.Interrupt();
            run = await host.EndAsync();
            Assert.InRange(watch.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(20));
        }
        Assert.Equal(130, run.ExitCode);
        Assert.DoesNotContain(workspace.Files().Keys, name => name.EndsWith(AtomicFile.TemporarySuffix, StringComparison.Ordinal));
        Assert.False(Path.Exists(workspace.Built("validation/int8/1x128/validation.json")));
        // What was finished is whole: the next run goes on from there.
        (await workspace.RunAsync("--variant=int8", "--target=Quantize")).Succeeded();
    }

    [GeneratedRegex(@"^\d+\. Quantize:tiny-reranker:(\S+)$", RegexOptions.Multiline)]
    private static partial Regex QuantizeStep();
}
