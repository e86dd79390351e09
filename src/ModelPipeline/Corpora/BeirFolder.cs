using System.Globalization;
using ModelPipeline.Core;
using ModelPipeline.Text;

namespace ModelPipeline.Corpora;

/// <summary>A folder as BEIR publishes its test collections: corpus.jsonl, queries.jsonl, and qrels/*.tsv with a header (Thakur et al.,
/// "BEIR", NeurIPS 2021).</summary>
internal static class BeirFolder
{
    private const string PassagesName = "corpus.jsonl";

    /// <summary>The first that there is counts.</summary>
    private static readonly string[] Splits = ["test", "dev", "validation", "train"];

    public static bool Is(string folder) => File.Exists(Path.Combine(folder, PassagesName));

    /// <exception cref="PipelineException">The queries are missing, or nothing says which of several qrels is meant.</exception>
    public static ForeignCorpus Open(string folder)
    {
        var queries = Path.Combine(folder, "queries.jsonl");
        if (!File.Exists(queries))
            throw new PipelineException(
                $"{folder}: corpus.jsonl without queries.jsonl; a BEIR folder has both. For texts alone give a folder of .txt files.",
                PipelineException.ConfigurationError
            );
        var (qrels, note) = Qrels(folder);
        return new ForeignCorpus("BEIR")
        {
            Passages = errors => errors.Each(Path.Combine(folder, PassagesName), (where, line) => Text(where, line, withTitle: true)),
            Queries = errors => errors.Each(queries, (where, line) => Text(where, line, withTitle: false)),
            Judgements = qrels is null ? null : errors => Judgements(qrels, errors),
            Notes = note is null ? [] : [note],
        };
    }

    private static ForeignText Text(string where, string line, bool withTitle)
    {
        var (id, text) = CorpusReader.Text(where, line, withTitle);
        return new ForeignText(id, text, where);
    }

    private static (string? Path, string? Note) Qrels(string folder)
    {
        var within = Path.Combine(folder, "qrels");
        string[] files =
        [
            .. (Directory.Exists(within) ? Directory.EnumerateFiles(within, "*.tsv") : [])
                .Concat(Directory.EnumerateFiles(folder, "qrels*.tsv"))
                .Order(StringComparer.Ordinal),
        ];
        if (files.Length <= 1)
            return (files.FirstOrDefault(), null);
        var chosen =
            Splits
                .Select(split => files.FirstOrDefault(file => Path.GetFileNameWithoutExtension(file) == split))
                .FirstOrDefault(file => file is not null)
            ?? throw new PipelineException(
                $"{folder}: nothing says which of these judgements to take: {string.Join(", ", files.Select(Path.GetFileName))}; "
                    + $"name one test.tsv, or leave one.",
                PipelineException.ConfigurationError
            );
        var others = files.Where(file => file != chosen).Select(Path.GetFileName);
        return (chosen, $"judgements of {Path.GetFileName(chosen)}, not of {string.Join(", ", others)}");
    }

    private static IEnumerable<ForeignJudgement> Judgements(string path, LineErrors errors) =>
        errors
            .Each(
                path,
                (where, line) =>
                {
                    if (line.Split('\t') is not [var query, var passage, var text])
                        throw new PipelineException($"{where}: expected query, passage and grade separated by tabs.");
                    if (int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var grade))
                        return ForeignJudgement.Of(where, query, passage, grade);
                    return where.EndsWith(":1", StringComparison.Ordinal)
                        ? (ForeignJudgement?)null // The header.
                        : throw new PipelineException($"{where}: the grade '{text}' is no whole number.");
                }
            )
            .OfType<ForeignJudgement>();
}
