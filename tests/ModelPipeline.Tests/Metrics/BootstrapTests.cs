using ModelPipeline.Core;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;
using ModelPipeline.Tests.Validation;

namespace ModelPipeline.Tests.Metrics;

public class BootstrapTests
{
    private static readonly TaskFigures Fp32 = Measured("fp32");
    private static readonly TaskFigures Int8 = Measured("int8_normal");

    [Fact]
    public void Figures_that_say_so_have_an_interval_that_holds_them_and_others_have_none()
    {
        var intervals = Bootstrap.Of(Int8.Samples, Fp32.Samples);
        Assert.Equal(ModelTask.Rerank.Metrics.Where(name => Metric.Named(name).HasInterval).Order(), intervals.Figures.Keys.Order());
        Assert.All(
            intervals.Figures,
            pair =>
            {
                var (figure, metric) = (Int8.Figures[pair.Key], Metric.Named(pair.Key));
                Assert.InRange(figure, pair.Value.Low, pair.Value.High);
                Assert.InRange(pair.Value.Low, metric.Low ?? double.MinValue, figure);
                Assert.InRange(pair.Value.High, figure, metric.High ?? double.MaxValue);
                // All relevant passages of the sample are candidates, of which there are ten.
                Assert.Equal(pair.Key == Metric.RecallAt10, pair.Value.Low == pair.Value.High);
            }
        );
        Assert.Equal(107, intervals.Figures[Metric.KendallTau].Units);
        // tau of fp32 to itself is 1 for every query: the drop's interval is tau's, mirrored.
        var (tau, drop) = (intervals.Figures[Metric.KendallTau], intervals.Drops[Metric.KendallTau]);
        Assert.Equal((1 - tau.High, 1 - tau.Low, tau.Error), (drop.Low, drop.High, drop.Error), Near);
        // Paired: a drop is far surer than the two figures that it is of.
        Assert.True(intervals.Drops[Metric.NdcgAt10].Error < intervals.Figures[Metric.NdcgAt10].Error / 3);
    }

    [Fact]
    public void The_same_scores_have_the_same_intervals_and_no_drop() =>
        Assert.All(
            [Bootstrap.Of(Fp32.Samples, Fp32.Samples), Bootstrap.Of(Measured("fp32").Samples, Measured("fp32").Samples)],
            intervals =>
            {
                Assert.Equal(Bootstrap.Of(Fp32.Samples, Fp32.Samples).Figures, intervals.Figures);
                Assert.All(intervals.Drops.Values, drop => Assert.Equal((0, 0, 0), (drop.Low, drop.High, drop.Error)));
            }
        );

    /// <summary>Standard errors by hand: of a mean of 1, 2, 3, 6 with n - 1, of a ratio by the delta method, of a root of a mean.</summary>
    [Fact]
    public void Errors_are_those_computed_by_hand()
    {
        Assert.Equal(Math.Sqrt(14 / 3.0 / 4), Error(new([1, 2, 3, 6], [1, 1, 1, 1])), 1e-6);
        Assert.Equal(4 * Math.Sqrt(14 / 3.0 / 4), Error(new([1, 2, 3, 6], [1, 1, 1, 1]) { Form = SampleForm.Total }), 1e-6);
        Assert.Equal(
            Math.Sqrt(14 / 3.0 / 4) / (2 * Math.Sqrt(3)),
            Error(new([1, 2, 3, 6], [1, 1, 1, 1]) { Form = SampleForm.RootMean }),
            1e-6
        );
        // 3 / 4 of the pairs; the residuals 1 - 0.75 * 1 and 2 - 0.75 * 3, over a mean weight of 2.
        Assert.Equal(Math.Sqrt((0.25 * 0.25 + 0.25 * 0.25) / 4 / 2), Error(new([1, 2], [1, 3])), 1e-6);
        // A query without the figure is none.
        Assert.Equal(Error(new([1, 2, 3], [1, 1, 1])), Error(new([1, 0, 2, 3], [1, 0, 1, 1])), 1e-6);

        static double Error(Sample sample) => Of(sample).Error;
    }

    /// <summary>Wilson's interval of 20 of 20, as tables have it: 0.839 to 1.</summary>
    [Fact]
    public void A_share_of_all_is_not_certain()
    {
        var interval = Of(Sample.Mean([.. Enumerable.Repeat((double?)1, 20)]) with { IsShare = true }, Metric.Top1Agreement);
        Assert.Equal((0.839, 1), (Math.Round(interval.Low, 3), interval.High));
    }

    /// <summary>The resamples' deviation of rho with everything ranked anew in each of them.</summary>
    [Theory]
    [InlineData("int8_normal")]
    [InlineData("int8_unmasked_normal")]
    public void Spearmans_error_is_that_of_resamples_ranked_anew(string build)
    {
        var (reference, scores) = (TinyScores.Of("fp32"), TinyScores.Of(build));
        var random = new SplitMix64(3);
        double[] drawn =
        [
            .. Enumerable
                .Range(0, 400)
                .Select(_ =>
                {
                    int[] queries = [.. reference.Select(_ => random.Between(0, reference.Length - 1))];
                    return RankCorrelation.Spearman<float>(
                        [.. queries.SelectMany(query => reference[query])],
                        [.. queries.SelectMany(query => scores[query])]
                    );
                }),
        ];
        var mean = drawn.Average();
        var deviation = Math.Sqrt(drawn.Average(rho => (rho - mean) * (rho - mean)));
        var error = Bootstrap.Of(Measured(build).Samples, Fp32.Samples).Figures[Metric.Spearman].Error;
        Assert.InRange(error / deviation, 0.85, 1.15);
    }

