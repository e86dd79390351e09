using System.Text.Json.Nodes;
using Json.Pointer;
using ModelPipeline.Core;
using YamlDotNet.Core;

namespace ModelPipeline.Manifest;

/// <summary>1-based line and column.</summary>
internal sealed record Position(long Line, long Column)
{
    public Position(Mark mark)
        : this(mark.Line, mark.Column) { }

    public override string ToString() => $"{Line}:{Column}";
}

/// <summary>Where a value stands in the file.</summary>
/// <param name="Path">As messages show it: "models.tiny.shapes[0]"; empty for the whole file.</param>
/// <param name="Key">Of the key that the value belongs to; of the value itself if it has none.</param>
/// <param name="Value">Of the value.</param>
/// <param name="Written">A scalar as in the file, before environment variables are put in; empty for mappings and lists.</param>
internal sealed record Place(string Path, Position Key, Position Value, string Written);

/// <summary>Knows the place of every value of one file, and collects everything that is wrong with it, to report it at once.</summary>
/// <param name="file">The file's name as the user gave it.</param>
internal sealed class Diagnostics(string file)
{
    private const int MaxShown = 100;
    private const int MaxQuoted = 80;
    private static readonly Place Start = new("", new Position(1, 1), new Position(1, 1), "");

    private readonly Dictionary<JsonPointer, Place> places = [];
    private readonly List<(Position Position, string Path, string Message)> errors = [];
    private readonly HashSet<JsonPointer> faulty = [];

    /// <summary>Values are known by pointers, for JSON's null is no object of its own. The first place told of a pointer counts.</summary>
    public void Locate(JsonPointer at, Place place) => places.TryAdd(at, place);

    /// <summary>Where the key of the value at <paramref name="at"/> stands; null if there is none.</summary>
    public Position? KeyAt(JsonPointer at) => places.TryGetValue(at, out var place) ? place.Key : null;

    /// <summary>An error at a place that has no value of its own; <paramref name="path"/> is what it is part of.</summary>
    public void Add(Position position, string path, string message) => errors.Add((position, path, message));

    /// <summary>An error in the value at <paramref name="at"/>.</summary>
    public void Add(JsonPointer at, string message)
    {
        Refuse(at);
        Add(PlaceOf(at).Value, PlaceOf(at).Path, message);
    }

    /// <inheritdoc cref="Add(JsonPointer, string)"/>
    public void Add(JsonNode value, string message) => Add(PointerTo(value), message);

    /// <summary>An error in the key of the value at <paramref name="at"/>, or in what a mapping there holds as a whole.</summary>
    public void AddToKey(JsonPointer at, string message) => Add(PlaceOf(at).Key, PlaceOf(at).Path, message);

    /// <inheritdoc cref="AddToKey(JsonPointer, string)"/>
    public void AddToKey(JsonNode value, string message) => AddToKey(PointerTo(value), message);

    /// <inheritdoc cref="AddToKey(JsonPointer, string)"/>
    public void AddToKey(JsonObject mapping, string key, string message) => AddToKey(PointerTo(mapping).Combine(key), message);

    /// <summary>Marks the value at <paramref name="at"/> as refused.</summary>
    public void Refuse(JsonPointer at) => faulty.Add(at);

    /// <summary>Whether the value itself was refused, so that further errors of it would only repeat that.</summary>
    public bool IsFaulty(JsonPointer at) => faulty.Contains(at);

    /// <inheritdoc cref="IsFaulty(JsonPointer)"/>
    public bool IsFaulty(JsonNode value) => IsFaulty(PointerTo(value));

    /// <summary>A scalar as in the file, for messages: what a variable holds may be a secret.</summary>
    public string Written(JsonPointer at) => PlaceOf(at).Written;

    /// <summary>A text for messages: in quotes, cut if it is long.</summary>
    public static string Quote(string text) => text.Length <= MaxQuoted ? $"'{text}'" : $"'{text[..MaxQuoted]}...'";

    /// <summary>The text <paramref name="value"/> as in the file, in quotes.</summary>
    public string Quote(JsonNode value) => Quote(Written(PointerTo(value)));

    /// <exception cref="PipelineException">There are errors: one a line, in the order of the file.</exception>
    public void ThrowIfAny()
    {
        if (errors.Count == 0)
            return;
        var shown = errors
            .OrderBy(error => error.Position.Line)
            .ThenBy(error => error.Position.Column)
            .Take(MaxShown)
            .Select(error => string.Join(": ", new[] { $"{file}:{error.Position}", error.Path, error.Message }.Where(part => part != "")))
            .Distinct();
        IEnumerable<string> more = errors.Count > MaxShown ? [$"{file}: and {errors.Count - MaxShown} more errors"] : [];
        var lines = shown.Concat(more);
        throw new PipelineException(string.Join('\n', lines), PipelineException.ConfigurationError);
    }

    private Place PlaceOf(JsonPointer at) => places.GetValueOrDefault(at, Start);

    /// <summary>The pointer to <paramref name="value"/> from its root.</summary>
    public static JsonPointer PointerTo(JsonNode value) =>
        value.Parent switch
        {
            JsonObject mapping => PointerTo(mapping).Combine(value.GetPropertyName()),
            JsonArray list => PointerTo(list).Combine(value.GetElementIndex()),
            _ => JsonPointer.Empty,
        };
}
