using ModelPipeline.Core;
using ModelPipeline.Searching;
using ModelPipeline.Sources;
using ModelPipeline.Tests.EndToEnd;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

/// <summary>Search with backend rknn: what the emulation ranks is built by the toolkit, and scored in its simulator.</summary>
public sealed class SearchWithToolkitTests : IDisposable
{
    private readonly Workspace workspace = new(
        ("    device: simulator\n", "    device: simulator\n    queries: 8\n"),
        ("samples: 200 ", "samples: 8 "),
        ("      int8:\n        backend: simulator\n", "      int8:\n        backend: rknn\n        search: { minutes: 0.001, builds: 1 }\n")
    );

    [Fact]
    public async Task A_search_goes_on_after_a_failure_builds_nothing_twice_and_what_it_chose_is_what_is_built()
    {
        await RealToolkit.OfAsync("2.3.2");
        using var broken = new RecordedToolkit("exit");
        Assert.Equal(1, (await RunAsync(broken.Python, "Search")).ExitCode);
        Assert.False(File.Exists(Path));

        (await RunAsync(RealToolkit.Variable, "Search")).Succeeded();
        var report = Report();
        Assert.Equal("the simulator of rknn-toolkit2 2.3.2", report.ScoredBy);
        Assert.Equal([false, true], report.Built.Select(built => built.IsWritten).Order());
        Assert.True(report.Figures["within_query_residual"] <= report.WrittenFigures["within_query_residual"]);
        Assert.DoesNotContain(workspace.Files().Keys, name => name.EndsWith(AtomicFile.TemporarySuffix, StringComparison.Ordinal));

        (await RunAsync(RealToolkit.Variable, "Quantize")).Succeeded();
        var file = Directory.EnumerateFiles(workspace.Built("variants/int8"), "*.rknn", SearchOption.AllDirectories).Single();
        Assert.Equal(report.Built.Single(built => built.Recipe == report.Choice).Mb, new FileInfo(file).Length / 1e6, 6);
        var @lock = ModelsLock.Load(System.IO.Path.Combine(workspace.Folder, ModelsLock.FileName));
        Assert.Equal(report.Choice, @lock.Recipes!["tiny-reranker:int8"]);

        // All that a search needs is kept: not even the toolkit has to work.
        File.Delete(Path);
        (await RunAsync(broken.Python, "Search")).Succeeded();
        Assert.Equal(ReportJson.Text(report), ReportJson.Text(Report()));
    }

    /// <summary>Each is built once more for it, from the first step that is kept.</summary>
    [Fact]
    public async Task A_board_times_what_keeps_to_the_limits()
    {
        using var folder = new TemporaryFolder();
        using var toolkit = new RecordedToolkit("runnable");
        workspace.Edit(
            ("  rk3588: { kind: local }", $"  board: {{ kind: local, runtime_library: {RecordedRuntime.Build(folder.File("runtime"))} }}"),
            ("minutes: 0.001, builds: 1", "minutes: 0.001, builds: 1, max_latency_ms: 100000")
        );
        var variables = new Dictionary<string, string>
        {
            [ToolkitEnvironment.PythonVariable] = toolkit.Python,
            ["MODELPIPELINE_LOCK"] = folder.File("lock"),
        };

        (
            await HostProcess.RunAsync(
                workspace.Folder,
                ["--target=Search", "--model=tiny-reranker", "--variant=int8", "--device=board"],
                variables
            )
        ).Succeeded();

        Assert.All(
            Report().Built,
            built =>
            {
                Assert.True(built.OnDevice, built.ToString());
                Assert.True(built.Ms > 0);
                Assert.Empty(built.Breaks);
            }
        );
        Assert.DoesNotContain(workspace.Files().Keys, name => name.EndsWith(AtomicFile.TemporarySuffix, StringComparison.Ordinal));
    }

    public void Dispose() => workspace.Dispose();

    private string Path => workspace.Built("search/int8/search.json");

    private SearchReport Report() => ReportJson.Read<SearchReport>(Path);

    private Task<HostRun> RunAsync(string python, string target) =>
        workspace.RunAsync((ToolkitEnvironment.PythonVariable, python), $"--target={target}", "--model=tiny-reranker", "--variant=int8");
}
