using CsCheck;
using ModelPipeline.Core;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;
using ModelPipeline.Tests.Validation;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Tasks;

public class RerankValidationTests
{
    [Theory]
    [InlineData("fp32", 0.763, 1, 1, 1069)]
    [InlineData("fp16", 0.763, 0.9995, 1.000, 878)]
    [InlineData("int8_normal", 0.765, 0.957, 0.998, 184)]
    [InlineData("int8_kl_divergence", 0.770, 0.888, 0.972, 181)]
    [InlineData("int8_unmasked_normal", 0.500, -0.078, -0.060, 63)]
    public void The_toolkits_builds_have_the_figures_measured_when_they_were_made(
        string build,
        double ndcg,
        double tau,
        double spearman,
        int distinct
    )
    {
        var figures = RerankValidation.Measure(TinyScores.Queries, TinyScores.Of("fp32"), TinyScores.Of(build)).Figures;
        Assert.Equal(ndcg, figures[Metric.NdcgAt10], 0.0005);
        Assert.Equal(tau, figures[Metric.KendallTau], 0.0005);
        Assert.Equal(spearman, figures[Metric.Spearman], 0.0005);
        Assert.Equal(distinct, figures[Metric.DistinctScores]);
    }

    [Fact]
    public void A_hand_computed_ranking_has_its_ndcg_and_reciprocal_rank()
    {
        var query = Query("q1", ("a", 0), ("b", 2), ("c", 1));
        float[] scores = [3, 2, 1];
        var dcg = 3 / Math.Log2(3) + 1 / Math.Log2(4);
        Assert.Equal(dcg / (3 + 1 / Math.Log2(3)), RankingQuality.Ndcg(query, scores), 1e-12);
        Assert.Equal(0.5, RankingQuality.ReciprocalRank(query, scores));
    }

    /// <summary>By trec_eval's recall_1, recall_2, recall_5 of the same run: of three relevant passages one is no candidate.</summary>
    [Fact]
    public void Recall_counts_relevant_passages_that_are_no_candidates()
    {
        var query = Query("q1", ("a", 0), ("b", 2), ("c", 1));
        query = query with { Grades = new Dictionary<string, int>(query.Grades) { ["z"] = 1 } };
        float[] scores = [3, 2, 1];
        Assert.Equal([0, 1 / 3.0, 2 / 3.0], new[] { 1, 2, 5 }.Select(depth => RankingQuality.Recall(query, scores, depth)));
        Assert.True(double.IsNaN(RankingQuality.Recall(Query("q2", ("a", 0)), [1], 5)));
    }

    [Fact]
    public void The_first_three_agree_by_whom_they_are_not_by_their_order()
    {
        Assert.Equal(1, RankingQuality.Overlap([5, 4, 3, 2], [3, 4, 5, 2], 3));
        Assert.Equal(2 / 3.0, RankingQuality.Overlap([5, 4, 3, 2], [2, 4, 3, 5], 3));
        Assert.Equal(1, RankingQuality.Overlap([1, 2], [2, 1], 3));
    }

    /// <summary>Pools (3, 1) of the second query into 2, 2; their mean is 2, so that 1 and -1 are left, of four pairs.</summary>
    [Fact]
    public void The_residual_within_queries_is_what_no_monotone_map_mends()
    {
        float[][] reference =
        [
            [-1, 0],
            [3, 1],
        ];
        float[][] scores =
        [
            [-9, 0],
            [5, 7],
        ];
        Assert.Equal(Math.Sqrt(2 / 4.0), ScoreResidual.WithinQueries(reference, scores), 1e-12);
        // Any monotone change of the scores costs nothing, and neither does a tie of equals.
        float[][] curved = [.. reference.Select(query => query.Select(score => MathF.Exp(score / 2)).ToArray())];
        Assert.Equal(0, ScoreResidual.WithinQueries(reference, curved), 1e-12);
        // One score for all leaves fp32's deviation within its queries.
        Assert.Equal(
            Math.Sqrt((0.25 + 0.25 + 1 + 1) / 4),
            ScoreResidual.WithinQueries(
                reference,
                [
                    [2, 2],
                    [2, 2],
                ]
            ),
            1e-12
        );
    }

    [Fact]
    public void An_isotonic_fit_never_falls_and_keeps_the_mean_of_every_tie() =>
        Gen.Select(Gen.Int[0, 4].Array[1, 12], Gen.Int[-9, 9].Array[12])
            .Sample(
                (x, y) =>
                {
                    float[] at = [.. x.Select(value => (float)value)];
                    float[] values = [.. y.Take(x.Length).Select(value => (float)value)];
                    var fitted = ScoreResidual.Isotonic(at, values);
                    Assert.Equal(values.Sum(value => (double)value), fitted.Sum(), 1e-9);
                    for (var i = 0; i < at.Length; i++)
                    {
                        for (var j = 0; j < at.Length; j++)
                            Assert.True(at[i] < at[j] ? fitted[i] <= fitted[j] + 1e-12 : at[i] > at[j] || fitted[i] == fitted[j]);
                    }
                    // No constant map is better, nor is the best line that rises.
                    var mean = values.Average();
                    Assert.True(Error(value => fitted[value]) <= Error(_ => mean) + 1e-9);

                    double Error(Func<int, double> map) => values.Select((value, i) => (value - map(i)) * (value - map(i))).Sum();
                }
            );

    [Fact]
    public void A_relevant_passage_that_is_no_candidate_lowers_ndcg()
    {
        var query = Query("q1", ("a", 1), ("b", 0));
        var judgedElsewhere = query with { Grades = new Dictionary<string, int>(query.Grades) { ["z"] = 2 } };
        Assert.Equal(1, RankingQuality.Ndcg(query, [2, 1]));
        Assert.Equal(1 / (3 + 1 / Math.Log2(3)), RankingQuality.Ndcg(judgedElsewhere, [2, 1]), 1e-12);
    }

