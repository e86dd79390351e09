using ModelPipeline.Core;
using Newtonsoft.Json.Linq;
using YamlDotNet.Core;

namespace ModelPipeline.Manifest;

/// <summary>1-based line and column.</summary>
internal sealed record Position(long Line, long Column)
{
    public Position(Mark mark) : this(mark.Line, mark.Column) { }

    public override string ToString() => $"{Line}:{Column}";
}

/// <summary>Collects everything that is wrong with one file, to report it at once.</summary>
/// <param name="file">The file's name as the user gave it.</param>
internal sealed class Diagnostics(string file)
{
    private const int MaxShown = 100;

    private readonly List<(Position Position, JToken? At, string Message)> errors = [];
    // By reference: equal values at two places are two errors.
    private readonly HashSet<JToken> faulty = new(ReferenceEqualityComparer.Instance);

    /// <summary>An error at a place that has no token of its own; <paramref name="within"/> is what it is part of.</summary>
    public void Add(Position position, string message, JToken? within = null) => errors.Add((position, within, message));

    /// <summary>An error in the value of <paramref name="token"/>, or in the key if it is a property.</summary>
    public void Add(JToken token, string message)
    {
        faulty.Add(token);
        Add(PositionOf(token), message, token);
    }

    /// <summary>An error in what <paramref name="mapping"/> holds as a whole: it is reported at the key whose value the mapping is.</summary>
    public void AddTo(JToken mapping, string message) => Add(PositionOf(mapping.Parent as JProperty ?? mapping), message, mapping);

    /// <summary>Whether the value itself was refused, so that further errors of it would only repeat that.</summary>
    public bool IsFaulty(JToken token) => faulty.Contains(token);

    /// <exception cref="PipelineException">There are errors: one a line, in the order of the file.</exception>
    public void ThrowIfAny()
    {
        if (errors.Count == 0)
            return;
        var shown = errors
            .OrderBy(error => error.Position.Line).ThenBy(error => error.Position.Column)
            .Take(MaxShown)
            .Select(error => string.Join(": ", new[] { $"{file}:{error.Position}", error.At?.Path, error.Message }.Where(part => !string.IsNullOrEmpty(part))))
            .Distinct();
        IEnumerable<string> more = errors.Count > MaxShown ? [$"{file}: and {errors.Count - MaxShown} more errors"] : [];
        var lines = shown.Concat(more);
        throw new PipelineException(string.Join('\n', lines), PipelineException.ConfigurationError);
    }

    private static Position PositionOf(JToken token) => token.Annotation<Position>() ?? new Position(1, 1);
}
