using System.Globalization;
using ModelPipeline.Core;
using ModelPipeline.Text;

namespace ModelPipeline.Corpora;

/// <summary>Text files that nobody judged: paragraphs are passages, or lines where no line is empty. Beginnings of some stand for
/// queries.</summary>
internal static class PlainTexts
{
    /// <summary>Of so many texts a sample is taken, the same each time.</summary>
    private const int Most = 2000;

    /// <summary>Texts that stand for queries, and words of each: as many as people type.</summary>
    private const int MostQueries = 100,
        QueryWords = 8;

    /// <summary>A paragraph goes on in the next passage beyond this.</summary>
    private const int LongestText = 4000;

    private const ulong Seed = 42;

    /// <summary>The file, or the folder's .txt and .md files; empty if there are none.</summary>
    public static IReadOnlyList<string> FilesOf(string path)
    {
        if (File.Exists(path))
            return [path];
        if (!Directory.Exists(path))
            return [];
        return
        [
            .. Directory
                .EnumerateFiles(path, "*", SearchOption.AllDirectories)
                .Where(file => Path.GetExtension(file).ToLowerInvariant() is ".txt" or ".md")
                .Order(StringComparer.Ordinal),
        ];
    }

    /// <exception cref="PipelineException">A file cannot be read, or there is no text in them.</exception>
    public static ForeignCorpus Open(IReadOnlyList<string> files)
    {
        var errors = new LineErrors();
        var texts = Sample(files.SelectMany(file => TextsOf(file, errors)));
        errors.ThrowIfAny();
        if (texts.Count < 2)
            throw new PipelineException(
                $"{files[0]}{(files.Count > 1 ? $" and {files.Count - 1} more" : "")}: {texts.Count} texts; two or more are needed: a "
                    + $"line each, or paragraphs with an empty line between.",
                PipelineException.ConfigurationError
            );
        var every = Math.Max(1, texts.Count / MostQueries);
        ForeignText[] queries =
        [
            .. texts
                .Where((_, index) => index % every == 0)
                .Take(MostQueries)
                .Select(text => new ForeignText("q" + text.Id, Beginning(text.Text), text.Where)),
        ];
        return new ForeignCorpus("plain text")
        {
            Passages = _ => texts,
            Queries = _ => queries,
            Notes =
            [
                $"{texts.Count} texts of {files.Count} {(files.Count == 1 ? "file" : "files")}, the beginnings of {queries.Length} as "
                    + $"queries; nothing is judged, so figures tell whether variants do as fp32 does, not how well",
            ],
        };
    }

    private static IEnumerable<string> TextsOf(string path, LineErrors errors)
    {
        var byParagraph = HasEmptyLine(path, errors);
        var paragraph = new List<string>();
        var length = 0;
        foreach (var line in Lines(path, errors))
        {
            if (line.Length > 0)
            {
                paragraph.Add(line);
                length += line.Length;
            }
            if (paragraph.Count > 0 && (!byParagraph || line.Length == 0 || length > LongestText))
            {
                yield return string.Join(' ', paragraph);
                paragraph.Clear();
                length = 0;
            }
        }
        if (paragraph.Count > 0)
            yield return string.Join(' ', paragraph);
    }

    /// <summary>Between lines that are not.</summary>
    private static bool HasEmptyLine(string path, LineErrors errors) =>
        Lines(path, errors)
            .Aggregate(
                (Begun: false, Empty: false, Found: false),
                (seen, line) => line.Length == 0 ? seen with { Empty = seen.Begun } : (true, false, seen.Found || seen.Empty)
            )
            .Found;

    private static IEnumerable<string> Lines(string path, LineErrors errors)
    {
        // Empty lines count here, and errors are noted once.
        using var lines = TextLines.Read(path).GetEnumerator();
        while (true)
        {
            try
            {
                if (!lines.MoveNext())
                    yield break;
            }
            catch (PipelineException e)
            {
                errors.Add(e.Message);
                yield break;
            }
            yield return lines.Current.Line.Trim();
        }
    }

    /// <summary>All texts or, of more than <see cref="Most"/>, a sample (Vitter's algorithm R), in the order of the files.</summary>
    private static List<ForeignText> Sample(IEnumerable<string> texts)
    {
        var (kept, random, seen) = (new List<(int Place, string Text)>(), new SplitMix64(Seed), 0);
        foreach (var text in texts)
        {
            if (kept.Count < Most)
                kept.Add((seen, text));
            else if (random.Between(0, seen) is var place && place < Most)
                kept[place] = (seen, text);
            seen++;
        }
        return
        [
            .. kept.OrderBy(text => text.Place)
                .Select(text => new ForeignText(text.Place.ToString("D6", CultureInfo.InvariantCulture), text.Text, "")),
        ];
    }

    private static string Beginning(string text)
    {
        var words = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var beginning = string.Join(' ', words.Take(QueryWords));
        // Languages without spaces.
        return beginning.Length > 80 && words.Length < QueryWords
            ? beginning[..(char.IsHighSurrogate(beginning[29]) ? 29 : 30)]
            : beginning;
    }
}
