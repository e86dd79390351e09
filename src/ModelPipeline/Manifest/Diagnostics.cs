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
    private readonly List<(Position Position, JToken? At, string? Key, string Message)> errors = [];
    // By reference: equal values at two places are two errors.
    private readonly HashSet<JToken> faulty = new(ReferenceEqualityComparer.Instance);

    /// <summary>An error that belongs to no value, or to <paramref name="key"/> of <paramref name="mapping"/> which has not got it.</summary>
    public void Add(Position position, string message, JToken? mapping = null, string? key = null) => errors.Add((position, mapping, key, message));

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
        var lines = errors
            .OrderBy(error => error.Position.Line).ThenBy(error => error.Position.Column)
            .Select(error => string.Join(": ", new[] { $"{file}:{error.Position}", KeyPath(error.At, error.Key), error.Message }.Where(part => part != "")))
            .Distinct();
        throw new PipelineException(string.Join('\n', lines), PipelineException.ConfigurationError);
    }

    private static string KeyPath(JToken? token, string? key) =>
        string.Join('.', new[] { token?.Path, key }.Where(part => !string.IsNullOrEmpty(part)));

    private static Position PositionOf(JToken token) => token.Annotation<Position>() ?? new Position(1, 1);
}
