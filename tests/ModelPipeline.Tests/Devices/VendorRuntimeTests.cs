using ModelPipeline.Core;
using ModelPipeline.Devices;
using ModelPipeline.Latency;
using ModelPipeline.Manifest;
using ModelPipeline.Planning;
using ModelPipeline.Tests.EndToEnd;
using ModelPipeline.Tests.Toolkit;
using ModelPipeline.Text;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.Devices;

/// <summary>The way to a board with the vendor's own runtime at its end. What an NPU would compute is zeros there, so it is the way that is
/// tested, not the scores.</summary>
public sealed class VendorRuntimeTests
{
    private static readonly string Model = RepositoryFiles.Fixture("rknn/tiny-fp16.rknn");
    private static readonly IReadOnlyList<TokenizedInput> Rows = BoardArtifact.Rows(20, 128);
    private readonly List<string> warnings = [];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_core_plan_runs_a_real_file_over_SSH()
    {
        await using var board = await VendorBoard.StartAsync();
        await using var device = await ConnectAsync(board, board.Spec);

        var model = await device.LoadAsync(Backend.Rknn, Model, cancellation: Cancellation);

        Assert.StartsWith("1.5.2", device.Facts.Runtime);
        Assert.Equal((false, "0.9.8"), (model.Simulated, model.Driver));
        Assert.All(model.Inputs, input => Assert.Equal([1, 128], input.Dims));
        foreach (var plan in CorePlan.OfThreeCores)
        {
            var run = await device.RunAsync(Rows, plan, cancellation: Cancellation);
            Assert.Equal(Rows.Count, run.Passages.Count);
            Assert.All(run.Passages, passage => Assert.True(float.IsFinite(Assert.Single(Assert.Single(passage.Outputs)))));
        }
        Assert.NotEmpty(board.Jobs);
        Assert.Empty(warnings);
    }

    [Fact]
    public async Task A_runtime_older_than_the_file_is_refused_before_anything_is_loaded()
    {
        await using var board = await VendorBoard.StartAsync();
        await using var device = await ConnectAsync(board, board.Spec with { AllowOldRuntime = false });

        var error = await Assert.ThrowsAsync<PipelineException>(() => device.LoadAsync(Backend.Rknn, Model, cancellation: Cancellation));

        Assert.Contains(
            "'tiny-fp16.rknn' is of rknn-toolkit2 2.3.2, which wants librknnrt 2.3.2 or later, and the device has 1.5.2",
            error.Message
        );
        Assert.Contains("allow_old_runtime: true", error.Message);
        Assert.Equal(1, error.ExitCode);
        Assert.Empty(board.Jobs);
        Assert.Empty(Directory.GetFiles(board.Settings.RemoteFolder, "*.rknn"));
    }

    [Fact]
    public async Task A_runtime_that_crashes_is_told_once_with_what_it_did()
    {
        await using var board = await VendorBoard.StartAsync("RKNPU_FAULT=100 11");
        await using var device = await ConnectAsync(board, board.Spec);
        await device.LoadAsync(Backend.Rknn, Model, cancellation: Cancellation);

        var error = await Assert.ThrowsAsync<PipelineException>(() => device.RunAsync(Rows, CorePlan.Sequence, cancellation: Cancellation));

        Assert.Contains("died of SIGSEGV when running 'tiny-fp16.rknn'; the link is well", error.Message);
        Assert.Empty(warnings);
    }

    /// <summary>The vendor's own table: shapes and targets are those of a board, times are the emulation's.</summary>
    [Theory]
    [InlineData("fp16", Precision.Fp16)]
    [InlineData("int8", Precision.W8A8)]
    public async Task The_table_of_layers_of_a_real_file_is_read_as_work(string name, Precision precision)
    {
        await using var board = await VendorBoard.StartAsync();
        await using var device = await ConnectAsync(board, board.Spec);

        var tables = await device.ProfileAsync(
            Backend.Rknn,
            RepositoryFiles.Fixture($"rknn/tiny-{name}.rknn"),
            1,
            [.. Rows.Take(2)],
            Cancellation
        );

        Assert.False(device.Facts.IsRockchip);
        var profile = OperatorProfile.Of([.. tables.Select(LayerTable.Parse)], emulated: true);
        Assert.Equal(0, profile.Unread);
        var attention = Assert.Single(profile.Operators, each => each.Class == OperatorClass.Attention);
        Assert.Equal(("NPU", precision), (attention.Target, attention.Precision));
        Assert.Equal(new OperatorWork(OperatorClass.Attention, 4, 128, 32) { Count = 4 }, attention.Work);
        Assert.Contains(
            profile.Operators,
            each => each.Work == new OperatorWork(OperatorClass.Linear, 128, 128, 512) { Count = 4, Gelu = true }
        );
        Assert.Contains(profile.Operators, each => each.Work == new OperatorWork(OperatorClass.Gather, 128, 1, 128) { Count = 2 });
        Assert.Equal(9, profile.Classes.Single(each => each.Class == OperatorClass.Norm).Count);
        Assert.Empty(warnings);
    }

