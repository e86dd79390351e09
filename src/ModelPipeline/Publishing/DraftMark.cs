using System.Text.RegularExpressions;

namespace ModelPipeline.Publishing;

/// <summary>A line in a draft's notes, invisible to readers, that says what is being published and by which run. It goes when the draft is
/// published.</summary>
internal static partial class DraftMark
{
    /// <summary>The notes of a draft.</summary>
    /// <param name="notes">For readers.</param>
    /// <param name="content">Of the release: <see cref="Release.Content"/>.</param>
    /// <param name="publisher">Letters, digits and - only.</param>
    public static string Body(string notes, string content, string publisher) =>
        $"{notes}\n<!-- modelpipeline: content {content}, publisher {publisher} -->\n";

    public static bool Marks(string? body, string? content = null) =>
        Mark(body) is { } mark && (content is null || mark.Groups[1].Value == content);

    public static string? PublisherOf(string? body) => Mark(body)?.Groups[2].Value;

    private static Match? Mark(string? body) => body is null ? null : Line().Matches(body).LastOrDefault();

    [GeneratedRegex("<!-- modelpipeline: content ([0-9a-f]{64}), publisher ([A-Za-z0-9-]+) -->")]
    private static partial Regex Line();
}
