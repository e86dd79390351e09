using ModelPipeline.Manifest;
using ModelPipeline.Metrics;
using ModelPipeline.Toolkit;

namespace ModelPipeline.Tests.Toolkit;

public class LatencyEstimateTests
{
    private static readonly CompileReport Fp16 = CompileReport.Parse(Recordings.Text("tiny-fp16-verbose.log"));
    private static readonly CompileReport Int8 = CompileReport.Parse(Recordings.Text("tiny-int8-verbose.log"));
    private static readonly CompiledWork Estimated = CompiledWork.Of(Int8)!;

    [Fact]
    public void A_measured_file_is_estimated_at_what_was_measured_and_int8_at_about_half_of_fp16()
    {
        var itself = LatencyEstimate.Of(CompiledWork.Of(Fp16)!, [Measured(12)])!;
        var other = LatencyEstimate.Of(Estimated, [Measured(12)])!;

        Assert.Equal(12, itself.Milliseconds, 9);
        Assert.InRange(other.Milliseconds, 5.5, 6.5);
        Assert.InRange(other.High / other.Milliseconds, 2, 2.3);
        Assert.Equal(other.Milliseconds / other.Low, other.High / other.Milliseconds, 6);
        Assert.Equal("0.1 M cycles and 2.2 MB of traffic, scaled by 1 measured file (models.yaml: 12 ms)", other.Basis);
    }

    [Fact]
    public void More_measurements_that_agree_narrow_the_interval_and_such_that_do_not_widen_it()
    {
        double Width(params MeasuredLatency[] measured) => LatencyEstimate.Of(Estimated, measured) is { } estimate ? estimate.High / estimate.Low : 0;

        var one = Width(Measured(12));
        Assert.True(Width(Measured(12), Measured(12.1), Measured(11.9)) < one);
        Assert.True(Width(Measured(12), Measured(60)) > one);
    }

    [Fact]
    public void Without_a_measurement_or_a_whole_report_there_is_no_estimate()
    {
        Assert.Null(LatencyEstimate.Of(Estimated, []));
        Assert.Null(CompiledWork.Of(Int8 with { Complete = false }));
    }

    [Fact]
    public void The_basis_tells_what_was_measured_where()
    {
        Assert.EndsWith("scaled by 3 measured files (models.yaml: 12 ms; board: 11.8, 6 ms)", LatencyEstimate.Of(Estimated, [Measured(12), Measured(11.8, "board"), Measured(6, "board")])!.Basis);
    }

    private static MeasuredLatency Measured(double milliseconds, string source = "models.yaml") => new(source, "rk3588", "", CompiledWork.Of(Fp16)!, milliseconds);

    [Fact]
    public void Compile_limits_name_the_figure_and_the_limit()
    {
        var limits = new CompileLimits(["Gather", "Cast", "InputOperator", "OutputOperator"], WeightMb: 4.8, InternalMb: 8);

        Assert.Equal(
            [
                (GateResult.Failed, "compile.cpu_ops: Reshape fell back to the CPU; allowed are Gather, Cast, InputOperator, OutputOperator"),
                (GateResult.Failed, "compile.weight_mb 4.86 is above its maximum 4.80 by 0.06"),
                (GateResult.Passed, "compile.internal_mb 0.28 is within its maximum 8.00 by 7.72"),
            ],
            Judged(Int8, limits));
        Assert.All(Judged(Int8, new CompileLimits(Int8.CpuOperators, 70, 8)), gate => Assert.Equal(GateResult.Passed, gate.Result));
        Assert.Equal(2, Judged(CompileReport.Parse(""), new CompileLimits(["Gather"], WeightMb: 70)).Count(gate => gate.Result == GateResult.NotMeasured));
        Assert.Empty(Judged(Int8, new CompileLimits()));

        static IEnumerable<(GateResult Result, string)> Judged(CompileReport report, CompileLimits limits) =>
            CompileSummary.Of(report).Judge(limits).Select(gate => (gate.Result, gate.Statement));
    }

    [Fact]
    public void Two_reports_are_compared_figure_by_figure()
    {
        Assert.Equal(
            [new("cycles", "204953", "103067"), new("traffic_kb", "6437", "3258"), new("internal_kb", "553.312", "281.375"), new CompileChange("weight_kb", "5637.12", "4855.75")],
            CompileChange.Between(CompileSummary.Of(Fp16), CompileSummary.Of(Int8)));
        Assert.Empty(CompileChange.Between(CompileSummary.Of(Int8), CompileSummary.Of(Int8)));
    }
}