    [Fact]
    public void Only_the_first_ten_candidates_count()
    {
        var query = Query("q1", [.. Enumerable.Range(0, 11).Select(i => ($"p{i}", i == 10 ? 1 : 0))]);
        float[] last = [.. Enumerable.Range(0, 11).Select(i => -(float)i)];
        Assert.Equal(0, RankingQuality.Ndcg(query, last));
        Assert.Equal(0, RankingQuality.ReciprocalRank(query, last));
    }

    [Fact]
    public void Averaging_over_ties_equals_trying_every_order_of_the_candidates() =>
        Gen.Select(Gen.Int[0, 2].Array[5], Gen.Int[0, 2].Array[5])
            .Where((grades, _) => grades.Sum() > 0)
            .Sample(
                (grades, levels) =>
                {
                    var query = Query("q", [.. grades.Select((grade, i) => ($"p{i}", grade))]);
                    float[] scores = [.. levels.Select(level => (float)level)];
                    var expected = Permutations([0, 1, 2, 3, 4])
                        .Average(order =>
                            RankingQuality.Ndcg(
                                query with
                                {
                                    Candidates = [.. order.Select(i => query.Candidates[i])],
                                },
                                [.. order.Select(i => scores[i])]
                            )
                        );
                    Assert.Equal(expected, RankingQuality.NdcgTieAveraged(query, scores), 1e-12);
                }
            );

    [Fact]
    public void Scores_that_are_all_equal_keep_the_candidate_order_and_have_no_correlation()
    {
        CorpusQuery[] queries = [Query("q1", ("a", 0), ("b", 1), ("c", 0))];
        var validation = RerankValidation.Measure(
            queries,
            [
                [1, 3, 2],
            ],
            [
                [7, 7, 7],
            ]
        );
        Assert.Equal(0, validation.Figures[Metric.KendallTau]);
        Assert.Equal(0, validation.Figures[Metric.Spearman]);
        Assert.Equal(3, validation.Figures[Metric.TiedPairs]);
        Assert.Equal(0, validation.Figures[Metric.Top1Agreement]);
        Assert.Equal(0.5, validation.Figures[Metric.MrrAt10]);
        Assert.Equal(6, validation.Figures[Metric.MaxScoreDifference]);
        Assert.Equal(5, validation.Figures[Metric.MeanScoreDifference]);
    }

    [Fact]
    public void Figures_that_no_query_can_give_are_absent()
    {
        CorpusQuery[] queries = [Query("q1", ("a", 0), ("b", 0))];
        var figures = RerankValidation
            .Measure(
                queries,
                [
                    [1, 1],
                ],
                [
                    [2, 1],
                ]
            )
            .Figures;
        Assert.DoesNotContain(Metric.NdcgAt10, figures.Keys);
        Assert.DoesNotContain(Metric.KendallTau, figures.Keys);
        Assert.Equal(1, figures[Metric.Top1Agreement]);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void A_score_that_is_not_finite_is_reported_with_its_query_and_passage(float bad)
    {
        CorpusQuery[] queries = [Query("q1", ("a", 1)), Query("q2", ("b", 1), ("c", 0))];
        var error = Assert.Throws<PipelineException>(() =>
            RerankValidation.Measure(
                queries,
                [
                    [1],
                    [1, 2],
                ],
                [
                    [1],
                    [1, bad],
                ]
            )
        );
        Assert.Contains("query q2, passage c", error.Message);
        Assert.Contains("the variant", error.Message);
        Assert.Contains(
            "fp32",
            Assert
                .Throws<PipelineException>(() =>
                    RerankValidation.Measure(
                        queries,
                        [
                            [bad],
                            [1, 2],
                        ],
                        [
                            [1],
                            [1, 2],
                        ]
                    )
                )
                .Message
        );
    }

    [Fact]
    public void Missing_scores_queries_and_candidates_are_refused_by_name()
    {
        CorpusQuery[] queries = [Query("q1", ("a", 1), ("b", 0))];
        Assert.Contains(
            "q1 has 2 candidates but 1 scores",
            Assert
                .Throws<PipelineException>(() =>
                    RerankValidation.Measure(
                        queries,
                        [
                            [1, 2],
                        ],
                        [
                            [1],
                        ]
                    )
                )
                .Message
        );
        Assert.Contains(
            "cover 0 queries",
            Assert
                .Throws<PipelineException>(() =>
                    RerankValidation.Measure(
                        queries,
                        [
                            [1, 2],
                        ],
                        []
                    )
                )
                .Message
        );
        Assert.Contains("no queries", Assert.Throws<PipelineException>(() => RerankValidation.Measure([], [], [])).Message);
        Assert.Contains(
            "Query q0",
            Assert
                .Throws<PipelineException>(() =>
                    RerankValidation.Measure(
                        [Query("q0")],
                        [
                            [],
                        ],
                        [
                            [],
                        ]
                    )
                )
                .Message
        );
    }

    private static CorpusQuery Query(string id, params (string Passage, int Grade)[] passages) =>
        new(
            id,
            "what",
            [.. passages.Select(passage => passage.Passage)],
            passages.ToDictionary(passage => passage.Passage, passage => passage.Grade)
        );

    private static IEnumerable<int[]> Permutations(int[] items) =>
        items.Length == 0
            ?
            [
                [],
            ]
            : items.SelectMany(first => Permutations([.. items.Where(item => item != first)]).Select(rest => (int[])[first, .. rest]));
}