    /// <summary>From <c>shapes: auto</c> to one file that the board has at every shape, under every core plan.</summary>
    [Fact]
    public Task Validate_takes_one_file_of_the_toolkit_to_the_board_and_runs_it_at_each_of_its_shapes() => GoesToTheBoardAsync(null);

    /// <summary>The same with twelve layers of the flagship's shape, which takes minutes: only where its folder is named.</summary>
    [Fact]
    public Task Twelve_layers_go_the_same_way()
    {
        const string Variable = "MODELPIPELINE_TWELVE_LAYERS";
        var folder = Environment.GetEnvironmentVariable(Variable) ?? "";
        Assert.SkipUnless(
            File.Exists(Path.Combine(folder, "model.onnx")),
            $"{Variable} is '{folder}', no folder with model.onnx and vocab.txt of a reranker"
        );
        return GoesToTheBoardAsync(folder);
    }

    private async Task GoesToTheBoardAsync(string? source)
    {
        var toolkit = await RealToolkit.OfAsync("2.5.0");
        await using var board = await VendorBoard.StartAsync();
        // Few runs: each takes the emulator its time.
        using var workspace = new Workspace(
            Workspace.TenQueries,
            ("queries: 10", "queries: 2"),
            ("    passages: 5 ", "    requests: 4\n    profile: true\n    passages: 5 "),
            ("[[1, 128]] ", "auto ")
        );
        if (source is not null)
            workspace.Edit(
                (RepositoryFiles.Sample("tiny-reranker/"), source + "/"),
                ("      sha256: 3aed8effbc580bf85b1cfbb7bbba8ead57b517b14e04b2e3304ed54abf14f74e\n", ""),
                ("        sha256: fafa0d1f515f7392ce67af721d59b1de5194db32b710a3a157c6041d2af02e60\n", "")
            );
        var variants = ToolkitOnBoardRun
            .SampleVariants()
            .Replace(
                File.ReadAllText(workspace.Manifest),
                "    variants:\n      npu: { backend: rknn, precision: fp16, toolkit: 2.5.0 }\n\n",
                count: 1
            );
        await File.WriteAllTextAsync(workspace.Manifest, variants, Cancellation);
        var spec = board.Spec;
        workspace.Edit(
            (
                "  rk3588: { kind: local }",
                $$"""
                  board: { kind: ssh, host: {{spec.Host}}, port: {{spec.Port}}, user: {{spec.User}}, host_key: "{{spec.HostKey}}", identity_file: {{spec.IdentityFile}}, runtime_library: {{spec.RuntimeLibrary}}, allow_old_runtime: true }
                """
            )
        );
        var variables = new Dictionary<string, string> { ["MODELPIPELINE_TOOLKIT_PYTHON"] = toolkit.Python };

        (await HostProcess.RunAsync(workspace.Folder, ["--target=Plan", "--model=tiny-reranker"], variables)).Succeeded();
        var validated = await HostProcess.RunAsync(
            workspace.Folder,
            ["--target=Validate", "--model=tiny-reranker", "--device=board"],
            variables,
            patience: TimeSpan.FromHours(1)
        );
        validated.Succeeded();

        var plan = ReportJson.Read<PlanReport>(workspace.Built("plan/plan.json")).Best!;
        string[] shapes = [.. plan.Shapes.Select(tokens => $"{plan.Batch}x{tokens}")];
        Assert.True(plan.OneFile && shapes.Length > 1, plan.ToString());
        Assert.Single(Directory.GetFiles(workspace.Built("variants/npu"), "*.rknn", SearchOption.AllDirectories));
        var latency = ReportJson.Read<LatencyReport>(workspace.Built("latency/latency.json"));
        Assert.Equal(shapes, latency.Artifacts.Select(artifact => artifact.Shape));
        Assert.All(
            latency.Artifacts,
            artifact => Assert.Equal(CorePlan.OfThreeCores.Select(cores => cores.Name), artifact.Plans.Select(cores => cores.Plan))
        );
        // The runtime's table is read; times of this machine teach nothing.
        Assert.All(
            latency.Artifacts,
            artifact =>
                Assert.Equal(
                    source is null ? 4 : 12,
                    artifact.Operators!.Classes.Single(each => each.Class == OperatorClass.Attention).Count
                )
        );
        Assert.All(latency.Artifacts, artifact => Assert.True(artifact.Operators is { Emulated: true, Unread: 0 }));
        Assert.All(
            latency.Artifacts.SelectMany(artifact => artifact.Operators!.Operators),
            each => Assert.Equal(each.Work is null, each.ExpectedMs is null)
        );
        Assert.Contains(" by operator: ", validated.Output);
        Assert.Contains("emulated, these times mean nothing", validated.Output);
        Assert.Contains("refines no estimate", validated.Output + validated.Error);
        Assert.False(File.Exists(Path.Combine(workspace.Folder, LatencyData.OwnFile)));
        foreach (var shape in shapes)
        {
            var report = ReportJson.Read<ValidationReport>(workspace.Built($"validation/npu/{shape}/validation.json"));
            Assert.Equal(
                ("board", DeviceKind.Ssh, true, false),
                (report.Subject.Device, report.Subject.DeviceKind, report.Subject.OnDevice, report.Subject.Simulated)
            );
            // Nothing computes them: of twelve layers, contexts leave what was in their memory before.
            var scores = report.Queries.SelectMany(query => query.Scores).ToList();
            Assert.All(scores, score => Assert.True(float.IsFinite(score)));
            Assert.True(source is not null || scores.Distinct().Count() == 1);
        }
        Assert.NotEmpty(board.Jobs);

        workspace.Edit((", allow_old_runtime: true", ""), ("queries: 2", "queries: 3"));
        var refused = await HostProcess.RunAsync(
            workspace.Folder,
            ["--target=Validate", "--model=tiny-reranker", "--device=board"],
            variables
        );

        Assert.Equal(1, refused.ExitCode);
        Assert.Contains("wants librknnrt 2.5.0 or later, and the device has 1.5.2", refused.Error + refused.Output);
    }

