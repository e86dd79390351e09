using CsCheck;
using ModelPipeline.Core;
using ModelPipeline.Manifest;
using ModelPipeline.Planning;

namespace ModelPipeline.Tests.Planning;

/// <summary>What estimates must reproduce, and what a board of one's own changes.</summary>
public sealed class LatencyModelTests
{
    private static readonly Lazy<(LatencyModel Model, IReadOnlyList<FittedRow> Check)> Public = new(() =>
        LatencyModel.Checked(LatencyData.Public())
    );
    private static readonly EncoderShape Reranker = new(12, 384, 12, 1536) { Vocabulary = 30522, Positions = 512 };

    [Theory]
    [InlineData("L12 [1,512] fp16", 0.2)]
    [InlineData("L12 [1,512] int8", 0.2)]
    [InlineData("L6 [1,256] fp16", 0.2)]
    [InlineData("whisper encoder", 0.35)]
    [InlineData("clip text [1,20]", 0.35)]
    [InlineData("SigLIP-B/16", 0.45)]
    [InlineData("L12 122 tokens CPU int8", 0.2)]
    public void Published_points_are_estimated_with_and_without_themselves(string name, double within)
    {
        var row = Public.Value.Check.Single(row => row.Row.Name == name);
        Assert.InRange(row.Fitted, row.Row.Measured * (1 - within), row.Row.Measured * (1 + within));
        Assert.InRange(row.LeftOut, row.Row.Measured * 0.5, row.Row.Measured * 2);
    }

    [Fact]
    public void Int8_gains_next_to_nothing_at_512_tokens_and_more_where_weights_are_most_of_it()
    {
        Assert.InRange(Ms(512, Precision.W8A8) / Ms(512, Precision.Fp16), 0.9, 1.0);
        Assert.InRange(Ms(32, Precision.W8A8) / Ms(32, Precision.Fp16), 0.45, 0.75);
        Assert.InRange(Ms(128, Precision.Fp16), 19, 26);
        Assert.InRange(Ms(64, Precision.Fp16), 9, 12);
    }

    [Fact]
    public void A_batch_of_short_passages_shares_the_read_of_the_weights()
    {
        var model = Public.Value.Model;
        var place = new RunPlace("rk3588", Precision.Fp16);
        var (one, four) = (model.Milliseconds(Reranker.At(new(1, 32)), place), model.Milliseconds(Reranker.At(new(4, 32)), place));
        Assert.True(four < 3 * one, $"{four} for four, {one} for one");
    }

    [Fact]
    public void Estimates_have_an_interval_say_what_they_rest_on_and_are_none_for_an_unknown_chip()
    {
        var estimate = Public.Value.Model.Estimate(Reranker.At(new(1, 512)), new("rk3588", Precision.Fp16))!;
        Assert.InRange(estimate.Low, 100, estimate.Milliseconds - 1);
        Assert.InRange(estimate.High, estimate.Milliseconds + 1, 350);
        Assert.Contains("none of them our own on rk3588", estimate.Basis, StringComparison.Ordinal);
        Assert.Null(Public.Value.Model.Estimate(Reranker.At(new(1, 512)), new("rk3562", Precision.Fp16)));
    }

    /// <summary>A board with attention three times slower than any that was published: a dozen rows of it move the rate there, others
    /// stay.</summary>
    [Fact]
    public void Own_measurements_outweigh_those_of_others()
    {
        double[] truth = [.. Public.Value.Model.Rates.Select((rate, index) => Math.Log(rate * (index == (int)Rate.Attention ? 3 : 1)))];
        var board = StandIn.Measure(truth, "rk3588", Reranker, [32, 64, 128, 256, 512]);
        var model = LatencyModel.Fit([.. LatencyData.Public(), .. board]);
        Assert.InRange(model.Rates[(int)Rate.Attention] / Public.Value.Model.Rates[(int)Rate.Attention], 2.4, 3.6);
        Assert.InRange(model.Rates[(int)Rate.Linear] / Public.Value.Model.Rates[(int)Rate.Linear], 0.8, 1.25);
        foreach (var tokens in new[] { 96, 192, 384 })
        {
            var place = new RunPlace("rk3588", Precision.Fp16);
            var estimate = model.Estimate(Reranker.At(new(1, tokens)), place, StandIn.Session)!;
            Assert.InRange(new OperatorTime(truth).Of(Reranker.At(new(1, tokens)), place), estimate.Low, estimate.High);
        }
    }

    [Fact]
    public void Rows_are_read_as_they_were_written_and_wrong_ones_are_named_with_their_line()
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "latency", "measured.jsonl");
        var rows = StandIn.Measure(RateTable.LogPriors, "rk3588", Reranker, [64, 128]);
        LatencyData.Append(path, rows);
        LatencyData.Append(path, rows);
        Assert.Equal(rows.Select(row => (row.Name, row.Ms, row.Own)), LatencyData.Own(path).Select(row => (row.Name, row.Ms, row.Own)));
        Assert.Equal(rows[0].Work, LatencyData.Own(path)[0].Work);
        File.AppendAllText(
            path,
            """{"name": "x", "session": "x", "chip": "rk9999", "precision": "fp16", "ms": 1, "source": "x", "tokens": 4, "encoder": {"layers": 1, "hidden": 4, "heads": 1, "intermediate": 4}}"""
                + "\n"
        );
        var error = Assert.Throws<PipelineException>(() => LatencyData.Own(path));
        Assert.StartsWith($"{path}:{rows.Count + 1}: ", error.Message, StringComparison.Ordinal);
        Assert.Contains("rk9999", error.Message, StringComparison.Ordinal);
    }

    /// <summary>Least squares of a line are known in closed form.</summary>
    [Fact]
    public void Least_squares_find_the_line() =>
        Gen.Select(Gen.Double[-5, 5], Gen.Double[-5, 5], Gen.Double[-1, 1].Array[3, 12])
            .Sample(
                (slope, start, noise) =>
                {
                    double[] x = [.. Enumerable.Range(0, noise.Length).Select(i => (double)i)],
                        y = [.. x.Zip(noise, (at, off) => start + (slope * at) + off)];
                    var fit = LeastSquares.Minimize(point => [.. x.Zip(y, (at, value) => point[0] + (point[1] * at) - value)], [0, 0]);
                    var (meanX, meanY) = (x.Average(), y.Average());
                    var expected = x.Zip(y, (a, b) => (a - meanX) * (b - meanY)).Sum() / x.Sum(a => (a - meanX) * (a - meanX));
                    Assert.Equal(expected, fit.Point[1], 1e-3);
                    Assert.Equal(meanY - (expected * meanX), fit.Point[0], 1e-3);
                },
                iter: 50
            );

    private static double Ms(int tokens, Precision precision) =>
        Public.Value.Model.Milliseconds(Reranker.At(new InputShape(1, tokens)), new("rk3588", precision));
}
