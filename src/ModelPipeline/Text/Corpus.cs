using System.Globalization;
using System.Text.Json;
using ModelPipeline.Core;
using ModelPipeline.Manifest;

namespace ModelPipeline.Text;

/// <summary>A query with what a first-stage retriever found for it and what people judged.</summary>
/// <param name="Id">Unique in its file.</param>
/// <param name="Text">What a user asked; not empty.</param>
/// <param name="Candidates">Passage ids in the order of the file, at least one.</param>
/// <param name="Grades">Relevance by passage id, 0 to <see cref="Corpus.MaxGrade"/>; at least one above 0. Passages without a grade count as 0.</param>
public sealed record CorpusQuery(string Id, string Text, IReadOnlyList<string> Candidates, IReadOnlyDictionary<string, int> Grades);

/// <summary>A retrieval test collection in memory.</summary>
/// <param name="Name">Its key in models.yaml.</param>
/// <param name="Queries">In the order of the file.</param>
/// <param name="Passages">Text by passage id.</param>
public sealed record Corpus(string Name, IReadOnlyList<CorpusQuery> Queries, IReadOnlyDictionary<string, string> Passages)
{
    /// <summary>Largest acceptable relevance grade.</summary>
    public const int MaxGrade = 10;

    // Deeper nesting than a record of strings or of one array has no use here.
    private static readonly JsonDocumentOptions Json = new() { MaxDepth = 8, AllowDuplicateProperties = false };

    /// <summary>Reads and cross-checks the four files.</summary>
    /// <exception cref="PipelineException">The first thing that is wrong, as file:line.</exception>
    public static Corpus Load(CorpusSpec spec)
    {
        var passages = Texts(spec.Passages);
        var queries = Texts(spec.Queries);
        var grades = Grades(spec.Qrels, queries, passages);
        var candidates = Candidates(spec.Candidates, queries, passages);
        return new Corpus(spec.Name, [.. queries.Select(query => new CorpusQuery(
            query.Key,
            query.Value,
            candidates.GetValueOrDefault(query.Key) ?? throw new PipelineException($"{spec.Candidates}: query '{query.Key}' has no candidates; add a line for it."),
            grades.GetValueOrDefault(query.Key) is { } judged && judged.Values.Any(grade => grade > 0)
                ? judged
                : throw new PipelineException($"{spec.Qrels}: query '{query.Key}' has no passage graded above 0, so its NDCG is undefined; judge one or drop the query."))),
        ], passages);
    }

    private static OrderedDictionary<string, string> Texts(string path)
    {
        var texts = new OrderedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var (where, record) in Records(path))
        {
            var id = Text(where, record, "id");
            if (!texts.TryAdd(id, Text(where, record, "text")))
                throw new PipelineException($"{where}: id '{id}' is used before; ids are unique.");
        }
        return texts.Count > 0 ? texts : throw new PipelineException($"{path}: empty; expected one JSON object {{\"id\", \"text\"}} a line.");
    }

    private static Dictionary<string, IReadOnlyList<string>> Candidates(
        string path, IReadOnlyDictionary<string, string> queries, IReadOnlyDictionary<string, string> passages)
    {
        var candidates = new Dictionary<string, IReadOnlyList<string>>(StringComparer.Ordinal);
        foreach (var (where, record) in Records(path))
        {
            var query = Known(where, "query", Text(where, record, "query_id"), queries);
            if (!record.TryGetProperty("passage_ids", out var list) || list.ValueKind != JsonValueKind.Array || list.GetArrayLength() == 0)
                throw new PipelineException($"{where}: \"passage_ids\" must be a non-empty array of strings.");
            var ids = new List<string>();
            foreach (var item in list.EnumerateArray())
                ids.Add(Known(where, "passage", Text(where, "passage_ids", item), passages));
            if (ids.GroupBy(id => id).FirstOrDefault(group => group.Count() > 1) is { } twice)
                throw new PipelineException($"{where}: passage '{twice.Key}' is listed twice.");
            if (!candidates.TryAdd(query, ids))
                throw new PipelineException($"{where}: query '{query}' has candidates before; one line a query.");
        }
        return candidates;
    }

    private static Dictionary<string, Dictionary<string, int>> Grades(
        string path, IReadOnlyDictionary<string, string> queries, IReadOnlyDictionary<string, string> passages)
    {
        var grades = new Dictionary<string, Dictionary<string, int>>(StringComparer.Ordinal);
        foreach (var (number, line) in TextLines.Read(path))
        {
            if (line.Length == 0)
                continue;
            var where = $"{path}:{number}";
            if (line.Split('\t') is not [var query, var passage, var text])
                throw new PipelineException($"{where}: expected query, passage and grade separated by tabs.");
            Known(where, "query", query, queries);
            Known(where, "passage", passage, passages);
            if (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var grade) || grade > MaxGrade)
                throw new PipelineException($"{where}: grade '{text}' is not a whole number from 0 to {MaxGrade}.");
            if (!grades.TryGetValue(query, out var judged))
                grades.Add(query, judged = new Dictionary<string, int>(StringComparer.Ordinal));
            if (!judged.TryAdd(passage, grade))
                throw new PipelineException($"{where}: query '{query}' and passage '{passage}' are graded before.");
        }
        return grades;
    }

    private static IEnumerable<(string Where, JsonElement Record)> Records(string path)
    {
        foreach (var (number, line) in TextLines.Read(path))
        {
            if (line.Length == 0)
                continue;
            var where = $"{path}:{number}";
            using var document = Parse(where, line);
            yield return (where, document.RootElement);
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

    private static string Text(string where, JsonElement record, string key) =>
        record.TryGetProperty(key, out var value) ? Text(where, key, value) : throw new PipelineException($"{where}: \"{key}\" is missing.");

    private static string Text(string where, string key, JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.String)
            throw new PipelineException($"{where}: \"{key}\" must hold text, found {value.ValueKind}.");
        try
        {
            var text = value.GetString()!;
            return text.AsSpan().IsWhiteSpace() ? throw new PipelineException($"{where}: \"{key}\" is empty.") : text;
        }
        catch (InvalidOperationException e)
        {
            throw new PipelineException($"{where}: \"{key}\" has an escape that is no Unicode text: {e.Message}", inner: e);
        }
    }

    private static string Known(string where, string what, string id, IReadOnlyDictionary<string, string> all) =>
        all.ContainsKey(id) ? id : throw new PipelineException($"{where}: {what} '{id}' is not in the {(what == "query" ? "queries" : "passages")} file.");
}
