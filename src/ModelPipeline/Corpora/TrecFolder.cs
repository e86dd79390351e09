using System.Globalization;
using ModelPipeline.Core;

namespace ModelPipeline.Corpora;

/// <summary>A folder as MS MARCO and TREC publish collections: texts in TSV (id, text), judgements and runs in TREC's columns, or MS
/// MARCO's of a run (query, passage, rank).</summary>
internal static class TrecFolder
{
    private static readonly string[] PassageNames = ["collection*.tsv", "passages*.tsv", "corpus*.tsv"];
    private static readonly string[] QueryNames = ["queries*.tsv", "topics*.tsv"];
    private static readonly string[] QrelsNames = ["qrels*", "*.qrels"];
    private static readonly string[] RunNames = ["run*", "*.run", "*.trec", "top1000*"];

    public static bool Is(string folder) => Named(folder, PassageNames).Any();

    /// <exception cref="PipelineException">A file is missing, or nothing says which of several is meant.</exception>
    public static ForeignCorpus Open(string folder)
    {
        var notes = new List<string>();
        var passages = One(folder, PassageNames, null, "passages", notes)!;
        var qrels = One(folder, QrelsNames, null, "judgements", notes);
        var queries =
            One(folder, QueryNames, qrels, "queries", notes)
            ?? throw new PipelineException(
                $"{folder}: {Path.GetFileName(passages)} without queries; expected {string.Join(" or ", QueryNames)} of id and text.",
                PipelineException.ConfigurationError
            );
        var run = One(folder, RunNames, qrels, "candidates", notes);
        return new ForeignCorpus("MS MARCO and TREC")
        {
            Passages = errors => errors.Each(passages, Text),
            Queries = errors => errors.Each(queries, Text),
            Judgements = qrels is null ? null : errors => errors.Each(qrels, Judgement),
            Candidates = run is null ? null : errors => Candidates(run, errors),
            Notes = notes,
        };
    }

    private static IEnumerable<string> Named(string folder, string[] patterns) =>
        patterns.SelectMany(pattern => Directory.EnumerateFiles(folder, pattern)).Distinct().Order(StringComparer.Ordinal);

    /// <summary>The only file, the one of the same split as another (queries.dev.tsv beside qrels.dev.tsv), or the one of dev or
    /// test.</summary>
    private static string? One(string folder, string[] patterns, string? beside, string what, List<string> notes)
    {
        var files = Named(folder, patterns).ToList();
        if (files.Count <= 1)
            return files.FirstOrDefault();
        var splits = beside is null ? ["test", "dev.small", "dev"] : new[] { SplitOf(beside) };
        var chosen = splits.Select(split => files.FirstOrDefault(file => SplitOf(file) == split)).FirstOrDefault(file => file is not null);
        var names = string.Join(", ", files.Where(file => file != chosen).Select(Path.GetFileName));
        if (chosen is null)
            throw new PipelineException(
                $"{folder}: nothing says which of these {what} to take: {names}; leave one there.",
                PipelineException.ConfigurationError
            );
        notes.Add($"{what} of {Path.GetFileName(chosen)}, not of {names}");
        return chosen;
    }

    /// <summary>dev.small of queries.dev.small.tsv.</summary>
    private static string SplitOf(string path)
    {
        var parts = Path.GetFileName(path).Split('.');
        return string.Join('.', parts.Skip(1).Where(part => part is not ("tsv" or "txt" or "trec" or "run" or "qrels")));
    }

    private static ForeignText Text(string where, string line)
    {
        var tab = line.IndexOf('\t');
        if (tab <= 0)
            throw new PipelineException($"{where}: expected id and text separated by a tab.");
        var text = line[(tab + 1)..].Trim();
        return text.Length > 0 ? new ForeignText(line[..tab], text, where) : throw new PipelineException($"{where}: the text is empty.");
    }

    /// <summary>Query, iteration, passage, grade.</summary>
    private static ForeignJudgement Judgement(string where, string line) =>
        Columns(line) is [var query, _, var passage, var text]
            ? ForeignJudgement.Of(where, query, passage, Number(where, "grade", text))
            : throw new PipelineException($"{where}: expected TREC's columns query, iteration, passage and grade.");

    private static IEnumerable<ForeignCandidate> Candidates(string path, LineErrors errors)
    {
        var rank = 0;
        return errors.Each(
            path,
            (where, line) =>
            {
                rank++;
                // top1000.dev: query, passage, and the texts of both.
                if (line.Split('\t') is [var first, var second, _, _])
                    return new ForeignCandidate(first, second, rank);
                return Columns(line) switch
                {
                    [var query, var passage, var place] => new ForeignCandidate(query, passage, Number(where, "rank", place)),
                    [var query, _, var passage, var place, _, _] => new ForeignCandidate(query, passage, Number(where, "rank", place)),
                    _ => throw new PipelineException(
                        $"{where}: expected TREC's columns query, Q0, passage, rank, score and tag, or query, passage and rank."
                    ),
                };
            }
        );
    }

    private static string[] Columns(string line) => line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);

    private static int Number(string where, string what, string text) =>
        int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw new PipelineException($"{where}: the {what} '{text}' is no whole number.");
}
