using CsCheck;
using ModelPipeline.Latency;

namespace ModelPipeline.Tests.Latency;

/// <summary>Percentiles and how sure they are.</summary>
public sealed class LatencyFiguresTests
{
    private static readonly Gen<double[]> Times = Gen.Int[0, 50].Select(step => step / 4.0).Array[1, 60];

    [Fact]
    public void A_percentile_is_the_least_time_that_so_many_percent_of_the_runs_did_not_exceed() =>
        Gen.Select(Times, Gen.Int[1, 100])
            .Sample(
                (times, percent) =>
                    LatencyFigures.Percentile([.. times.Order()], percent)
                    == times.Where(time => 100 * times.Count(other => other <= time) >= percent * times.Length).Min()
            );

    [Fact]
    public void The_order_of_the_runs_does_not_matter_and_the_same_runs_give_the_same_intervals() =>
        Times.Sample(times => LatencyFigures.Of(times) == LatencyFigures.Of([.. times.Reverse()]), iter: 30);

    [Fact]
    public void An_interval_holds_its_figure_and_lies_within_the_runs() =>
        Times.Sample(
            times =>
            {
                var figures = LatencyFigures.Of(times);
                return figures.Runs == times.Length
                    && new[] { figures.Mean, figures.P50, figures.P95, figures.P99 }.All(estimate =>
                        times.Min() - 1e-9 <= estimate.Low
                        && estimate.Low <= estimate.Value
                        && estimate.Value <= estimate.High
                        && estimate.High <= times.Max() + 1e-9
                    );
            },
            iter: 30
        );

    [Fact]
    public void Runs_that_all_took_the_same_leave_no_doubt()
    {
        var figures = LatencyFigures.Of([.. Enumerable.Repeat(185.0, 40)]);
        Assert.All([figures.Mean, figures.P50, figures.P95, figures.P99], estimate => Assert.Equal(new Estimate(185, 185, 185), estimate));
    }

    /// <summary>Draws whose mean and percentiles are known; the interval should hold them 95 times of 100.</summary>
    [Theory]
    [InlineData("uniform", 0.5, 0.95)]
    [InlineData("exponential", 1.0, 2.9957322736)]
    public void Intervals_hold_the_true_figure_about_as_often_as_they_say(string distribution, double mean, double p95)
    {
        const int Trials = 400,
            Runs = 200;
        var random = new Random(7);
        var (means, medians, tails) = (0, 0, 0);
        for (var trial = 0; trial < Trials; trial++)
        {
            var figures = LatencyFigures.Of([.. Enumerable.Range(0, Runs).Select(_ => Draw())]);
            means += Holds(figures.Mean, mean);
            medians += Holds(figures.P50, distribution == "uniform" ? 0.5 : Math.Log(2));
            tails += Holds(figures.P95, p95);
        }
        // Of 400 trials, 0.95 plus or minus 3.3 standard deviations; the percentile bootstrap of a tail is known to fall a little short.
        Assert.InRange((double)means / Trials, 0.914, 0.986);
        Assert.InRange((double)medians / Trials, 0.914, 0.986);
        Assert.InRange((double)tails / Trials, 0.89, 0.986);

        double Draw() => distribution == "uniform" ? random.NextDouble() : -Math.Log(1 - random.NextDouble());
        static int Holds(Estimate estimate, double truth) => estimate.Low <= truth && truth <= estimate.High ? 1 : 0;
    }

    /// <summary>
    /// The bootstrap of a nearest-rank percentile can be computed: the resampled one is at most the i-th of n runs if at least k of n draws
    /// fall on the first i, a binomial probability.
    /// </summary>
    [Theory]
    [InlineData(50)]
    [InlineData(95)]
    public void The_interval_of_a_percentile_is_that_of_the_exact_bootstrap(int percent)
    {
        const int Runs = 100;
        var figures = LatencyFigures.Of([.. Enumerable.Range(1, Runs).Select(run => (double)run)]);
        var estimate = percent == 50 ? figures.P50 : figures.P95;
        // 999 resamples put the end of the interval within three standard deviations of its probability.
        Assert.InRange(Probability((int)estimate.Low), 0.025 - 0.015, 1);
        Assert.InRange(Probability((int)estimate.Low - 1), 0, 0.025 + 0.015);
        Assert.InRange(Probability((int)estimate.High), 0.975 - 0.015, 1);
        Assert.InRange(Probability((int)estimate.High - 1), 0, 0.975 + 0.015);

        double Probability(int value)
        {
            var (p, sum) = ((double)value / Runs, 0.0);
            for (var hits = percent * Runs / 100; hits <= Runs; hits++)
                sum +=
                    Math.Exp(LogFactorial(Runs) - LogFactorial(hits) - LogFactorial(Runs - hits))
                    * Math.Pow(p, hits)
                    * Math.Pow(1 - p, Runs - hits);
            return sum;
        }

        static double LogFactorial(int n) => Enumerable.Range(1, n).Sum(i => Math.Log(i));
    }

    [Fact]
    public void A_series_that_slows_down_says_so_and_a_steady_one_does_not()
    {
        Assert.Null(Of(Enumerable.Repeat(100, 30)).Slowdown());
        Assert.Null(Of(Enumerable.Range(0, 30).Select(run => run % 7 == 0 ? 300 : 100)).Slowdown());
        Assert.Null(Of(Enumerable.Range(0, 30).Select(run => 200 - run)).Slowdown());
        Assert.Null(Of([100, 900, 900]).Slowdown());
        Assert.Equal(1.5, Of(Enumerable.Range(0, 30).Select(run => run < 18 ? 100 : 150)).Slowdown()!.Value, 1e-9);

        static Series Of(IEnumerable<int> milliseconds) => Series.Of(milliseconds.Select(time => TimeSpan.FromMilliseconds(time)));
    }
}
