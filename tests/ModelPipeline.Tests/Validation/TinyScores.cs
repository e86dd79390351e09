using System.Globalization;
using System.Text.Json;
using ModelPipeline.Validation;

namespace ModelPipeline.Tests.Validation;

/// <summary>The sample corpus and the RKNN toolkit's scores of the tiny reranker on it (tiny-scores.tsv: one line a pair, one column a build).</summary>
internal static class TinyScores
{
    private static readonly Lazy<(IReadOnlyList<JudgedQuery> Queries, Dictionary<string, float[][]> Scores)> Loaded = new(Load);

    public static IReadOnlyList<JudgedQuery> Queries => Loaded.Value.Queries;

    /// <summary>[query][candidate] of a build: fp32, fp16, int8_normal, int8_unmasked_normal, int8_kl_divergence.</summary>
    public static float[][] Of(string build) => Loaded.Value.Scores[build];

    public static string RepositoryRoot { get; } = FindRoot(AppContext.BaseDirectory);

    private static string FindRoot(string folder) =>
        File.Exists(Path.Combine(folder, "ModelPipeline.sln")) ? folder : FindRoot(Path.GetDirectoryName(folder)!);

    private static (IReadOnlyList<JudgedQuery>, Dictionary<string, float[][]>) Load()
    {
        var corpus = Path.Combine(RepositoryRoot, "pipeline/sample/corpus");
        var grades = File.ReadLines(Path.Combine(corpus, "qrels.tsv")).Select(line => line.Split('\t')).ToLookup(cells => cells[0]);
        JudgedQuery[] queries =
        [
            .. from line in File.ReadLines(Path.Combine(corpus, "candidates.jsonl"))
               let json = JsonDocument.Parse(line).RootElement
               let id = json.GetProperty("query_id").GetString()!
               select new JudgedQuery(
                   id,
                   [.. json.GetProperty("passage_ids").EnumerateArray().Select(passage => passage.GetString()!)],
                   grades[id].ToDictionary(cells => cells[1], cells => int.Parse(cells[2], CultureInfo.InvariantCulture))),
        ];
        var lines = File.ReadAllLines(Path.Combine(RepositoryRoot, "tests/ModelPipeline.Tests/Validation/tiny-scores.tsv"));
        var rows = lines.Skip(1).Select(line => line.Split('\t')).ToDictionary(cells => (cells[0], cells[1]));
        var builds = lines[0].Split('\t').Select((name, column) => (name, column)).Skip(2);
        return (queries, builds.ToDictionary(build => build.name, build => queries
            .Select(query => query.Candidates
                .Select(passage => float.Parse(rows[(query.Id, passage)][build.column], CultureInfo.InvariantCulture)).ToArray())
            .ToArray()));
    }
}
