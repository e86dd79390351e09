using System.Globalization;
using ModelPipeline.Tests.Text;
using ModelPipeline.Text;

namespace ModelPipeline.Tests.Validation;

/// <summary>The sample corpus and the RKNN toolkit's scores of the tiny reranker on it (tiny-scores.tsv: one line a pair, one column a
/// build).</summary>
internal static class TinyScores
{
    private static readonly Lazy<Dictionary<string, float[][]>> Scores = new(Load);

    public static IReadOnlyList<CorpusQuery> Queries => SampleCorpus.Loaded.Queries;

    /// <summary>[query][candidate] of a build: fp32, fp16, int8_normal, int8_unmasked_normal, int8_kl_divergence.</summary>
    public static float[][] Of(string build) => Scores.Value[build];

    private static Dictionary<string, float[][]> Load()
    {
        var lines = File.ReadAllLines(RepositoryFiles.Fixture("tiny-scores.tsv"));
        var rows = lines.Skip(1).Select(line => line.Split('\t')).ToDictionary(cells => (cells[0], cells[1]));
        var builds = lines[0].Split('\t').Index().Skip(2);
        return builds.ToDictionary(
            build => build.Item,
            build =>
                Queries
                    .Select(query =>
                        query
                            .Candidates.Select(passage => float.Parse(rows[(query.Id, passage)][build.Index], CultureInfo.InvariantCulture))
                            .ToArray()
                    )
                    .ToArray()
        );
    }
}
