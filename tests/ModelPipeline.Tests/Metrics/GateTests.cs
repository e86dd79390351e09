using CsCheck;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Metrics;

namespace ModelPipeline.Tests.Metrics;

public class GateTests
{
    private static readonly IReadOnlyDictionary<string, double> None = new Dictionary<string, double>();

    [Theory]
    [InlineData(0.74, GateResult.Passed, "drop of ndcg_at_10 from release 1.2.0 0.010 is within its maximum 0.020 by 0.010")]
    [InlineData(0.72, GateResult.Failed, "drop of ndcg_at_10 from release 1.2.0 0.030 is above its maximum 0.020 by 0.010")]
    [InlineData(null, GateResult.NotMeasured, "ndcg_at_10 not measured here and in release 1.2.0 alike")]
    public void A_gate_against_the_last_release_judges_what_it_recorded(double? now, GateResult result, string statement)
    {
        var gate = new GateSpec(Metric.NdcgAt10, 0.5, null, null) { MaxDropVsRelease = 0.02 };
        var figures = now is { } figure ? new Dictionary<string, double> { [Metric.NdcgAt10] = figure } : [];
        var released = new ReleasedFigures("1.2.0", new Dictionary<string, double> { [Metric.NdcgAt10] = 0.75 }, null);
        var outcome = Gate.Judge(gate, figures, released);
        Assert.Equal((result, statement), (outcome.Result, outcome.Statement));
    }

    [Fact]
    public void Without_a_release_to_compare_with_it_passes_and_says_why()
    {
        var gate = new GateSpec(Metric.NdcgAt10, 0.5, null, null) { MaxDropVsRelease = 0.02 };
        var outcome = Gate.Judge(gate, None, ReleasedFigures.None("there is no release before this one"));
        Assert.Equal(
            (GateResult.Passed, null, "drop of ndcg_at_10 from the last release: there is no release before this one"),
            (outcome.Result, outcome.Figure, outcome.Statement)
        );
    }

    [Fact]
    public void A_figure_below_its_minimum_fails_and_says_by_how_much()
    {
        var outcome = Judge(new("kendall_tau", 0.9, null, null), 0.871);
        Assert.Equal(
            new("kendall_tau", GateResult.Failed, 0.871, 0.9, -0.029, "kendall_tau 0.871 is below its minimum 0.900 by 0.029"),
            outcome
        );
    }

    [Theory]
    [InlineData(0.9, 0.9, "kendall_tau 0.900 is within its minimum 0.900 by 0.000", GateResult.Passed)]
    [InlineData(0.95, 0.9, "kendall_tau 0.950 is within its minimum 0.900 by 0.050", GateResult.Passed)]
    [InlineData(0.899999, 0.9, "kendall_tau 0.899999 is below its minimum 0.900000 by 0.000001", GateResult.Failed)]
    [InlineData(0.9, 0.99995, "kendall_tau 0.90000 is below its minimum 0.99995 by 0.09995", GateResult.Failed)]
    public void A_sentence_never_shows_a_missed_limit_as_met(double figure, double minimum, string statement, GateResult result)
    {
        var outcome = Judge(new("kendall_tau", minimum, null, null), figure);
        Assert.Equal((statement, result), (outcome.Statement, outcome.Result));
    }

    [Fact]
    public void A_maximum_limits_from_above()
    {
        Assert.Equal("tied_pairs 12 is above its maximum 10 by 2", Judge(new("tied_pairs", null, 10, null), 12).Statement);
        Assert.Equal(GateResult.Passed, Judge(new("size_mb", null, 4.4, null), 4.4).Result);
    }

    [Fact]
    public void A_drop_is_taken_from_fp32s_figure_without_binary_rounding_error()
    {
        var gate = new GateSpec("ndcg_at_10", null, null, 0.01);
        var reference = new Dictionary<string, double> { ["ndcg_at_10"] = 0.763 };
        Assert.Equal(GateResult.Passed, Judge(gate, 0.753, reference).Result);
        Assert.Equal(GateResult.Passed, Judge(gate, 0.9, reference).Result);
        var failed = Judge(gate, 0.7, reference);
        Assert.Equal("drop of ndcg_at_10 from fp32 0.063 is above its maximum 0.010 by 0.053", failed.Statement);
        Assert.Equal(GateResult.NotMeasured, Judge(gate, 0.763).Result);
    }

    [Fact]
    public void Latency_counts_only_when_measured_on_a_device()
    {
        var gate = new GateSpec("latency_p95_ms", null, 100, null);
        var simulated = Judge(gate, 1, onDevice: false);
        Assert.Equal((GateResult.NotMeasured, "latency_p95_ms not measured: needs a device"), (simulated.Result, simulated.Statement));
        Assert.Null(simulated.Figure);
        Assert.Equal(GateResult.NotMeasured, Gate.Judge(gate, None, None, onDevice: true).Result);
        Assert.Equal(GateResult.Passed, Judge(gate, 99.9, onDevice: true).Result);
        Assert.Equal("latency_p95_ms 185.0 is above its maximum 100.0 by 85.0", Judge(gate, 185, onDevice: true).Statement);
    }

    [Fact]
    public void A_figure_that_the_validation_does_not_give_is_not_measured() =>
        Assert.Equal(GateResult.NotMeasured, Gate.Judge(new("cosine_min", 0.9, null, null), None, None, onDevice: false).Result);

