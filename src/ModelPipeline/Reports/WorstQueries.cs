using System.Globalization;
using ModelPipeline.Metrics;
using ModelPipeline.Tasks;
using ModelPipeline.Text;
using ModelPipeline.Validation;

namespace ModelPipeline.Reports;

/// <summary>The queries that a variant ranks worst beside fp32, with what they ask and both orders of their passages.</summary>
internal static class WorstQueries
{
    /// <summary>For each variant.</summary>
    public const int Shown = 3;

    /// <summary>Of a passage, in characters: enough to see what it is about.</summary>
    private const int Excerpt = 240;

    /// <summary>Views for report.html: those that lose NDCG@10, or else order, at most <see cref="Shown"/>; none if none does.</summary>
    public static IEnumerable<object> Of(ValidationReport report, Corpus? corpus)
    {
        if (corpus is null || report.Queries.Count == 0)
            return [];
        var queries = corpus.Queries.ToDictionary(query => query.Id, StringComparer.Ordinal);
        return report
            .Queries.Where(query => queries.ContainsKey(query.Id) && (Loss(query) > 0 || query.KendallTau < 1))
            .OrderByDescending(Loss)
            .ThenBy(query => query.KendallTau)
            .ThenBy(query => query.Id, StringComparer.Ordinal)
            .Take(Shown)
            .Select(query => View(query, queries[query.Id], corpus, report.Subject.Variant))
            .ToList();
    }

    private static double Loss(QueryFigures query) => query.ReferenceNdcg - query.Ndcg ?? 0;

    private static object View(QueryFigures figures, CorpusQuery query, Corpus corpus, string variant)
    {
        var (before, after) = (RankingQuality.Rank([.. figures.ReferenceScores]), RankingQuality.Rank([.. figures.Scores]));
        return new
        {
            query.Id,
            query.Text,
            Figures = string.Join(
                ", ",
                new[]
                {
                    figures is { ReferenceNdcg: { } whole, Ndcg: { } own }
                        ? string.Create(CultureInfo.InvariantCulture, $"NDCG@10 {own:F3}, fp32 {whole:F3}")
                        : null,
                    figures.KendallTau is { } tau ? string.Create(CultureInfo.InvariantCulture, $"Kendall tau {tau:F3}") : null,
                }.OfType<string>()
            ),
            Orders = new[] { Order("fp32", before, figures.ReferenceScores, null), Order(variant, after, figures.Scores, before) },
        };

        object Order(string title, int[] ranking, IReadOnlyList<float> scores, int[]? others) =>
            new
            {
                Title = title,
                Passages = ranking
                    .Take(RankingQuality.Depth)
                    .Select(
                        (candidate, rank) =>
                            new
                            {
                                Text = Start(corpus.Passages[query.Candidates[candidate]]),
                                Id = query.Candidates[candidate],
                                Score = scores[candidate].ToString("F3", CultureInfo.InvariantCulture),
                                Grade = query.Grades.TryGetValue(query.Candidates[candidate], out var grade) ? $"grade {grade}" : "",
                                Moved = others is null ? "" : Moved(Array.IndexOf(others, candidate) - rank),
                            }
                    ),
            };
    }

    private static string Moved(int places) =>
        places switch
        {
            0 => "",
            > 0 => $"up {places}",
            < 0 => $"down {-places}",
        };

    private static string Start(string text) => text.Length <= Excerpt ? text : text[..text.LastIndexOf(' ', Excerpt)].TrimEnd() + " ...";
}
