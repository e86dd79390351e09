using System.Text.Json.Nodes;
using ModelPipeline.Artifacts;
using ModelPipeline.Core;
using ModelPipeline.Latency;
using ModelPipeline.Packaging;
using ModelPipeline.Publishing;
using ModelPipeline.Tests.EndToEnd;
using ModelPipeline.Tests.Publishing;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>A candidate that a machine without a board has published to a folder. The toolkit is the recorded one, the board of the tests
/// its runtime.</summary>
public sealed class CandidateRun : IAsyncLifetime
{
    private const string Variants = """
            latency: { requests: 4 }
            variants:
              npu-int8: { backend: rknn, precision: w8a8, gates: { kendall_tau: { min: 0.9 }, latency_p95_ms: { max: 60000 } } }
              cpu-int8: { backend: onnx, precision: w8a8, gates: { kendall_tau: { min: 0.9 } } }
              int8: { backend: simulator, precision: w8a8 }

        """;

    private readonly TemporaryFolder folder = new();

    public CandidateRun()
    {
        File.WriteAllText(
            Workspace.Manifest,
            ToolkitOnBoardRun.SampleVariants().Replace(File.ReadAllText(Workspace.Manifest), Variants, count: 1)
        );
        Workspace.Edit(
            ("latency_p95_ms: 100", "latency_p95_ms: 60000"),
            ("  rk3588: { kind: local }", $"  board: {{ kind: local, runtime_library: {RecordedRuntime.Build(folder.File("runtime"))} }}")
        );
    }

    internal Workspace Workspace { get; } = new(Workspace.TenQueries);

    public string Lock => folder.File("lock");

    /// <summary>Where the candidate is.</summary>
    internal static string CandidateOf(Workspace workspace) => Path.Combine(workspace.Folder, "out", "tiny-reranker", "v0.1.0-rc");

    public async ValueTask InitializeAsync()
    {
        using var toolkit = new RecordedToolkit("runnable");
        (
            await Workspace.RunAsync(
                ("MODELPIPELINE_TOOLKIT_PYTHON", toolkit.Python),
                "--target=Publish",
                "--model=tiny-reranker",
                "--to=out"
            )
        ).Succeeded();
    }

    public ValueTask DisposeAsync()
    {
        Workspace.Dispose();
        folder.Dispose();
        return ValueTask.CompletedTask;
    }
}

/// <summary>The Promote target as its users run it: on a machine with a board, which has neither the toolkit nor what was built.</summary>
public sealed class PromoteTests(CandidateRun finished) : IClassFixture<CandidateRun>, IDisposable
{
    private readonly Workspace workspace = OfCandidate(finished.Workspace);

    private string Candidate => CandidateRun.CandidateOf(workspace);

    private string Released => Path.Combine(workspace.Folder, "out", "tiny-reranker", "v0.1.0");

    public void Dispose() => workspace.Dispose();

    [Fact]
    public async Task What_passes_on_the_board_becomes_the_release_with_what_the_board_gave_and_the_same_files()
    {
        var before = Digests(Candidate);
        var candidate = Verified(Candidate);
        Assert.Equal(["npu-int8", "cpu-int8"], candidate.Variants.Select(variant => variant.Subject.Variant));
        Assert.Contains("latency_p95_ms not measured: needs a device", candidate.Open.Select(open => open.Reason));
        Assert.Contains("NPU_RERANK_ENABLED=0\n", File.ReadAllText(Path.Combine(Candidate, "production.env")));

        var run = (await PromoteAsync("--to=out")).Succeeded();

        var manifest = Verified(Released);
        Assert.Equal(("0.1.0", 0), (manifest.Version, manifest.Open.Count));
        Assert.Equal(["int8"], manifest.Omitted.Select(variant => variant.Variant).Distinct());
        Assert.Equal(Made(candidate), Made(manifest));
        Assert.Equal(candidate.Inputs, manifest.Inputs);
        Assert.Equal(candidate.Tools, manifest.Tools);
        var npu = manifest.Variants.Single(variant => variant.Subject.Variant == "npu-int8");
        Assert.True(npu.Subject.OnDevice);
        Assert.Equal("the toolkit's simulator", Assert.Single(npu.Toolkit!.Opinions).Source);
        Assert.Contains("latency_p95_ms", npu.Figures.Keys);
        // Only now the NPU runs it.
        var model = candidate.Files.Single(file => file.Role == PackageRole.Model && file.Variant == "npu-int8").Name;
        var production = File.ReadAllText(Path.Combine(Released, "production.env"));
        Assert.Contains("NPU_RERANK_ENABLED=1\n", production);
        Assert.Contains(model, production);
        Assert.Equal(model, (string?)JsonNode.Parse(File.ReadAllText(Path.Combine(Released, "decision.json")))!["winner"]);
        var session = ReportJson.Read<DeviceSession>(Path.Combine(Released, DeviceSession.FileName));
        Assert.Equal("board", session.Device);
        Assert.Contains(session.Artifacts, artifact => artifact is { Variant: "npu-int8", OnDevice: true });
        Assert.Contains("measured on board", File.ReadAllText(Path.Combine(Released, "README.md")));
        Assert.Contains(Path.Combine("out", "tiny-reranker", "v0.1.0"), run.Output);
        Assert.Equal(before, Digests(Candidate));

        Assert.Contains("there is nothing to promote", (await PromoteAsync("--to=out")).Succeeded().Output);
    }