    /// <summary>The half above the limit, 0.021, needs to be 0.013: (0.021 / 0.013)^2 times the queries.</summary>
    [Theory]
    [InlineData(0.929, GateResult.Passed, "kendall_tau 0.953 is within its minimum 0.929 by 0.024, and the 95 % interval ends at 0.932")]
    [InlineData(
        0.94,
        GateResult.Undecided,
        "undecided: kendall_tau 0.953 is within its minimum 0.940 by 0.013, but the 95 % interval ends at 0.932: needs about 280 queries"
    )]
    [InlineData(0.96, GateResult.Failed, "kendall_tau 0.953 is below its minimum 0.960 by 0.007")]
    [InlineData(
        0.953,
        GateResult.Undecided,
        "undecided: kendall_tau 0.953 is within its minimum 0.953 by 0.000, "
            + "but the 95 % interval ends at 0.932: no number of queries decides"
    )]
    public void With_a_confidence_the_bad_end_of_the_interval_is_judged(double minimum, GateResult result, string statement)
    {
        var outcome = Confident(new("kendall_tau", minimum, null, null) { Confidence = 0.95 }, new(0.932, 0.966, 0.01, 107));
        Assert.Equal((result, statement), (outcome.Result, outcome.Statement));
        Assert.Null(outcome.ChanceOfOther);
    }

    [Fact]
    public void A_drop_is_judged_by_the_upper_end_of_the_drops_interval()
    {
        var gate = new GateSpec("ndcg_at_10", null, null, 0.01) { Confidence = 0.95 };
        var intervals = new Intervals(
            new Dictionary<string, Interval> { ["ndcg_at_10"] = new(0.7, 0.8, 0.02, 107) },
            new Dictionary<string, Interval> { ["ndcg_at_10"] = new(-0.004, 0.009, 0.003, 107) }
        );
        Assert.Equal(GateResult.Passed, At(gate));
        Assert.Equal(GateResult.Undecided, At(gate with { MaxDrop = 0.008 }));
        Assert.Equal(GateResult.Passed, At(gate with { MaxDrop = 0.008, Confidence = 0.8 }));

        GateResult At(GateSpec judged) =>
            Gate.Judge(
                judged,
                new Dictionary<string, double> { ["ndcg_at_10"] = 0.76 },
                new Dictionary<string, double> { ["ndcg_at_10"] = 0.763 },
                onDevice: false,
                intervals
            ).Result;
    }

    [Fact]
    public void Too_few_queries_decide_nothing()
    {
        var gate = new GateSpec("kendall_tau", 0.5, null, null) { Confidence = 0.95 };
        var few = Confident(gate, new(0.953, 0.953, 0, 19));
        Assert.Equal((GateResult.Undecided, 20), (few.Result, few.Needs));
        Assert.EndsWith("but 19 queries say nothing of chance: needs about 20 queries", few.Statement);
        Assert.Equal("undecided: needs about 20 queries", few.Verdict);
        Assert.Equal(GateResult.Undecided, Judge(gate, 0.953).Result);
        Assert.Equal(GateResult.Passed, Confident(gate, new(0.953, 0.953, 0, 20)).Result);
    }

    [Fact]
    public void Without_a_confidence_the_chance_of_another_verdict_is_told()
    {
        var outcome = Confident(new("kendall_tau", 0.94, null, null), new(0.932, 0.966, 0.01, 107));
        Assert.Equal((GateResult.Passed, "kendall_tau 0.953 is within its minimum 0.940 by 0.013"), (outcome.Result, outcome.Statement));
        Assert.Equal(0.179, outcome.ChanceOfOther!.Value, 0.0005);
    }

    [Fact]
    public void What_is_undecided_is_no_pass_and_holds_no_more_than_what_failed() =>
        Assert.Equal([true, false, false, true], Enum.GetValues<GateResult>().Select(result => result.Holds()));

    private static GateOutcome Confident(GateSpec gate, Interval interval) =>
        Gate.Judge(
            gate,
            new Dictionary<string, double> { [gate.Metric] = 0.953 },
            None,
            onDevice: false,
            new(new Dictionary<string, Interval> { [gate.Metric] = interval }, new Dictionary<string, Interval>())
        );

    [Fact]
    public void A_gate_without_exactly_one_finite_limit_or_with_an_unknown_metric_is_a_configuration_error()
    {
        GateSpec[] wrong =
        [
            new("kendall_tau", null, null, null),
            new("kendall_tau", 0.9, 1, null),
            new("kendall_tau", double.NaN, null, null),
            new("kendal_tau", 0.9, null, null),
        ];
        Assert.All(
            wrong,
            gate =>
            {
                var error = Assert.Throws<PipelineException>(() => Judge(gate, 0.95));
                Assert.Equal(PipelineException.ConfigurationError, error.ExitCode);
                Assert.Contains(gate.Metric, error.Message);
            }
        );
    }

    [Fact]
    public void Result_and_margin_agree_for_any_figures_of_six_decimals() =>
        Gen.Select(Gen.Int[-2_000_000, 2_000_000], Gen.Int[-2_000_000, 2_000_000], Gen.Bool)
            .Sample(
                (figure, limit, minimum) =>
                {
                    var outcome = Judge(
                        minimum ? new("spearman", limit / 1e6, null, null) : new("spearman", null, limit / 1e6, null),
                        figure / 1e6
                    );
                    var margin = minimum ? figure - limit : limit - figure;
                    Assert.Equal(margin / 1e6, outcome.Margin!.Value, 1e-9);
                    Assert.Equal(margin >= 0 ? GateResult.Passed : GateResult.Failed, outcome.Result);
                }
            );

    private static GateOutcome Judge(
        GateSpec gate,
        double figure,
        IReadOnlyDictionary<string, double>? reference = null,
        bool onDevice = false
    ) => Gate.Judge(gate, new Dictionary<string, double> { [gate.Metric] = figure }, reference ?? None, onDevice);
}
