using ModelPipeline.Metrics;
using ModelPipeline.Reports;
using ModelPipeline.Tests.Validation;

namespace ModelPipeline.Tests.Reports;

public sealed class JobSummaryTests : IDisposable
{
    private const string Yaml = """
        defaults:
          gates: { size_mb: { max: 5 } }
        models:
          tiny-reranker:
            gates:
              ndcg_at_10: { max_drop: 0.01 }
            variants:
              int8_unmasked_normal:
                gates:
                  kendall_tau: { min: 0.9 }
        """;

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_gate_that_fails_is_annotated_where_it_stands()
    {
        var manifest = folder.Write("models.yaml", Yaml);
        Assert.Equal(
            [
                "::error file=a%2Cb/models.yaml,line=6,title=tiny-reranker int8_unmasked_normal at 1x128::",
                "::error file=a%2Cb/models.yaml,line=10,title=tiny-reranker int8_unmasked_normal at 1x128::",
            ],
            JobSummary
                .Annotations(SampleReports.All, manifest, "a,b/models.yaml")
                .Select(line => line[..(line.LastIndexOf("::", StringComparison.Ordinal) + 2)])
        );
        Assert.EndsWith(
            "::kendall_tau -0.078 is below its minimum 0.900 by 0.978",
            JobSummary.Annotations(SampleReports.All, manifest, "models.yaml").Last()
        );
        Assert.Equal(2, ModelPipeline.Manifest.GatePlaces.LineOf(manifest, "tiny-reranker", "int8_unmasked_normal", Metric.SizeMb));
        Assert.Null(ModelPipeline.Manifest.GatePlaces.LineOf(manifest, "tiny-reranker", "int8_unmasked_normal", Metric.Spearman));
    }

    [Fact]
    public void The_job_has_the_paragraph_and_a_row_of_as_many_cells_for_each_variant()
    {
        var text = JobSummary.Render(SampleReports.All, "Run this | that.");
        Assert.StartsWith("## tiny-reranker 0.1.0\n\nRun this \\| that.\n\n| Variant |", text);
        var rows = text.Split('\n').Where(line => line.StartsWith('|')).ToList();
        // A head, its line, fp32 and three variants.
        Assert.Equal(6, rows.Count);
        Assert.All(rows, row => Assert.Equal(7, row.Count(letter => letter == '|')));
        Assert.Contains(" 2 failed", rows[^1]);
        Assert.Contains("- int8_unmasked_normal: kendall_tau -0.078", text);
    }
}
