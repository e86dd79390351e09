using ModelPipeline.Manifest;

namespace ModelPipeline.Planning;

/// <summary>
/// Time of operators by rates: each takes the larger of its arithmetic and its traffic. Arithmetic slows down by what exceeds the on-chip
/// buffer:
/// the input of a product, the scores of a head. Attention gains nothing from int8: on boards it took the same time in both.
/// </summary>
internal sealed class OperatorTime
{
    private const double NominalMhz = 1000;

    private readonly double[] rates;

    /// <param name="log">Logarithm of each rate.</param>
    public OperatorTime(IEnumerable<double> log) => rates = [.. log.Take(RateTable.All.Count).Select(Math.Exp)];

    /// <summary>Milliseconds of one run of all.</summary>
    public double Of(IReadOnlyList<OperatorWork> operators, RunPlace place)
    {
        var total = 0.0;
        foreach (var work in operators)
            total += place.Cpu ? OnCpu(work, place.Precision) : work.Count * Shared(work, place) * Single(work, place.Precision) / 1e6;
        return total
            * (place.Cpu ? 1 : Clock(place) * (RateTable.TryFactor(place.Chip, out var factor) && factor is { } rate ? this[rate] : 1));
    }

    private double this[Rate rate] => rates[(int)rate];

    /// <summary>Nanoseconds of one operator on one core of an RK3588.</summary>
    private double Single(OperatorWork work, Precision precision)
    {
        var bytes = OperatorWork.BytesOf(precision);
        return work.Class switch
        {
            OperatorClass.Attention => Math.Max(
                (double)work.Rows
                    * work.Inner
                    * work.Inner
                    * this[Rate.Attention]
                    * Slowdown(Rate.AttentionExcess, 2.0 * work.Inner * work.Inner),
                Traffic(4 * work.Outputs * bytes)
            ),
            OperatorClass.Linear => Math.Max(
                (
                    (double)work.Rows
                    * work.Inner
                    * work.Columns
                    * this[Rate.Linear]
                    / 1000
                    * (precision == Precision.W8A8 ? this[Rate.Int8] : 1)
                    * Slowdown(Rate.LinearExcess, (double)work.Rows * work.Inner * bytes)
                ) + (work.Gelu ? work.Outputs * this[Rate.Gelu] : 0),
                Traffic((((double)work.Inner * work.Columns) + ((double)work.Rows * work.Inner) + work.Outputs) * bytes)
            ),
            OperatorClass.Norm => Math.Max(work.Outputs * this[Rate.Norm], Traffic(2 * work.Outputs * bytes)),
            OperatorClass.Elementwise => Math.Max(work.Outputs * this[Rate.Elementwise], Traffic(3 * work.Outputs * bytes)),
            OperatorClass.Gather => work.Outputs * 2 / this[Rate.HostBandwidth],
            OperatorClass.Host => this[Rate.Run] * 1e6,
            _ => throw new ArgumentOutOfRangeException(nameof(work)),
        };
    }

    /// <summary>Milliseconds on the CPU, which multiplies at one speed.</summary>
    private double OnCpu(OperatorWork work, Precision precision) =>
        work.Macs * this[precision == Precision.W8A8 ? Rate.CpuInt8 : Rate.CpuFp32] / 1e9;

    /// <summary>Nanoseconds.</summary>
    private double Traffic(double bytes) => bytes / this[Rate.Bandwidth];

    private double Slowdown(Rate excess, double bytes) => 1 + (this[excess] * Math.Max(0, (bytes / (this[Rate.Buffer] * 1e6)) - 1));

    /// <summary>What is left of an operator's time if cores share it: attention stays on one.</summary>
    private double Shared(OperatorWork work, RunPlace place) =>
        work.Class is OperatorClass.Attention or OperatorClass.Gather or OperatorClass.Host || place.Cores == 1
            ? 1
            : 1 - (Math.Min(1, this[Rate.JointShare]) * (1 - (1.0 / place.Cores)));

    private double Clock(RunPlace place) => 1 + (Math.Min(1, this[Rate.ClockBound]) * ((NominalMhz / (place.Mhz ?? NominalMhz)) - 1));
}
