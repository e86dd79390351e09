using System.Globalization;
using Newtonsoft.Json.Linq;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace ModelPipeline.Manifest;

/// <summary>
/// YAML text as JSON tokens that know their position (an annotation). Scalars follow YAML's core schema, numbers in decimal notation only.
/// Anchors, aliases, merge keys and tags are refused: models.yaml shares settings through its defaults, and what cannot refer cannot explode.
/// </summary>
internal sealed class YamlDocument
{
    private const int MaxDepth = 32;

    private readonly Scanner scanner;
    private readonly IParser parser;
    private readonly Diagnostics errors;

    private YamlDocument(string text, Diagnostics errors)
    {
        scanner = new Scanner(new StringReader(text));
        parser = new Parser(scanner);
        this.errors = errors;
    }

    private Position Here => new(scanner.CurrentPosition);

    /// <summary>The only document of <paramref name="text"/>; null, with the error recorded, if it is not YAML.</summary>
    public static JToken? Read(string text, Diagnostics errors)
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
            errors.Add(start == new Position(1, 1) ? document.Here : start, $"not valid YAML: {exception.Message}");
        }
        catch (InvalidOperationException)
        {
            // What the scanner throws when a bracket is not closed before the next block key.
            errors.Add(document.Here, "not valid YAML: a bracket or quote before this is not closed");
        }
        return null;
    }

    private JToken? Document()
    {
        parser.Consume<StreamStart>();
        if (!parser.TryConsume<DocumentStart>(out _))
        {
            errors.Add(new Position(1, 1), "the file is empty; it needs at least corpora and models");
            return null;
        }
        var root = Node(depth: 0);
        parser.Consume<DocumentEnd>();
        if (parser.TryConsume<DocumentStart>(out var second))
            errors.Add(new Position(second.Start), "only one document is allowed: remove this '---' and what follows");
        return root;
    }

    private JToken Node(int depth)
    {
        var start = parser.Current!.Start;
        if (depth > MaxDepth)
            throw new SyntaxErrorException(start, start, $"nested deeper than {MaxDepth} levels");

        const string NoReferences = "anchors and aliases are not supported; what models share goes under defaults";
        var node = parser.Current as NodeEvent;
        JToken token = parser.Current switch
        {
            MappingStart => Mapping(depth),
            SequenceStart => Sequence(depth),
            Scalar => Value(parser.Consume<Scalar>()),
            _ => Skip(),
        };
        token.AddAnnotation(new Position(start));
        if (node is null || !node.Anchor.IsEmpty)
            errors.Add(token, NoReferences);
        else if (!node.Tag.IsEmpty)
            errors.Add(token, "tags are not supported; remove what starts with '!'");
        return token;
    }

    private JValue Skip()
    {
        parser.Consume<AnchorAlias>();
        return JValue.CreateNull();
    }

    private JArray Sequence(int depth)
    {
        var array = new JArray();
        parser.Consume<SequenceStart>();
        while (!parser.TryConsume<SequenceEnd>(out _))
            array.Add(Node(depth + 1));
        return array;
    }

    private JObject Mapping(int depth)
    {
        var mapping = new JObject();
        // Names become names of files and tasks, which do not tell case apart everywhere.
        var seen = new Dictionary<string, Position>(StringComparer.OrdinalIgnoreCase);
        parser.Consume<MappingStart>();
        while (!parser.TryConsume<MappingEnd>(out _))
        {
            var name = (parser.Current as Scalar)?.Value;
            var key = Node(depth + 1);
            var position = key.Annotation<Position>()!;
            var value = Node(depth + 1);
            if (name is null || name.Any(char.IsControl))
            {
                errors.Add(position, "a key must be a plain name", mapping);
            }
            else if (name == "<<")
            {
                errors.Add(position, "merge keys are not supported; what models share goes under defaults", mapping);
            }
            else if (seen.TryGetValue(name, out var first))
            {
                errors.Add(position, $"duplicate key '{name}': it is already at {first}", mapping);
            }
            else
            {
                seen.Add(name, position);
                var property = new JProperty(name, value);
                property.AddAnnotation(position);
                mapping.Add(property);
            }
        }
        return mapping;
    }

    private static JValue Value(Scalar scalar)
    {
        var text = scalar.Value;
        if (scalar.Style != ScalarStyle.Plain)
            return new JValue(text);
        return text switch
        {
            "" or "~" or "null" or "Null" or "NULL" => JValue.CreateNull(),
            "true" or "True" or "TRUE" => new JValue(true),
            "false" or "False" or "FALSE" => new JValue(false),
            _ when long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var integer) => new JValue(integer),
            // Of what remains, decimals are numbers; 1e999, .inf and .nan stay text and fail where a number is expected.
            _ when decimal.TryParse(text, NumberStyles.Float & ~NumberStyles.AllowLeadingWhite & ~NumberStyles.AllowTrailingWhite,
                CultureInfo.InvariantCulture, out var number) => new JValue((double)number),
            _ => new JValue(text),
        };
    }
}
