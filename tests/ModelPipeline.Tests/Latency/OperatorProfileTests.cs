using ModelPipeline.Latency;
using ModelPipeline.Manifest;
using ModelPipeline.Planning;

namespace ModelPipeline.Tests.Latency;

/// <summary>What single operators took, and what estimates learn from it.</summary>
public sealed class OperatorProfileTests
{
    private static readonly EncoderShape Reranker = new(12, 384, 12, 1536) { Vocabulary = 30522, Positions = 512 };
    private static readonly int[] Lengths = [64, 128, 256];
    private static readonly Lazy<LatencyModel> Public = new(() => LatencyModel.Fit(LatencyData.Public()));

    /// <summary>A run whose operators are asked for.</summary>
    internal static LatencyRow Run { get; } =
        new()
        {
            Name = "fp16 1x128",
            Session = "stand-in",
            Chip = "rk3588",
            Precision = Precision.Fp16,
            Ms = 1,
            Source = "a table",
            Operators = [new(OperatorClass.Host, 1, 1, 1)],
            Own = true,
        };

    [Fact]
    public void Equal_operators_are_counted_and_each_takes_its_median_over_the_runs()
    {
        LayerTable Table(params int[] times) =>
            LayerTable.Parse(
                "ID OpType DataType Target InputShape OutputShape Time(us)\n"
                    + string.Join('\n', times.Select((time, id) => $"{id} exNorm FLOAT16 NPU (1,8,1,4) (1,8,1,4) {time}"))
            );

        var profile = OperatorProfile.Of([Table(30, 40), Table(9000, 41), Table(31, 9000), Table(7)], emulated: false);

        Assert.Equal(
            new ProfiledOperator("exNorm", "FLOAT16", "NPU", OperatorClass.Norm, 2, 0.072)
            {
                Work = new OperatorWork(OperatorClass.Norm, 4, 1, 8) { Count = 2 },
            },
            Assert.Single(profile.Operators)
        );
        Assert.Equal("fp16 1x128 exNorm FLOAT16 4x1x8", Assert.Single(profile.Rows(Run)).Name);
    }

    [Fact]
    public void Classes_tell_shares_counts_and_where_they_run_the_longest_first()
    {
        var profile = Profile(RateTable.LogPriors, 256).Expecting((work, _) => work.Class == OperatorClass.Norm ? 2.5 : null);

        Assert.Equal(profile.Classes.Select(each => each.Ms).OrderDescending(), profile.Classes.Select(each => each.Ms));
        Assert.Equal(
            [(OperatorClass.Attention, 12), (OperatorClass.Linear, 72), (OperatorClass.Norm, 24), (OperatorClass.Elementwise, 37)],
            profile
                .Classes.Where(each => each.Targets is [{ Key: "NPU" }])
                .Select(each => (each.Class, each.Count))
                .OrderBy(each => each.Class)
        );
        Assert.Equal(
            (2, "CPU"),
            (profile.Classes.Single(each => each.Class == OperatorClass.Host).Count, profile.Classes[^1].Targets[0].Key)
        );
        Assert.Equal((2.5, null), (Of(OperatorClass.Norm).ExpectedMs, Of(OperatorClass.Attention).ExpectedMs));
        Assert.Matches(@"^attention \d\d %, linear \d\d %, ", profile.Shares);

        ClassTime Of(OperatorClass one) => profile.Classes.Single(each => each.Class == one);
    }

    [Fact]
    public void Only_operators_of_a_board_that_take_their_time_become_measurements()
    {
        var profile = Profile(RateTable.LogPriors, 64);

        Assert.Empty((profile with { Emulated = true }).Rows(Run));
        Assert.Empty((profile with { Operators = [.. profile.Operators.Select(each => each with { Ms = each.Ms / 1000 })] }).Rows(Run));
        var rows = profile.Rows(Run).ToList();
        Assert.Equal(rows.Count, rows.DistinctBy(row => row.Name).Count());
        Assert.All(rows, row => Assert.False(row.IsModel));
        Assert.DoesNotContain(
            rows,
            row => row.Name.Contains("Reshape", StringComparison.Ordinal) || row.Name.Contains("put", StringComparison.Ordinal)
        );
    }

    /// <summary>A board with attention three times slower than any that was published: the rows of its operators alone move the rate there,
    /// others stay.</summary>
    [Fact]
    public void Rows_of_operators_alone_move_the_rate_that_is_another()
    {
        var truth = Truth((Rate.Attention, 3));
        var model = LatencyModel.Fit([.. LatencyData.Public(), .. Operators(truth, Lengths)]);

        Assert.InRange(model.Rates[(int)Rate.Attention] / Public.Value.Rates[(int)Rate.Attention], 2.7, 3.3);
        foreach (var rate in new[] { Rate.Linear, Rate.Norm })
            Assert.InRange(model.Rates[(int)rate] / Public.Value.Rates[(int)rate], 0.9, 1.1);
        Assert.Contains(
            $"{model.Rows.Count} measurements, {model.Rows.Count - LatencyData.Public().Count} of them our own on rk3588",
            model.Estimate(Reranker.At(new(1, 128)), new("rk3588", Precision.Fp16))!.Basis
        );
    }

    /// <summary>A whole run tells the sum: which of its parts are slower, only their own rows do.</summary>
    [Fact]
    public void With_rows_of_operators_single_rates_are_closer_than_with_those_of_whole_runs_alone()
    {
        var truth = Truth((Rate.Attention, 3), (Rate.Linear, 0.6), (Rate.Norm, 1.8), (Rate.Gelu, 0.5));
        LatencyRow[] runs = [.. Lengths.Select(tokens => Whole(truth, tokens))];
        var (whole, both) = (
            LatencyModel.Fit([.. LatencyData.Public(), .. runs]),
            LatencyModel.Fit([.. LatencyData.Public(), .. runs, .. Operators(truth, Lengths)])
        );

        foreach (var rate in new[] { Rate.Attention, Rate.Linear, Rate.Norm })
            Assert.True(Error(both, rate) < Error(whole, rate) / 2, $"{rate}: {Error(both, rate)} with, {Error(whole, rate)} without");
        Assert.All([Rate.Attention, Rate.Linear, Rate.Norm], rate => Assert.InRange(Error(both, rate), 0, 0.15));

        double Error(LatencyModel model, Rate rate) => Math.Abs(Math.Log(model.Rates[(int)rate]) - truth[(int)rate]);
    }

    private static double[] Truth(params (Rate Rate, double Factor)[] other) =>
        [
            .. Public.Value.Rates.Select(
                (rate, index) =>
                    Math.Log(rate * other.Where(each => (int)each.Rate == index).Aggregate(1.0, (factor, each) => factor * each.Factor))
            ),
        ];

    internal static OperatorProfile Profile(double[] logRates, int tokens) =>
        OperatorProfile.Of([LayerTable.Parse(StandInTable.Of(Reranker, tokens, logRates))], emulated: false);

    /// <summary>As a board's runs at some lengths add them.</summary>
    internal static IEnumerable<LatencyRow> Operators(double[] truth, IEnumerable<int> lengths) =>
        lengths.SelectMany(tokens => Profile(truth, tokens).Rows(Whole(truth, tokens)));

    internal static LatencyRow Whole(double[] truth, int tokens) =>
        Run with
        {
            Name = $"fp16 1x{tokens}",
            Ms = new OperatorTime(truth).Of(Reranker.At(new(1, tokens)), Run.Place),
            Operators = Reranker.At(new(1, tokens)),
        };
}
