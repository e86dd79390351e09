using System.Text;
using ModelPipeline.Core;
using ModelPipeline.Npu;
using ModelPipeline.Tests.EndToEnd;
using ModelPipeline.Toolkit;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>The target Quantize with backend rknn, from models.yaml to the artifacts.</summary>
public sealed class QuantizeWithToolkitTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly RecordedToolkit toolkit = new();
    private readonly Workspace workspace = new(Workspace.TenQueries);

    [Fact]
    public async Task Each_shape_is_a_file_that_is_built_again_only_when_something_changed_for_it()
    {
        workspace.Edit(
            ("[[1, 128]] ", "[[1, 64], [1, 128]] "),
            ("      fp16:\n        backend: simulator", "      npu:\n        backend: rknn")
        );
        var (small, large) = (Artifact("1x64"), Artifact("1x128"));

        await QuantizeAsync(toolkit);
        Assert.Equal(File.ReadAllBytes(Recordings.File("tiny-fp16.rknn")), File.ReadAllBytes(large));
        Assert.Equal(
            ["input_ids [1,64]", "attention_mask [1,64]", "token_type_ids [1,64]"],
            RknnFile.Read(small).Inputs.Select(input => input.Shape.ToString())
        );
        Assert.Contains("derived by the recorded toolkit of the tests", Encoding.Latin1.GetString(File.ReadAllBytes(small)));
        var compile = ReportJson.Read<CompileReport>(Path.Combine(Path.GetDirectoryName(large)!, "compile.json"));
        Assert.Equal((204_953, 72), (compile.Cycles, compile.Layers.Count));
        var first = Changed(large);

        workspace.Edit(("[[1, 64], [1, 128]] ", "[[1, 32], [1, 128]] "));
        await QuantizeAsync(toolkit);
        Assert.Equal(32, RknnFile.Read(Artifact("1x32")).Inputs[0].Shape.Dims[1]);
        Assert.Equal(first, Changed(large));

        workspace.Edit(("precision: fp16", "precision: fp16\n        optimization_level: 2"));
        await QuantizeAsync(toolkit);
        Assert.True(Changed(large) > first);
    }

    [Fact]
    public async Task All_shapes_are_one_file_if_the_toolkit_can_build_it()
    {
        workspace.Edit(
            ("[[1, 128]] ", "[[1, 64], [1, 128]] "),
            ("      fp16:\n        backend: simulator", "      npu:\n        backend: rknn\n        one_file: true"),
            ("kendall_tau: { min: 0.999 }", "kendall_tau: { min: -1 }")
        );
        var refused = await RunAsync(toolkit);
        Assert.Equal(2, refused.ExitCode);
        Assert.Contains(
            "variants.npu.one_file: toolkit 2.3.2 cannot build several shapes into one file: set 'toolkit: 2.5.0'",
            refused.Error
        );

        workspace.Edit(("one_file: true", "toolkit: 2.5.0"));
        using var newer = new RecordedToolkit(version: "2.5.0");
        (await RunAsync(newer, "Validate")).Succeeded();

        var artifact = workspace.Built("variants/npu/tiny-reranker-0.1.0-rk3588-npu.rknn");
        Assert.Equal([artifact], Directory.GetFiles(workspace.Built("variants/npu"), "*.rknn", SearchOption.AllDirectories));
        Assert.Equal("2.5.0", RknnFile.Read(artifact).Compiler);
        var reports = Array.ConvertAll(
            ["1x64", "1x128"],
            shape => ReportJson.Read<ValidationReport>(workspace.Built($"validation/npu/{shape}/validation.json"))
        );
        Assert.All(
            reports,
            report =>
                Assert.Equal(
                    (FileDigest.Of(artifact, TestContext.Current.CancellationToken), 10, true),
                    (report.Subject.ArtifactDigest, report.Queries.Count, report.Subject.Simulated)
                )
        );
        Assert.NotEqual(reports[0].Queries[0].Scores, reports[1].Queries[0].Scores);
    }

    [Fact]
    public async Task What_a_killed_run_left_goes_with_the_next()
    {
        using var hanging = new RecordedToolkit("hang");
        workspace.Edit(("      fp16:\n        backend: simulator", "      npu:\n        backend: rknn"));
        using var host = new HostProcess(
            workspace.Folder,
            ["--target=Quantize:tiny-reranker:npu"],
            new Dictionary<string, string> { ["MODELPIPELINE_TOOLKIT_PYTHON"] = hanging.Python }
        );
        var pids = await RecordedToolkit.HangingAsync(workspace.Folder);

        host.Kill();
        await host.EndAsync();
        await ProcessTable.EndsAsync(pids[0]);
        Assert.NotEmpty(Left());
        (await workspace.RunAsync("--target=Fetch", "--model=tiny-reranker")).Succeeded();

        Assert.Empty(Left());
        foreach (var pid in pids.Where(ProcessTable.IsRunning))
            System.Diagnostics.Process.GetProcessById(pid).Kill();

        IEnumerable<string> Left() => Directory.EnumerateFileSystemEntries(workspace.Folder, "*.partial", SearchOption.AllDirectories);
    }

    [Fact]
    public void Nothing_that_a_user_runs_leads_to_the_recorded_toolkit()
    {
        Assert.DoesNotContain("recorded", string.Concat(Directory.EnumerateFiles(ToolkitEnvironment.Scripts).Select(File.ReadAllText)));
        Assert.False(ToolkitEnvironment.Scripts.StartsWith(RecordedToolkit.Packages, StringComparison.Ordinal));
        using var plain = new TemporaryFolder();
        Programs.Run(RecordedToolkit.SystemPython, "-m", "venv", "--without-pip", plain.Path);
        Programs.Run(
            plain.File("bin/python"),
            "-I",
            "-c",
            "import importlib.util, sys; sys.exit(importlib.util.find_spec('rknn') is not None)"
        );
    }

    public void Dispose()
    {
        folder.Dispose();
        toolkit.Dispose();
        workspace.Dispose();
    }

    private static DateTime Changed(string path) => File.GetLastWriteTimeUtc(path);

    private string Artifact(string shape) => workspace.Built($"variants/npu/{shape}/tiny-reranker-0.1.0-rk3588-npu-{shape}.rknn");

    private async Task QuantizeAsync(RecordedToolkit with) => (await RunAsync(with)).Succeeded();

    private Task<HostRun> RunAsync(RecordedToolkit with, string target = "Quantize") =>
        workspace.RunAsync(("MODELPIPELINE_TOOLKIT_PYTHON", with.Python), $"--target={target}", "--model=tiny-reranker", "--variant=npu");
}
