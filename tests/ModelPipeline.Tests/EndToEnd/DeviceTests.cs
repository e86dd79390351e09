using System.Diagnostics;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.EndToEnd;

/// <summary>The whole way to a board: the host, a real SSH server, the agent, a runtime library.</summary>
[Collection(QuickRuns.Name)]
public sealed class DeviceTests(QuickRun finished)
{
    [Theory]
    [InlineData("loopback", 1e-6)]
    [InlineData("loopback-arm64", 0.01)] // another instruction set adds in another order
    public async Task Validate_scores_on_the_named_device(string device, double tolerance)
    {
        using var workspace = finished.Copy();
        workspace.Edit(("queries: 10", "queries: 1"), ("kendall_tau: { min: 0.999 }", "kendall_tau: { min: 0.9 }"));
        (await workspace.RunAsync("--target=Validate:tiny-reranker:fp16")).Succeeded();
        var expected = Report(workspace);

        var run = (await workspace.RunAsync("--target=Validate:tiny-reranker:fp16", $"--device={device}")).Succeeded();

        var report = Report(workspace);
        Assert.Equal(
            (device, DeviceKind.Loopback, true, false),
            (report.Subject.Device, report.Subject.DeviceKind, report.Subject.Simulated, report.Subject.OnDevice)
        );
        Assert.DoesNotContain("ssh", run.Error, StringComparison.OrdinalIgnoreCase);
        foreach (var metric in new[] { Metric.NdcgAt10, Metric.KendallTau })
            Assert.Equal(expected.Figures[metric], report.Figures[metric], tolerance);
    }

    [Fact]
    public async Task A_device_that_is_not_declared_is_refused()
    {
        using var workspace = new Workspace();
        var run = await workspace.RunAsync("--target=Validate", "--device=loopbak");
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(
            "--device: 'loopbak' is not one of simulator, rk3588, ssh, loopback, loopback-arm64 (did you mean 'loopback'?)",
            run.Error
        );
    }

    [Fact]
    public async Task Interrupted_in_a_run_the_host_leaves_neither_processes_nor_files_behind()
    {
        using var workspace = finished.Copy();
        workspace.Edit(("queries: 10", "queries: 100"));
        var temporary = Directory.CreateDirectory(Path.Combine(workspace.Folder, "tmp")).FullName;
        using var host = new HostProcess(
            workspace.Folder,
            ["--target=Validate:tiny-reranker:cpu-int8", "--device=loopback"],
            new Dictionary<string, string> { ["TMPDIR"] = temporary }
        );
        await host.UntilAsync(() => Processes(temporary).Any(line => line.Contains("rknn-agent-")), "starting an agent");

        var stopping = Stopwatch.StartNew();
        host.Interrupt();
        var run = await host.EndAsync();

        Assert.Equal(130, run.ExitCode);
        Assert.True(stopping.Elapsed < TimeSpan.FromSeconds(20), $"{stopping.Elapsed}");
        await ProcessTable.UntilAsync(() => !Processes(temporary).Any(), () => string.Join('\n', Processes(temporary)));
        Assert.Empty(Directory.GetDirectories(temporary, "modelpipeline-loopback-*"));
    }

    [Fact]
    public async Task Killed_in_a_run_the_host_leaves_no_process_and_the_next_one_removes_its_files()
    {
        using var workspace = finished.Copy();
        workspace.Edit(("queries: 10", "queries: 100"));
        var temporary = Directory.CreateDirectory(Path.Combine(workspace.Folder, "tmp")).FullName;
        var environment = new Dictionary<string, string> { ["TMPDIR"] = temporary };
        string[] arguments = ["--target=Validate:tiny-reranker:cpu-int8", "--device=loopback"];
        using (var killed = new HostProcess(workspace.Folder, arguments, environment))
        {
            await killed.UntilAsync(() => Processes(temporary).Any(line => line.Contains("rknn-agent-")), "starting an agent");
            killed.Kill();
            await killed.EndAsync();
        }
        await ProcessTable.UntilAsync(() => !Processes(temporary).Any(), () => string.Join('\n', Processes(temporary)));
        var left = Assert.Single(Directory.GetDirectories(temporary, "modelpipeline-loopback-*"));
        Directory.SetLastWriteTimeUtc(left, DateTime.UtcNow.AddMinutes(-2)); // younger ones are not touched
        var foreign = Directory.CreateDirectory(Path.Combine(temporary, "modelpipeline-loopback-of-nobody")).FullName;
        Directory.SetLastWriteTimeUtc(foreign, DateTime.UtcNow.AddMinutes(-2));

        using var next = new HostProcess(workspace.Folder, arguments, environment);
        await next.UntilAsync(() => Processes(temporary).Any(line => line.Contains("rknn-agent-")), "starting an agent");

        Assert.False(Directory.Exists(left));
        Assert.True(Directory.Exists(foreign));
        next.Interrupt();
        Assert.Equal(130, (await next.EndAsync()).ExitCode);
        Assert.Equal([foreign], Directory.GetDirectories(temporary, "modelpipeline-loopback-*"));
    }

    private static ValidationReport Report(Workspace workspace) =>
        ReportJson.Read<ValidationReport>(workspace.Built("validation/fp16/1x128/validation.json"));

    /// <summary>Command lines of processes that name this folder.</summary>
    private static IEnumerable<string> Processes(string folder) =>
        ProcessTable.Running().Select(process => process.CommandLine).Where(line => line.Contains(folder, StringComparison.Ordinal));
}
