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
    private readonly List<(Position Position, JToken? Token, string? Key, string Message)> errors = [];
    private readonly HashSet<JToken> faulty = [];

    /// <summary>An error that belongs to no key.</summary>
    public void Add(Position position, string message) => errors.Add((position, null, null, message));

    /// <summary>An error of <paramref name="token"/>'s value.</summary>
    public void Add(JToken token, string message)
    {
        faulty.Add(token);
        errors.Add((PositionOf(token), token, null, message));
    }

    /// <summary>A key that <paramref name="parent"/> lacks.</summary>
    public void AddMissing(JToken parent, string key, string message) =>
        errors.Add((PositionOf((JToken?)(parent.Parent as JProperty) ?? parent), parent, key, message));

    /// <summary>Whether the value itself was refused, so that further errors of it would only repeat that.</summary>
    public bool IsFaulty(JToken token) => faulty.Contains(token);

    /// <exception cref="PipelineException">There are errors: one a line, in the order of the file.</exception>
    public void ThrowIfAny()
    {
        if (errors.Count == 0)
            return;
        var lines = errors
            .OrderBy(error => error.Position.Line).ThenBy(error => error.Position.Column)
            .Select(error => $"{file}:{error.Position}: {Prefix(error.Token, error.Key)}{error.Message}")
            .Distinct();
        throw new PipelineException(string.Join('\n', lines), PipelineException.ConfigurationError);
    }

    private static Position PositionOf(JToken token) => token.Annotation<Position>() ?? new Position(1, 1);

    private static string Prefix(JToken? token, string? key)
    {
        var path = string.Join('.', new[] { token?.Path, key }.Where(part => !string.IsNullOrEmpty(part)));
        return path == "" ? "" : $"{path}: ";
    }
}