    [Theory]
    [InlineData("1.5.2 (c6b7b351a@2023-08-23T15:28:22)", "", "librknnrt 2.3.2 or later, and the device has 1.5.2")]
    [InlineData("2.3.1", "0.9.8", "librknnrt 2.3.2 or later, and the device has 2.3.1")]
    [InlineData("2.3.2 (429f97ae6b)", "RKNPU driver: v0.8.2", "the kernel driver rknpu 0.9.2 or later, and the device has 0.8.2")]
    [InlineData("2.5.0", "0.9.1", "the kernel driver rknpu 0.9.2 or later, and the device has 0.9.1")]
    [InlineData("2.3.2 (429f97ae6b)", "RKNPU driver: v0.9.8", null)]
    [InlineData("2.10.0", "0.10.0", null)]
    [InlineData("", "", null)]
    public void Versions_that_are_too_old_are_refused_and_unknown_ones_are_not(string runtime, string driver, string? refusal)
    {
        var spec = new DeviceSpec { Name = "board", Kind = DeviceKind.Local };
        if (refusal is null)
            RuntimeCheck.Require(spec, Model, runtime, driver);
        else
            Assert.Contains(refusal, Assert.Throws<PipelineException>(() => RuntimeCheck.Require(spec, Model, runtime, driver)).Message);
        RuntimeCheck.Require(spec with { AllowOldRuntime = true }, Model, runtime, driver);
    }

    private Task<SshDevice> ConnectAsync(VendorBoard board, DeviceSpec spec) =>
        SshDevice.ConnectAsync(spec, board.Settings, new DeviceLimits { Connect = TimeSpan.FromMinutes(1) }, warnings.Add, Cancellation);
}
