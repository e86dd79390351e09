using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Corpora;

/// <summary>What an import left.</summary>
/// <param name="Form">What it was made of, for people.</param>
/// <param name="Queries">Those that are in it.</param>
/// <param name="Passages">Those that are in it.</param>
/// <param name="IsJudged">It has qrels.</param>
/// <param name="Notes">What was taken, made or left out, a clause each.</param>
internal sealed record ImportedCorpus(string Form, int Queries, int Passages, bool IsJudged, IReadOnlyList<string> Notes);

/// <summary>Makes the four files that models.yaml declares of a test collection in another form.</summary>
internal static class CorpusImport
{
    /// <summary>Queries and candidates of each at most: what validation scores in minutes, and tells two good builds apart by.</summary>
    public const int MostQueries = 200,
        MostCandidates = 10;

    /// <summary>Judged passages that are put behind the candidates where these lack them.</summary>
    private const int MostAdded = 5;

    private const string PassagesName = "passages.jsonl",
        QueriesName = "queries.jsonl",
        QrelsName = "qrels.tsv",
        CandidatesName = "candidates.jsonl";

    private static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>A folder that has these files already, as models.yaml wants them.</summary>
    public static bool IsOwn(string folder) =>
        new[] { PassagesName, QueriesName, CandidatesName }.All(name => File.Exists(Path.Combine(folder, name)));

    /// <summary>The files of a folder that <see cref="Run"/> wrote, or that <see cref="IsOwn"/>.</summary>
    public static CorpusSpec SpecOf(string name, string folder) =>
        new()
        {
            Name = name,
            Passages = Path.Combine(folder, PassagesName),
            Queries = Path.Combine(folder, QueriesName),
            Qrels = Path.Combine(folder, QrelsName) is var qrels && File.Exists(qrels) ? qrels : null,
            Candidates = Path.Combine(folder, CandidatesName),
        };

    /// <summary>What a path holds.</summary>
    /// <exception cref="PipelineException">None of the known forms.</exception>
    public static ForeignCorpus Open(string path)
    {
        if (Directory.Exists(path) && BeirFolder.Is(path))
            return BeirFolder.Open(path);
        if (Directory.Exists(path) && TrecFolder.Is(path))
            return TrecFolder.Open(path);
        var texts = PlainTexts.FilesOf(path);
        return texts.Count > 0
            ? PlainTexts.Open(texts)
            : throw new PipelineException(
                $"--corpus={path}: {(Path.Exists(path) ? "none of the known forms" : "there is no such file or folder")}. Give a BEIR "
                    + $"folder (corpus.jsonl, queries.jsonl, qrels/test.tsv), one of MS MARCO and TREC (collection.tsv, queries.tsv, "
                    + $"qrels.txt, perhaps a run), or text files (.txt, .md).",
                PipelineException.ConfigurationError
            );
    }

    /// <summary>Writes the files to a new folder, whole or not at all.</summary>
    /// <exception cref="PipelineException">Exit code 2: all that is wrong with the collection, a line each.</exception>
    public static ImportedCorpus Run(ForeignCorpus corpus, string folder, StageContext context)
    {
        var chosen = Choose(corpus, context);
        AtomicFile.WriteFolder(
            folder,
            temporary =>
            {
                WriteLines(temporary, PassagesName, chosen.Passages.Select(text => JsonText(text.Key, text.Value)));
                WriteLines(temporary, QueriesName, chosen.Queries.Select(text => JsonText(text.Key, text.Value)));
                WriteLines(
                    temporary,
                    CandidatesName,
                    chosen.Candidates.Select(query =>
                        JsonSerializer.Serialize(new { query_id = query.Key, passage_ids = query.Value }, Json)
                    )
                );
                if (corpus.Judgements is not null)
                    WriteLines(
                        temporary,
                        QrelsName,
                        chosen.Grades.SelectMany(query =>
                            query.Value.Select(judged =>
                                string.Create(CultureInfo.InvariantCulture, $"{query.Key}\t{judged.Key}\t{judged.Value}")
                            )
                        )
                    );
            }
        );
        return new ImportedCorpus(
            corpus.Form,
            chosen.Queries.Count,
            chosen.Passages.Count,
            corpus.Judgements is not null,
            [.. corpus.Notes, .. chosen.Notes]
        );
    }

