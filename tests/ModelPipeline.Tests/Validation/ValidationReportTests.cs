using System.Text.Json;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.Validation;

public sealed class ValidationReportTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("validation-").FullName;

    private string ReportPath => Path.Combine(_folder, "validation.json");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_report_reads_back_as_it_was_written()
    {
        ReportJson.Write(ReportPath, SampleReports.All[1]);
        var bytes = File.ReadAllBytes(ReportPath);
        ReportJson.Write(ReportPath, ReportJson.Read<ValidationReport>(ReportPath));
        Assert.Equal(bytes, File.ReadAllBytes(ReportPath));
        Assert.DoesNotContain((byte)'\r', bytes);
        Assert.Equal((byte)'\n', bytes[^1]);
    }

    [Fact]
    public void The_file_says_what_was_simulated_and_holds_figures_gates_and_every_query()
    {
        ReportJson.Write(ReportPath, SampleReports.All[2]);
        var json = JsonDocument.Parse(File.ReadAllBytes(ReportPath)).RootElement;
        Assert.True(json.GetProperty("subject").GetProperty("simulated").GetBoolean());
        Assert.Equal(0.76287, json.GetProperty("reference").GetProperty("ndcg_at_10").GetDouble());
        Assert.Equal(2.732811, json.GetProperty("figures").GetProperty("size_mb").GetDouble());
        Assert.Equal(
            ["failed", "failed", "passed", "not_measured"],
            json.GetProperty("gates").EnumerateArray().Select(gate => gate.GetProperty("result").GetString())
        );
        Assert.Equal("w8a8", json.GetProperty("subject").GetProperty("precision").GetString());
        Assert.Equal(107, json.GetProperty("queries").GetArrayLength());
        Assert.Equal(107, File.ReadLines(ReportPath).Count(line => line.StartsWith("    {\"id\":\"q", StringComparison.Ordinal)));
        Assert.False(SampleReports.All[2].Holds);
        Assert.True(SampleReports.All[1].Holds);
    }

    [Theory]
    [InlineData(Backend.Simulator, DeviceKind.Simulator, true, false)]
    [InlineData(Backend.Simulator, DeviceKind.Ssh, true, false)]
    [InlineData(Backend.Rknn, DeviceKind.Simulator, true, false)]
    [InlineData(Backend.Rknn, DeviceKind.Ssh, false, true)]
    [InlineData(Backend.Onnx, DeviceKind.Simulator, false, false)]
    [InlineData(Backend.Onnx, DeviceKind.Local, false, true)]
    public void Only_a_variant_that_ran_itself_on_a_board_has_measured_latency(
        Backend backend,
        DeviceKind device,
        bool simulated,
        bool measured
    )
    {
        var report = SampleReports.Of("fp16", 4_397_502, backend, device, p95: 1);
        Assert.Equal((simulated, measured), (report.Subject.Simulated, report.Gates[^1].Result == GateResult.Passed));
        Assert.Equal(1, report.Figures[Metric.LatencyP95Ms]);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{\"subject\": null}")]
    [InlineData("{\"subject\": {}, \"reference\": {}, \"figures\": {}, \"gates\": [], \"queries\": [], \"texts\": []}")]
    public void A_file_that_is_no_report_is_refused_by_name(string content)
    {
        File.WriteAllText(ReportPath, content);
        Assert.Contains(ReportPath, Assert.Throws<PipelineException>(() => ReportJson.Read<ValidationReport>(ReportPath)).Message);
        Assert.Contains(
            "missing.json",
            Assert.Throws<PipelineException>(() => ReportJson.Read<ValidationReport>(Path.Combine(_folder, "missing.json"))).Message
        );
    }
}
