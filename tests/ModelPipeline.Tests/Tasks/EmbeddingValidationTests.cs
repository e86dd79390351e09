using ModelPipeline.Core;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;

namespace ModelPipeline.Tests.Tasks;

public class EmbeddingValidationTests
{
    private static readonly string[] Ids = ["a", "b", "c"];
    private static readonly float[][] Reference =
    [
        [1, 0],
        [0.8f, 0.6f],
        [0, 1],
    ];

    [Fact]
    public void The_length_of_an_embedding_does_not_matter()
    {
        var validation = EmbeddingValidation.Measure(
            Ids,
            Reference,
            [.. Reference.Select(row => row.Select(value => value * 5).ToArray())]
        );
        Assert.Equal(1, validation.Figures[Metric.CosineMean]);
        Assert.Equal(1, validation.Figures[Metric.CosineMin]);
        Assert.Equal(1, validation.Figures[Metric.SimilaritySpearman]);
    }

    [Fact]
    public void A_turned_embedding_lowers_mean_and_minimum_and_is_named_in_the_table()
    {
        var validation = EmbeddingValidation.Measure(
            Ids,
            Reference,
            [
                [1, 0],
                [0.6f, 0.8f],
                [0, 1],
            ]
        );
        Assert.Equal(0.96, validation.Figures[Metric.CosineMin], 1e-6);
        Assert.Equal((1 + 0.96 + 1) / 3, validation.Figures[Metric.CosineMean], 1e-6);
        // Similarities ab, ac, bc are 0.8, 0, 0.6 for the reference and 0.6, 0, 0.8 here: the two largest change places.
        Assert.Equal(0.5, validation.Figures[Metric.SimilaritySpearman], 1e-6);
        Assert.Equal(0.96, validation.Texts.Single(text => text.Id == "b").Cosine, 1e-6);
    }

    [Fact]
    public void An_embedding_without_direction_is_reported_with_its_text()
    {
        Assert.Contains(
            "text b by the variant",
            Assert
                .Throws<PipelineException>(() =>
                    EmbeddingValidation.Measure(
                        Ids,
                        Reference,
                        [
                            [1, 0],
                            [0, 0],
                            [0, 1],
                        ]
                    )
                )
                .Message
        );
        Assert.Contains(
            "text c by the variant",
            Assert
                .Throws<PipelineException>(() =>
                    EmbeddingValidation.Measure(
                        Ids,
                        Reference,
                        [
                            [1, 0],
                            [1, 0],
                            [0, float.NaN],
                        ]
                    )
                )
                .Message
        );
        Assert.Contains(
            "3 dimensions",
            Assert
                .Throws<PipelineException>(() =>
                    EmbeddingValidation.Measure(
                        Ids,
                        Reference,
                        [
                            [1, 0, 0],
                            [1, 0],
                            [0, 1],
                        ]
                    )
                )
                .Message
        );
    }
}