    private sealed record Chosen(
        IReadOnlyDictionary<string, string> Passages,
        IReadOnlyDictionary<string, string> Queries,
        IReadOnlyDictionary<string, IReadOnlyList<string>> Candidates,
        IReadOnlyDictionary<string, IReadOnlyDictionary<string, int>> Grades,
        IReadOnlyList<string> Notes
    );

    private static Chosen Choose(ForeignCorpus corpus, StageContext context)
    {
        var (errors, notes) = (new LineErrors(), new List<string>());
        var grades = Grades(corpus, errors);
        var queries = Queries(corpus, grades, errors, notes);
        var run = Candidates(corpus, queries, errors);
        errors.ThrowIfAny();
        if (queries.Count == 0)
            throw new PipelineException(
                $"The {corpus.Form} collection has no query{(corpus.Judgements is null ? "" : " with a passage graded above 0")}: check "
                    + $"that its files belong together.",
                PipelineException.ConfigurationError
            );
        if (run is null)
        {
            run = PassageSearch.Best(queries, activity => Counted(corpus.Passages(errors), activity, context), MostCandidates, context);
            errors.ThrowIfAny();
            notes.Add($"candidates: the {MostCandidates} that BM25 finds");
        }
        var candidates = queries.Keys.ToDictionary(
            query => query,
            query =>
                (IReadOnlyList<string>)
                    [
                        .. run.GetValueOrDefault(query, []),
                        .. grades
                            .GetValueOrDefault(query, [])
                            .Where(judged => judged.Value > 0)
                            .Select(judged => judged.Key)
                            .Except(run.GetValueOrDefault(query, []))
                            .Take(MostAdded),
                    ]
        );
        var added = candidates.Sum(query => query.Value.Count) - queries.Keys.Sum(query => run.GetValueOrDefault(query, []).Count);
        if (added > 0)
            notes.Add($"{added} relevant passages that these lack stand behind them, so that every query has something to find");

        var wanted = candidates
            .Values.SelectMany(ids => ids)
            .Concat(queries.Keys.SelectMany(query => grades.GetValueOrDefault(query, []).Keys))
            .ToHashSet(StringComparer.Ordinal);
        var passages = new OrderedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var passage in Counted(corpus.Passages(errors), "read passages", context).Where(passage => wanted.Contains(passage.Id)))
        {
            if (!passages.TryAdd(passage.Id, passage.Text))
                errors.Add($"{passage.Where}: id '{passage.Id}' is used before; ids are unique.");
        }
        errors.ThrowIfAny();
        return Complete(new Chosen(passages, queries, candidates, Plain(grades), notes), corpus.Judgements is not null);
    }

    /// <summary>Without what names passages that are not there, and without queries that keep nothing.</summary>
    private static Chosen Complete(Chosen chosen, bool isJudged)
    {
        var candidates = chosen
            .Candidates.Select(query => (query.Key, Ids: (IReadOnlyList<string>)[.. query.Value.Where(chosen.Passages.ContainsKey)]))
            .ToDictionary(query => query.Key, query => query.Ids);
        var grades = chosen
            .Queries.Keys.Select(query =>
                (
                    query,
                    Judged: (IReadOnlyDictionary<string, int>)
                        chosen
                            .Grades.GetValueOrDefault(query, new Dictionary<string, int>())
                            .Where(judged => chosen.Passages.ContainsKey(judged.Key))
                            .ToDictionary()
                )
            )
            .ToDictionary(query => query.query, query => query.Judged);
        var kept = chosen
            .Queries.Where(query => candidates[query.Key].Count > 0 && (!isJudged || grades[query.Key].Values.Any(grade => grade > 0)))
            .ToDictionary();
        var lost = chosen.Candidates.Sum(query => query.Value.Count) - candidates.Sum(query => query.Value.Count);
        IEnumerable<string> notes =
        [
            .. chosen.Notes,
            .. lost > 0 ? new[] { $"{lost} candidates are left out: the collection has no such passages" } : [],
            .. kept.Count < chosen.Queries.Count
                ? new[] { $"{chosen.Queries.Count - kept.Count} queries are left out: nothing was found or is relevant for them" }
                : [],
        ];
        if (kept.Count == 0)
            throw new PipelineException(
                "No query has a candidate that is among the passages: check that queries, judgements and passages are of one collection.",
                PipelineException.ConfigurationError
            );
        return chosen with
        {
            Queries = kept,
            Candidates = candidates.Where(query => kept.ContainsKey(query.Key)).ToDictionary(),
            Grades = grades.Where(query => kept.ContainsKey(query.Key)).ToDictionary(),
            Notes = [.. notes],
        };
    }

    /// <summary>By query and passage.</summary>
    private static Dictionary<string, Dictionary<string, int>> Grades(ForeignCorpus corpus, LineErrors errors)
    {
        var grades = new Dictionary<string, Dictionary<string, int>>(StringComparer.Ordinal);
        foreach (var judged in corpus.Judgements?.Invoke(errors) ?? [])
        {
            if (!grades.TryGetValue(judged.Query, out var own))
                grades[judged.Query] = own = new(StringComparer.Ordinal);
            own[judged.Passage] = judged.Grade;
        }
        return grades;
    }

    /// <summary>Those that somebody judged relevant passages for; of more than <see cref="MostQueries"/>, evenly over the file.</summary>
    private static Dictionary<string, string> Queries(
        ForeignCorpus corpus,
        Dictionary<string, Dictionary<string, int>> grades,
        LineErrors errors,
        List<string> notes
    )
    {
        var all = new OrderedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var query in corpus.Queries(errors))
        {
            if (corpus.Judgements is not null && grades.GetValueOrDefault(query.Id)?.Values.Any(grade => grade > 0) != true)
                continue;
            if (!all.TryAdd(query.Id, query.Text))
                errors.Add($"{query.Where}: id '{query.Id}' is used before; ids are unique.");
        }
        if (all.Count <= MostQueries)
            return all.ToDictionary(StringComparer.Ordinal);
        notes.Add(string.Create(CultureInfo.InvariantCulture, $"{MostQueries} of {all.Count:N0} queries, evenly over the file"));
        return Enumerable
            .Range(0, MostQueries)
            .Select(i => all.GetAt((int)((long)i * all.Count / MostQueries)))
            .ToDictionary(StringComparer.Ordinal);
    }

    /// <summary>The first of each query's by rank; null where no retriever ran.</summary>
    private static Dictionary<string, IReadOnlyList<string>>? Candidates(
        ForeignCorpus corpus,
        Dictionary<string, string> queries,
        LineErrors errors
    ) =>
        corpus
            .Candidates?.Invoke(errors)
            .Where(candidate => queries.ContainsKey(candidate.Query))
            .GroupBy(candidate => candidate.Query, StringComparer.Ordinal)
            .ToDictionary(
                query => query.Key,
                query =>
                    (IReadOnlyList<string>)
                        [
                            .. query
                                .OrderBy(candidate => candidate.Rank)
                                .Select(candidate => candidate.Passage)
                                .Distinct(StringComparer.Ordinal)
                                .Take(MostCandidates),
                        ],
                StringComparer.Ordinal
            );

    /// <summary>Tells how many went by, and lets the work be stopped.</summary>
    private static IEnumerable<ForeignText> Counted(IEnumerable<ForeignText> texts, string activity, StageContext context)
    {
        const int Told = 4096;
        var done = 0L;
        foreach (var text in texts)
        {
            if (++done % Told == 0)
            {
                context.Cancellation.ThrowIfCancellationRequested();
                context.Progress.Report(new StageProgress(activity, done, 0));
            }
            yield return text;
        }
    }

    private static Dictionary<string, IReadOnlyDictionary<string, int>> Plain(Dictionary<string, Dictionary<string, int>> grades) =>
        grades.ToDictionary(query => query.Key, query => (IReadOnlyDictionary<string, int>)query.Value, StringComparer.Ordinal);

    private static string JsonText(string id, string text) => JsonSerializer.Serialize(new { id, text }, Json);

    private static void WriteLines(string folder, string name, IEnumerable<string> lines)
    {
        using var stream = new FileStream(Path.Combine(folder, name), FileMode.CreateNew, FileAccess.Write);
        using (var writer = new StreamWriter(stream, leaveOpen: true) { NewLine = "\n" })
        {
            foreach (var line in lines)
                writer.WriteLine(line);
        }
        stream.Flush(flushToDisk: true);
    }
}