    [Fact]
    public async Task What_does_not_pass_stays_a_candidate_and_the_gate_is_named()
    {
        workspace.Edit(("latency_p95_ms: { max: 60000 }", "latency_p95_ms: { max: 0.001 }"));
        var before = Digests(Candidate);

        var run = await PromoteAsync("--to=out");

        Assert.Equal(1, run.ExitCode);
        Assert.Contains("tiny-reranker/v0.1.0-rc stays a candidate, as it was:", run.Error + run.Output);
        Assert.Contains("npu-int8 at 1x128: latency_p95_ms", run.Error + run.Output);
        Assert.False(Directory.Exists(Released));
        Assert.Equal(before, Digests(Candidate));
    }

    [Fact]
    public async Task A_candidate_that_was_damaged_is_refused_before_it_runs()
    {
        File.AppendAllText(Directory.GetFiles(Candidate, "*.rknn").Single(), "x");
        var run = await PromoteAsync("--to=out");
        Assert.Equal(1, run.ExitCode);
        Assert.Contains("the package is not what was built", run.Error + run.Output);
        Assert.False(Directory.Exists(Released));
    }

    [Theory]
    [InlineData("simulator", "a board promotes, and simulator is none", 2)]
    [InlineData("board", "tiny-reranker/v0.1.0-rc is not published on", 1)]
    public async Task Without_a_board_or_a_candidate_it_says_so(string device, string message, int exitCode)
    {
        var run = await PromoteAsync("--to=elsewhere", device);
        Assert.Equal(exitCode, run.ExitCode);
        Assert.Contains(message, run.Error + run.Output);
    }

    [Fact]
    public async Task Drift_runs_what_is_published_again_and_finds_its_figures_where_they_were()
    {
        var here = (await RunAsync("Drift", "--to=out", "simulator")).Succeeded();
        Assert.Contains("npu-int8 is not looked at: simulator is no board", here.Output + here.Error);
        var report = ReportJson.Read<DriftReport>(workspace.Built(DriftReport.FileName));
        Assert.Equal(("0.1.0-rc", "simulator", null), (report.Version, report.Device, report.OtherTexts));
        Assert.Equal(["cpu-int8"], report.Figures.Select(figure => figure.Variant).Distinct());
        Assert.All(report.Figures, figure => Assert.Equal(figure.Released, figure.Now!.Value, 0.02));

        // The toolkit's simulator had int8's scores; the runtime of the tests computes in fp32, which is told, be it for the better.
        var onBoard = await RunAsync("Drift", "--to=out");
        Assert.Equal(1, onBoard.ExitCode);
        report = ReportJson.Read<DriftReport>(workspace.Built(DriftReport.FileName));
        Assert.Equal(["npu-int8", "cpu-int8"], report.Figures.Select(figure => figure.Variant).Distinct());
        Assert.Equal(["npu-int8"], report.Left.Select(figure => figure.Variant).Distinct());
        Assert.Contains("npu-int8 at 1x128: within_query_residual is 0.000, and was 0.0", onBoard.Error + onBoard.Output);
    }

