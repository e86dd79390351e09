using ModelPipeline.Core;
using ModelPipeline.Metrics;
using ModelPipeline.Tests.EndToEnd;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.Toolkit;

public sealed class SeveralShapesOnBoardTests
{
    private const string Variants = """
            toolkit: 2.5.0
            variants:
              npu: { backend: rknn, precision: fp16 }

        """;

    [Fact]
    public async Task One_file_of_the_toolkit_runs_on_a_board_at_each_of_its_shapes()
    {
        using var folder = new TemporaryFolder();
        using var toolkit = new RecordedToolkit("runnable", "2.5.0");
        using var workspace = new Workspace(Workspace.TenQueries);
        File.WriteAllText(
            workspace.Manifest,
            ToolkitOnBoardRun.SampleVariants().Replace(File.ReadAllText(workspace.Manifest), Variants, count: 1)
        );
        workspace.Edit(
            ("[[1, 128]] ", "[[1, 64], [1, 128]] "),
            ("  rk3588: { kind: local }", $"  board: {{ kind: local, runtime_library: {RecordedRuntime.Build(folder.File("runtime"))} }}")
        );

        var variables = new Dictionary<string, string>
        {
            ["MODELPIPELINE_TOOLKIT_PYTHON"] = toolkit.Python,
            ["MODELPIPELINE_LOCK"] = folder.File("lock"),
        };
        (
            await HostProcess.RunAsync(workspace.Folder, ["--target=Validate", "--model=tiny-reranker", "--device=board"], variables)
        ).Succeeded();

        Assert.Single(Directory.GetFiles(workspace.Built("variants/npu"), "*.rknn", SearchOption.AllDirectories));
        var reports = Array.ConvertAll(
            ["1x64", "1x128"],
            shape => ReportJson.Read<ValidationReport>(workspace.Built($"validation/npu/{shape}/validation.json"))
        );
        // The runtime of the tests computes in fp32, as the reference at each shape does.
        Assert.All(reports, report => Assert.True(report.Subject.OnDevice));
        Assert.All(reports, report => Assert.InRange(report.Figures[Metric.KendallTau], 0.9999, 1));
        Assert.NotEqual(reports[0].Queries.Select(query => query.Scores), reports[1].Queries.Select(query => query.Scores));
    }
}
