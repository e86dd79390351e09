using System.Globalization;
using System.Text.Json;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Text;

/// <summary>Reads the four files of a corpus once and collects all that is wrong with them.</summary>
internal sealed class CorpusReader(CorpusSpec spec)
{
    private const int MaxShown = 100;

    // Deeper nesting than a record of strings or of one array has no use here; BEIR's metadata is one object.
    private static readonly JsonDocumentOptions Json = new() { MaxDepth = 8, AllowDuplicateProperties = false };

    private readonly List<string> errors = [];

    /// <summary>Files of which something is missing, so that what refers to them cannot be judged.</summary>
    private readonly HashSet<string> broken = [];

    /// <exception cref="PipelineException">Something is wrong: a line each.</exception>
    public Corpus Read()
    {
        var passages = Texts("passages", spec.Passages, withTitles: true);
        var queries = Texts("queries", spec.Queries, withTitles: false);
        var grades = Grades(queries, passages);
        var candidates = Candidates(queries, passages);
        foreach (var query in queries.Keys)
        {
            if (!candidates.ContainsKey(query) && !broken.Contains(spec.Candidates))
                errors.Add($"{spec.Candidates}: query '{query}' has no candidates; add a line for it.");
            if (
                spec.Qrels is not null
                && !grades.GetValueOrDefault(query, []).Values.Any(grade => grade > 0)
                && !broken.Contains(spec.Qrels)
            )
                errors.Add(
                    $"{spec.Qrels}: query '{query}' has no passage graded above 0, so its NDCG is undefined; judge one or drop the query."
                );
        }
        IEnumerable<string> more = errors.Count > MaxShown ? [$"corpus '{spec.Name}': and {errors.Count - MaxShown} more errors."] : [];
        if (errors.Count > 0)
            throw new PipelineException(string.Join('\n', errors.Take(MaxShown).Concat(more)), PipelineException.ConfigurationError);
        return new Corpus(
            spec.Name,
            [
                .. queries.Select(query => new CorpusQuery(
                    query.Key,
                    query.Value,
                    candidates[query.Key],
                    grades.GetValueOrDefault(query.Key, [])
                )),
            ],
            passages
        );
    }

    /// <summary>Id and text of a line. A passage's title, as BEIR's files have it, comes before its text, as BEIR's loaders put it
    /// there.</summary>
    /// <exception cref="PipelineException">The line is no such record.</exception>
    internal static (string Id, string Text) Text(string where, string line, bool withTitle)
    {
        using var document = Parse(where, line);
        var record = document.RootElement;
        var id = Text(where, record, record.TryGetProperty("id", out _) || !record.TryGetProperty("_id", out _) ? "id" : "_id");
        var title =
            withTitle && record.TryGetProperty("title", out var value) && value.ValueKind != JsonValueKind.Null
                ? Text(where, "title", value, mayBeEmpty: true)
                : "";
        var text = Text(where, record, "text", mayBeEmpty: title.Trim().Length > 0);
        return (id, title.Length == 0 ? text : $"{title} {text}".Trim());
    }

    /// <summary>Text by id.</summary>
    private OrderedDictionary<string, string> Texts(string key, string path, bool withTitles)
    {
        var texts = new OrderedDictionary<string, string>(StringComparer.Ordinal);
        Each(
            key,
            path,
            (where, line) =>
            {
                var (id, text) = Text(where, line, withTitles);
                if (!texts.TryAdd(id, text))
                    throw new PipelineException($"{where}: id '{id}' is used before; ids are unique.");
            }
        );
        if (texts.Count == 0 && broken.Add(path))
            errors.Add($"{path}: empty; expected one JSON object {{\"id\", \"text\"}} a line.");
        return texts;
    }