    [Fact]
    public async Task Drift_fails_by_name_where_a_figure_has_left_its_interval_on_other_texts()
    {
        // Somebody judges otherwise: of each query only its last candidate is any good.
        var last = File.ReadLines(RepositoryFiles.Sample("corpus/candidates.jsonl"))
            .Select(line => JsonNode.Parse(line)!)
            .Select(query => $"{query["query_id"]}\t{query["passage_ids"]!.AsArray()[^1]}\t1\n");
        var qrels = workspace.Write("qrels.tsv", System.Text.Encoding.UTF8.GetBytes(string.Concat(last)));
        workspace.Edit((RepositoryFiles.Sample("corpus/qrels.tsv"), qrels));

        var run = await RunAsync("Drift", "--to=out", "simulator");

        Assert.Equal(1, run.ExitCode);
        Assert.Contains("release 0.1.0-rc was judged on other texts: sample/qrels", run.Output + run.Error);
        Assert.Contains("left the recorded interval", run.Error + run.Output);
        Assert.Contains("cpu-int8 at 1x128: ndcg_at_10 is ", run.Error + run.Output);
        Assert.DoesNotContain("kendall_tau is", run.Error + run.Output);
    }

    [Fact]
    public async Task On_GitHub_the_candidate_is_a_prerelease_and_the_release_is_none()
    {
        await using var github = await FakeGitHub.StartAsync();
        var prerelease = github.Add("tiny-reranker/v0.1.0-rc", draft: false);
        foreach (var file in Directory.EnumerateFiles(Candidate))
            github.Attach(prerelease, Path.GetFileName(file), File.ReadAllBytes(file));
        Directory.Delete(Path.Combine(workspace.Folder, "out"), recursive: true);

        (
            await PromoteAsync(
                "--verbosity=normal",
                "board",
                new Dictionary<string, string>
                {
                    ["GITHUB_REPOSITORY"] = "owner/models",
                    ["GITHUB_API_URL"] = github.Repository().Api.ToString(),
                    ["GITHUB_TOKEN"] = FakeGitHub.Token,
                }
            )
        ).Succeeded();

        var released = github.Releases.Single(release => release.Tag == "tiny-reranker/v0.1.0");
        Assert.Equal((false, false), (released.Draft, released.Prerelease));
        Assert.Contains(released.Assets, asset => asset.Name == DeviceSession.FileName);
        Assert.Contains("Against 0.1.0-rc:", released.Body);
        Assert.Empty(github.Violations);
    }

    /// <summary>What the toolkit and the pipeline made: models, compile reports, vocabulary.</summary>
    private static IEnumerable<(string, FileDigest)> Made(PackageManifest manifest) =>
        manifest
            .Files.Where(file => file.Role is PackageRole.Model or PackageRole.Compile or PackageRole.Vocabulary)
            .Select(file => (file.Name, file.Digest));

    private static PackageManifest Verified(string folder) =>
        PackageCheck.Verify<PackageManifest>(folder, TestContext.Current.CancellationToken);

    private static SortedDictionary<string, string> Digests(string folder) =>
        new(Directory.EnumerateFiles(folder).ToDictionary(path => Path.GetFileName(path), path => FileDigest.Of(path).Sha256));

    /// <summary>Another machine: models.yaml, and what is published.</summary>
    private static Workspace OfCandidate(Workspace published)
    {
        var other = new Workspace();
        File.Copy(published.Manifest, other.Manifest, overwrite: true);
        Directory.CreateDirectory(CandidateRun.CandidateOf(other));
        foreach (var file in Directory.EnumerateFiles(CandidateRun.CandidateOf(published)))
            File.Copy(file, Path.Combine(CandidateRun.CandidateOf(other), Path.GetFileName(file)));
        return other;
    }

    private Task<HostRun> PromoteAsync(string option, string device = "board", IReadOnlyDictionary<string, string>? variables = null) =>
        RunAsync("Promote", option, device, variables);

    private Task<HostRun> RunAsync(
        string target,
        string option,
        string device = "board",
        IReadOnlyDictionary<string, string>? variables = null
    ) =>
        HostProcess.RunAsync(
            workspace.Folder,
            [$"--target={target}", "--model=tiny-reranker", $"--device={device}", option],
            new Dictionary<string, string>(variables ?? new Dictionary<string, string>()) { ["MODELPIPELINE_LOCK"] = finished.Lock }
        );
}
