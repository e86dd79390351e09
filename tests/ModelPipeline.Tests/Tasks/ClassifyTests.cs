using CsCheck;
using ModelPipeline.Core;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;

namespace ModelPipeline.Tests.Tasks;

public sealed class ClassifyTests
{
    private static readonly ModelTask Classify = ModelTask.Named("classify");

    /// <summary>Three labels; the fourth pair has no judgement.</summary>
    private static readonly ScoringOrder Order = Pairs(0, 1, 2, null);

    [Fact]
    public void Figures_are_those_computed_by_hand()
    {
        float[][] fp32 =
        [
            [3, 1, 0],
            [0, 2, 1],
            [0, 1, 2],
            [1, 0, 0],
        ];
        float[][] variant =
        [
            [3, 1, 0],
            [0, 1, 2],
            [0, 1, 2],
            [0, 1, 0],
        ];
        var whole = Classify.Measure(Order, fp32, fp32).Figures;
        Assert.Equal((1, 1, 1), (whole[Metric.Accuracy], whole[Metric.MacroF1], whole[Metric.LabelAgreement]));
        var measured = Classify.Measure(Order, fp32, variant);
        Assert.Equal(2 / 3.0, measured.Figures[Metric.Accuracy], 1e-6);
        // F1: 1 for label 0, 0 for label 1, 2 / (1 + 2) for label 2.
        Assert.Equal((1 + 0 + 2 / 3.0) / 3, measured.Figures[Metric.MacroF1], 1e-6);
        Assert.Equal(0.5, measured.Figures[Metric.LabelAgreement]);
        Assert.Equal([new(0, 1, 1, 1), new(1, 1, 0, 0), new(2, 1, 2, 1)], measured.Classes);
        Assert.Equal("3 judged pairs with 3 labels", Classify.Counted(measured));
    }

    [Fact]
    public void Without_judgements_there_is_agreement_alone()
    {
        var figures = Classify
            .Measure(
                Pairs(null, null),
                [
                    [1, 0],
                    [0, 1],
                ],
                [
                    [1, 0],
                    [1, 0],
                ]
            )
            .Figures;
        Assert.False(figures.ContainsKey(Metric.Accuracy));
        Assert.False(figures.ContainsKey(Metric.MacroF1));
        Assert.Equal(0.5, figures[Metric.LabelAgreement]);
    }

    [Theory]
    [InlineData(5f, "label 2, but the model has 2, from 0")]
    [InlineData(float.NaN, "query q0, passage p0 is NaN, not a finite number")]
    public void What_cannot_be_judged_is_named(float logit, string expected) =>
        Assert.Contains(
            expected,
            Assert
                .Throws<PipelineException>(() =>
                    Classify.Measure(
                        Pairs(2),
                        [
                            [logit, 0],
                        ],
                        [
                            [logit, 0],
                        ]
                    )
                )
                .Message
        );

    [Fact]
    public void Figures_stay_in_their_range_and_are_whole_for_the_judgements_themselves() =>
        Gen.Select(Gen.Int[0, 3].Array[1, 20], Gen.Float[-5, 5].Array[4].Array[20])
            .Sample(
                (labels, logits) =>
                {
                    var order = Pairs([.. labels.Select(label => (int?)label)]);
                    float[][] right = [.. labels.Select(label => (float[])[.. Enumerable.Range(0, 4).Select(i => i == label ? 1f : 0)])];
                    float[][] outputs = [.. logits.Take(labels.Length)];
                    foreach (
                        var figure in Classify.Measure(order, right, outputs).Figures.Where(figure => Metric.Named(figure.Key).High == 1)
                    )
                        Assert.InRange(figure.Value, 0, 1);
                    var perfect = Classify.Measure(order, outputs, right).Figures;
                    Assert.Equal((1, 1), (perfect[Metric.Accuracy], perfect[Metric.MacroF1]));
                }
            );

    private static ScoringOrder Pairs(params int?[] grades) =>
        new(
            Classify,
            [
                .. grades.Select(
                    (grade, i) =>
                        new ModelPipeline.Text.CorpusQuery(
                            $"q{i}",
                            "query",
                            [$"p{i}"],
                            grade is { } label ? new Dictionary<string, int> { [$"p{i}"] = label } : new Dictionary<string, int>()
                        )
                ),
            ],
            new Dictionary<string, string>()
        );
}