    private Dictionary<string, IReadOnlyList<string>> Candidates(
        IReadOnlyDictionary<string, string> queries,
        IReadOnlyDictionary<string, string> passages
    )
    {
        var candidates = new Dictionary<string, IReadOnlyList<string>>(StringComparer.Ordinal);
        Each(
            "candidates",
            spec.Candidates,
            (where, line) =>
            {
                using var document = Parse(where, line);
                var record = document.RootElement;
                var query = Known(where, "query", Text(where, record, "query_id"), spec.Queries, queries);
                // What follows may be wrong; the query still has its line.
                if (!candidates.TryAdd(query, []))
                    throw new PipelineException($"{where}: query '{query}' has candidates before; one line a query.");
                if (
                    !record.TryGetProperty("passage_ids", out var list)
                    || list.ValueKind != JsonValueKind.Array
                    || list.GetArrayLength() == 0
                )
                    throw new PipelineException($"{where}: \"passage_ids\" must be a non-empty array of strings.");
                var ids = new List<string>();
                foreach (var item in list.EnumerateArray())
                    ids.Add(Known(where, "passage", Text(where, "passage_ids", item), spec.Passages, passages));
                if (ids.GroupBy(id => id).FirstOrDefault(group => group.Count() > 1) is { } twice)
                    throw new PipelineException($"{where}: passage '{twice.Key}' is listed twice.");
                candidates[query] = ids;
            }
        );
        return candidates;
    }

    private Dictionary<string, Dictionary<string, int>> Grades(
        IReadOnlyDictionary<string, string> queries,
        IReadOnlyDictionary<string, string> passages
    )
    {
        var grades = new Dictionary<string, Dictionary<string, int>>(StringComparer.Ordinal);
        if (spec.Qrels is not { } path)
            return grades;
        Each(
            "qrels",
            path,
            (where, line) =>
            {
                if (line.Split('\t') is not [var query, var passage, var text])
                    throw new PipelineException($"{where}: expected query, passage and grade separated by tabs.");
                Known(where, "query", query, spec.Queries, queries);
                Known(where, "passage", passage, spec.Passages, passages);
                if (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var grade) || grade > Corpus.MaxGrade)
                    throw new PipelineException($"{where}: grade '{text}' is not a whole number from 0 to {Corpus.MaxGrade}.");
                if (!grades.TryGetValue(query, out var judged))
                    grades.Add(query, judged = new Dictionary<string, int>(StringComparer.Ordinal));
                if (!judged.TryAdd(passage, grade))
                    throw new PipelineException($"{where}: query '{query}' and passage '{passage}' are graded before.");
            }
        );
        return grades;
    }

    /// <summary>Takes each line that is not empty; what is wrong with one does not hide what is wrong with the next.</summary>
    private void Each(string key, string path, Action<string, string> take)
    {
        try
        {
            foreach (var (number, line) in TextLines.Read(path).Where(line => line.Line.Length > 0))
            {
                try
                {
                    take($"{path}:{number}", line);
                }
                catch (PipelineException e)
                {
                    errors.Add(e.Message);
                    broken.Add(path);
                }
            }
        }
        catch (PipelineException e)
        {
            errors.Add($"corpora.{spec.Name}.{key}: {e.Message}");
            broken.Add(path);
        }
    }

    private static JsonDocument Parse(string where, string line)
    {
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(line, Json);
        }
        catch (JsonException e)
        {
            throw new PipelineException($"{where}: not a JSON object: {e.Message}", inner: e);
        }
        if (document.RootElement.ValueKind == JsonValueKind.Object)
            return document;
        using (document)
            throw new PipelineException($"{where}: expected a JSON object, found {document.RootElement.ValueKind}.");
    }

    private static string Text(string where, JsonElement record, string key, bool mayBeEmpty = false) =>
        record.TryGetProperty(key, out var value)
            ? Text(where, key, value, mayBeEmpty)
            : throw new PipelineException($"{where}: \"{key}\" is missing.");

    private static string Text(string where, string key, JsonElement value, bool mayBeEmpty = false)
    {
        if (value.ValueKind != JsonValueKind.String)
            throw new PipelineException($"{where}: \"{key}\" must hold text, found {value.ValueKind}.");
        try
        {
            var text = value.GetString()!;
            return text.AsSpan().IsWhiteSpace() && !mayBeEmpty ? throw new PipelineException($"{where}: \"{key}\" is empty.") : text;
        }
        catch (InvalidOperationException e)
        {
            throw new PipelineException($"{where}: \"{key}\" has an escape that is no Unicode text: {e.Message}", inner: e);
        }
    }

    /// <summary>The id, if its file has it, or lacks lines so that nobody can tell.</summary>
    private string Known(string where, string what, string id, string path, IReadOnlyDictionary<string, string> all) =>
        all.ContainsKey(id) || broken.Contains(path)
            ? id
            : throw new PipelineException($"{where}: {what} '{id}' is not in the {(what == "query" ? "queries" : "passages")} file.");
}
