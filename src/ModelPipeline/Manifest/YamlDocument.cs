using System.Buffers;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Json.Pointer;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace ModelPipeline.Manifest;

/// <summary>
/// YAML text as JSON. The place of each value goes to the diagnostics. Scalars follow YAML's core schema, numbers in decimal notation only.
/// Anchors, aliases, merge keys and tags are refused: models.yaml shares settings through its defaults, and what cannot refer cannot
/// explode.
/// </summary>
internal sealed class YamlDocument
{
    private const int MaxDepth = 32;

    /// <summary>With one of these, a name is shown as ['name'].</summary>
    private static readonly SearchValues<char> NeedsBrackets = SearchValues.Create(". '/\"[]()\t\n\r\f\b\\\u0085\u2028\u2029");

    private readonly Scanner scanner;
    private readonly IParser parser;
    private readonly Diagnostics errors;

    private YamlDocument(string text, Diagnostics errors)
    {
        scanner = new Scanner(new StringReader(text));
        parser = new Parser(scanner);
        this.errors = errors;
    }

    /// <summary>Where the scanner is.</summary>
    private Position Here => new(scanner.CurrentPosition);

    /// <summary>Where what comes next begins.</summary>
    private Position Start => new(parser.Current!.Start);

    /// <summary>What comes next, if it is a scalar.</summary>
    private string Written => (parser.Current as Scalar)?.Value ?? "";

    /// <summary>The only document of <paramref name="text"/>; null, with the error recorded, if it is not YAML.</summary>
    public static JsonNode? Read(string text, Diagnostics errors)
    {
        var document = new YamlDocument(text, errors);
        try
        {
            return document.Document();
        }
        catch (YamlException exception)
        {
            // Some of the scanner's errors come without a place; they are thrown where it stands.
            var start = new Position(exception.Start);
            errors.Add(start == new Position(1, 1) ? document.Here : start, "", $"not valid YAML: {exception.Message}");
        }
        catch (InvalidOperationException)
        {
            // What the scanner throws when a bracket is not closed before the next block key.
            errors.Add(document.Here, "", "not valid YAML: a bracket or quote before this is not closed");
        }
        return null;
    }

    private JsonNode? Document()
    {
        parser.Consume<StreamStart>();
        if (!parser.TryConsume<DocumentStart>(out _))
        {
            errors.Add(new Position(1, 1), "", "the file is empty; it needs at least corpora and models");
            return null;
        }
        errors.Locate(JsonPointer.Empty, new Place("", Start, Start, Written));
        var root = Node(JsonPointer.Empty, "");
        if (root is null)
            errors.Add(JsonPointer.Empty, "nothing is not a mapping");
        parser.Consume<DocumentEnd>();
        if (parser.TryConsume<DocumentStart>(out var second))
            errors.Add(new Position(second.Start), "", "only one document is allowed: remove this '---' and what follows");
        return root;
    }

    /// <summary>The value that comes next.</summary>
    /// <param name="at">Where it will be; as deep as that has segments.</param>
    /// <param name="path">The same as messages show it.</param>
    private JsonNode? Node(JsonPointer at, string path)
    {
        var start = parser.Current!.Start;
        if (at.SegmentCount > MaxDepth)
            throw new SyntaxErrorException(start, start, $"nested deeper than {MaxDepth} levels");

        if (parser.Current is not NodeEvent node || !node.Anchor.IsEmpty)
            Refuse("anchors and aliases are not supported; what models share goes under defaults");
        else if (!node.Tag.IsEmpty)
            Refuse("tags are not supported; remove what starts with '!'");
        return parser.Current switch
        {
            MappingStart => Mapping(at, path),
            SequenceStart => Sequence(at, path),
            Scalar => Value(parser.Consume<Scalar>()),
            _ => Skip(),
        };

        void Refuse(string message)
        {
            errors.Refuse(at);
            errors.Add(new Position(start), path, message);
        }
    }

    private JsonNode? Skip()
    {
        parser.Consume<AnchorAlias>();
        return null;
    }

    private JsonArray Sequence(JsonPointer at, string path)
    {
        var list = new JsonArray();
        parser.Consume<SequenceStart>();
        while (!parser.TryConsume<SequenceEnd>(out _))
        {
            var place = new Place($"{path}[{list.Count}]", Start, Start, Written);
            var item = at.Combine(list.Count);
            list.Add(Node(item, place.Path));
            errors.Locate(item, place);
        }
        return list;
    }

    private JsonObject Mapping(JsonPointer at, string path)
    {
        var mapping = new JsonObject();
        // Names become names of files and tasks, which do not tell case apart everywhere.
        var seen = new Dictionary<string, Position>(StringComparer.OrdinalIgnoreCase);
        parser.Consume<MappingStart>();
        while (!parser.TryConsume<MappingEnd>(out _))
        {
            var name = (parser.Current as Scalar)?.Value;
            var key = Start;
            Node(at.Combine("?"), "");
            var place = new Place(name is null ? path : Join(path, name), key, Start, Written);
            var entry = at.Combine(name ?? "");
            var value = Node(entry, place.Path);
            if (name is null || name.Any(char.IsControl))
            {
                errors.Add(key, path, "a key must be a plain name");
            }
            else if (name == "<<")
            {
                errors.Add(key, path, "merge keys are not supported; what models share goes under defaults");
            }
            else if (seen.TryGetValue(name, out var first))
            {
                errors.Add(key, path, $"duplicate key '{name}': it is already at {first}");
            }
            else
            {
                seen.Add(name, key);
                mapping.Add(name, value);
                errors.Locate(entry, place);
            }
        }
        return mapping;
    }

    private static JsonValue? Value(Scalar scalar)
    {
        var text = scalar.Value;
        if (scalar.Style != ScalarStyle.Plain)
            return JsonValue.Create(text);
        return text switch
        {
            "" or "~" or "null" or "Null" or "NULL" => null,
            "true" or "True" or "TRUE" => JsonValue.Create(true),
            "false" or "False" or "FALSE" => JsonValue.Create(false),
            _ when long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var integer) => Number(integer),
            // Of what remains, decimals are numbers; 1e999, .inf and .nan stay text and fail where a number is expected.
            _ when decimal.TryParse(
                    text,
                    NumberStyles.Float & ~NumberStyles.AllowLeadingWhite & ~NumberStyles.AllowTrailingWhite,
                    CultureInfo.InvariantCulture,
                    out var number
                ) => Number((double)number),
            _ => JsonValue.Create(text),
        };
    }

    /// <summary>Of the kind that converts to any type of number.</summary>
    private static JsonValue Number<T>(T number)
        where T : struct => JsonSerializer.SerializeToNode(number)!.AsValue();

    private static string Join(string path, string name) =>
        (path + (name.AsSpan().ContainsAny(NeedsBrackets) ? $"['{name}']" : $".{name}")).TrimStart('.');
}