    [Fact]
    public void Influences_on_spearman_are_those_of_leaving_a_query_out()
    {
        int[] x = [1, 2, 2, 5, 4, 9, 7],
            y = [2, 1, 2, 3, 3, 8, 1];
        double[] influences = RankCorrelation.SpearmanInfluences([.. x], [.. y]);
        Assert.Equal(0, influences.Sum(), 1e-9);
        // An item a thousandth heavier: all others as often, a thousand times over.
        for (var item = 0; item < x.Length; item++)
        {
            double[] Heavier(int[] values) =>
                [.. values.SelectMany((value, i) => Enumerable.Repeat((double)value, i == item ? 1001 : 1000))];
            var change = RankCorrelation.Spearman<double>(Heavier(x), Heavier(y)) - RankCorrelation.Spearman<int>(x, y);
            Assert.Equal(change * x.Length * 1000, influences[item], 0.01);
        }
    }

    /// <summary>200 corpora of 30 queries, drawn from the sample's: how often their intervals hold the figure of all.</summary>
    [Fact]
    public void Intervals_hold_the_figure_of_all_queries_in_93_to_97_of_100_corpora()
    {
        (string Metric, string Build, bool IsDrop)[] cases =
        [
            (Metric.KendallTau, "int8_normal", false),
            (Metric.KendallTau, "int8_kl_divergence", false),
            (Metric.NdcgAt10, "int8_normal", false),
            (Metric.NdcgAt10, "int8_kl_divergence", true),
            (Metric.MeanScoreDifference, "int8_normal", false),
        ];
        double[] held = [.. cases.Select(each => Held(each.Metric, each.Build, each.IsDrop))];
        // Of 1,000 intervals together, and of 200 each as far as chance lets them go.
        Assert.InRange(held.Average(), 0.93, 0.97);
        Assert.All(held, share => Assert.InRange(share, 0.9, 0.99));
    }

    private static double Held(string metric, string build, bool isDrop)
    {
        const int Corpora = 200;
        var (own, whole) = (Measured(build).Samples[metric], Fp32.Samples[metric]);
        var random = new SplitMix64(41);
        var held = 0;
        var truth = isDrop ? whole.Figure - own.Figure : own.Figure;
        for (var corpus = 0; corpus < Corpora; corpus++)
        {
            int[] drawn = [.. Enumerable.Range(0, 30).Select(_ => random.Between(0, own.Sums.Length - 1))];
            var intervals = Bootstrap.Of(Few(own), Few(whole));
            var interval = isDrop ? intervals.Drops[metric] : intervals.Figures[metric];
            held += interval.Low <= truth + 1e-6 && truth <= interval.High + 1e-6 ? 1 : 0;

            Dictionary<string, Sample> Few(Sample sample) =>
                new() { [metric] = new([.. drawn.Select(i => sample.Sums[i])], [.. drawn.Select(i => sample.Weights[i])]) };
        }
        return (double)held / Corpora;
    }

    [Fact]
    public void At_another_confidence_ends_are_nearer_or_farther()
    {
        var interval = new Interval(0.8, 0.95, 0.04, 50);
        Assert.Equal((0.8, 0.95), interval.At(0.9, 0.95), Near2);
        Assert.Equal(0.9 - (0.1 * 1.644854 / 1.959964), interval.At(0.9, 0.9).Low, 1e-6);
        // Both vary: a limit one and a half standard errors away is beyond in one of seven.
        Assert.Equal(0.144, interval.ChanceBeyond(0.06), 0.001);
        Assert.Equal(0, new Interval(1, 1, 0, 50).ChanceBeyond(0.1));
    }

    private static readonly EqualityComparer<(double, double, double)> Near = EqualityComparer<(double A, double B, double C)>.Create(
        (x, y) => Math.Abs(x.A - y.A) < 2e-6 && Math.Abs(x.B - y.B) < 2e-6 && Math.Abs(x.C - y.C) < 2e-6
    );

    private static readonly EqualityComparer<(double, double)> Near2 = EqualityComparer<(double A, double B)>.Create(
        (x, y) => Math.Abs(x.A - y.A) < 1e-9 && Math.Abs(x.B - y.B) < 1e-9
    );

    private static Interval Of(Sample sample, string metric = Metric.MeanScoreDifference) =>
        Bootstrap.Of(new Dictionary<string, Sample> { [metric] = sample }, new Dictionary<string, Sample>()).Figures[metric];

    private static TaskFigures Measured(string build) =>
        RerankValidation.Measure(TinyScores.Queries, TinyScores.Of("fp32"), TinyScores.Of(build));
}
