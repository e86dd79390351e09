using System.Text.Json;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;
using ModelPipeline.Text;
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

    /// <summary>Short passages as fp32 has them, long ones the other way round: good on average, bad where it is long.</summary>
    [Fact]
    public void A_gate_on_slices_tells_which_part_fails_though_the_whole_passes()
    {
        var queries = Enumerable
            .Range(0, 30)
            .Select(q => new CorpusQuery(
                $"q{q}",
                q % 2 == 0 ? "two words" : "a question of no less than nine words, all told",
                ["a", "b", "c", "d"],
                new Dictionary<string, int> { ["a"] = 1, ["d"] = 1 }
            ))
            .ToList();
        float[][] reference = [.. queries.Select(_ => new float[] { 4, 3, 2, 1 })],
            scores = [.. queries.Select(_ => new float[] { 4, 3, 1, 2 })];
        int[] tokens = [.. queries.SelectMany(_ => new[] { 60, 64, 65, 128 })];
        var slices = SliceFigures.Of(queries, tokens, reference, scores);
        Assert.Equal(
            ["length up to 64 tokens", "length 65 to 128 tokens", "query up to 4 words", "query more than 8 words"],
            slices.Select(slice => $"{slice.By} {slice.Name}")
        );
        Assert.Equal([60, 60, 60, 60], slices.Select(slice => slice.Pairs));
        Assert.Equal([1, -1, 2 / 3.0, 2 / 3.0], slices.Select(slice => slice.Figures[Metric.KendallTau]), new Near());
        // d, the only relevant one of its length, was second and is first now.
        Assert.Equal((1 / Math.Log2(3), 1), (slices[1].Reference[Metric.NdcgAt10], slices[1].Figures[Metric.NdcgAt10]), new NearPair());

        var report = SampleReports.Of("int8_normal", 1) with { Slices = slices };
        var gate = new GateSpec(Metric.KendallTau, 0.6, null, null) { ByLength = true };
        var judged = report.Timed([gate], new Dictionary<string, double>(), new Dictionary<string, double>()).Gates;
        Assert.Equal([GateResult.Passed, GateResult.Passed, GateResult.Failed], judged.Select(each => each.Result));
        Assert.Equal("length 65 to 128 tokens: kendall_tau -1.000 is below its minimum 0.600 by 1.600", judged[2].Statement);
    }

    private sealed class Near : IEqualityComparer<double>
    {
        public bool Equals(double x, double y) => Math.Abs(x - y) < 1e-6;

        public int GetHashCode(double value) => 0;
    }

    private sealed class NearPair : IEqualityComparer<(double, double)>
    {
        public bool Equals((double, double) x, (double, double) y) =>
            Math.Abs(x.Item1 - y.Item1) < 1e-6 && Math.Abs(x.Item2 - y.Item2) < 1e-6;

        public int GetHashCode((double, double) value) => 0;
    }
}
