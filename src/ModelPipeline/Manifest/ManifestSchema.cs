using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Json.Pointer;
using Json.Schema;

namespace ModelPipeline.Manifest;

/// <summary>The JSON Schema of models.yaml: what editors use, what the loader checks, and where the built-in defaults are
/// written.</summary>
internal static class ManifestSchema
{
    // Editors see strings before expansion, so patterns let ${ through there; here it would be a literal one.
    private const string EditorsOnly = @"\\$\\{|";

    private static readonly Lazy<string> Text = new(() =>
    {
        using var stream = typeof(ManifestSchema).Assembly.GetManifestResourceStream("models.schema.json")!;
        return new StreamReader(stream, Encoding.UTF8).ReadToEnd().Replace(EditorsOnly, "", StringComparison.Ordinal);
    });

    private static readonly Lazy<JsonSchema> Schema = new(() => JsonSchema.FromText(Text.Value));

    /// <summary>The same as written: messages are made of its words.</summary>
    private static readonly Lazy<JsonObject> Words = new(() => (JsonObject)JsonNode.Parse(Text.Value)!);

    private static readonly Lazy<JsonObject> Defaults = new(() =>
    {
        var definitions = Words.Value["definitions"]!;
        var settings = definitions["defaults"]!["properties"]!
            .AsObject()
            .Select(setting => KeyValuePair.Create(setting.Key, definitions[setting.Key]!["default"]?.DeepClone()))
            .Where(setting => setting.Value is not null);
        return new JsonObject
        {
            ["defaults"] = new JsonObject(settings),
            ["devices"] = Words.Value["properties"]!["devices"]!["default"]!.DeepClone(),
        };
    });

    /// <summary>A keyword of the schema that a value breaks.</summary>
    /// <param name="At">The value.</param>
    /// <param name="Rule">The schema that has the keyword, by the way the validator came to it, through references.</param>
    private sealed record Violation(JsonPointer At, JsonPointer Rule, string Keyword);

    /// <summary>A manifest that holds the schema's defaults of <c>defaults</c> and <c>devices</c>, and nothing else.</summary>
    public static JsonObject BuiltIn => Defaults.Value;

    /// <summary>What a name in the schema's definitions stands for.</summary>
    public static JsonObject Definition(string name) => Words.Value["definitions"]![name]!.AsObject();

    /// <summary>Records every violation in <paramref name="root"/>.</summary>
    public static void Check(JsonNode root, Diagnostics errors)
    {
        var results = Schema.Value.Evaluate(
            JsonSerializer.SerializeToElement(root),
            new EvaluationOptions { OutputFormat = OutputFormat.Hierarchical }
        );
        foreach (var violation in Violations(results).Distinct())
            if (!errors.IsFaulty(violation.At))
                Report(violation, violation.At.TryEvaluate(root, out var value) ? value : null, Rule(violation.Rule), errors);
    }

    private static IEnumerable<Violation> Violations(EvaluationResults results)
    {
        if (results.IsValid)
            return [];
        var (at, rule) = (results.InstanceLocation, results.EvaluationPath);
        // This and the choice have no errors of their own: what they hold has.
        if (IsUnder("additionalProperties", rule, 1))
            return [new Violation(at, rule.GetParent(1)!.Value, "additionalProperties")];
        var options = (results.Details ?? []).ToLookup(detail => IsUnder("oneOf", detail.EvaluationPath, 2));
        return
        [
            .. (results.Errors ?? []).Select(error => new Violation(at, rule, error.Key)),
            .. options[true].Any() && options[true].Count(option => option.IsValid) != 1
                ? [new Violation(at, rule, "oneOf")]
                : Array.Empty<Violation>(),
            .. options[false].SelectMany(Violations),
        ];
    }

    private static bool IsUnder(string keyword, JsonPointer path, int above) =>
        path.SegmentCount >= above && path.GetSegment(path.SegmentCount - above).ToString() == keyword;

    private static void Report(Violation violation, JsonNode? value, JsonNode rule, Diagnostics errors)
    {
        var known = rule["properties"]?.AsObject();
        switch (violation.Keyword)
        {
            case "required":
                foreach (var name in Names(rule["required"]).Where(name => value![name] is null))
                    errors.AddToKey(violation.At, $"'{name}' is missing: {Resolved(known![name]!)["description"]}");
                break;
            case "additionalProperties" when rule["patternProperties"] is JsonObject patterns:
                errors.AddToKey(violation.At, $"'{LastOf(violation.At)}' is not a valid name here; it must match {patterns.First().Key}");
                break;
            case "additionalProperties":
                var names = known!.Select(property => property.Key).ToList();
                var hint = Spelling.Suggest(LastOf(violation.At), names);
                errors.AddToKey(
                    violation.At,
                    $"unknown key '{LastOf(violation.At)}'{(hint != "" ? hint : $"; known are {string.Join(", ", names)}")}"
                );
                break;
            case "oneOf":
                // What is no mapping at all is reported as that.
                if (value is JsonObject)
                    errors.AddToKey(
                        violation.At,
                        $"needs exactly one of "
                            + $"{string.Join(", ", rule["oneOf"]!.AsArray().SelectMany(option => Names(option!["required"])))}"
                    );
                break;
            case "dependencies":
                // For editors: ManifestChecks says it of models.yaml.
                break;
            case "uniqueItems":
                errors.Add(violation.At, "an item is there twice");
                break;
            default:
                errors.Add(violation.At, Mismatch(value, rule, errors.Written(violation.At)));
                break;
        }
    }

    /// <summary>"'norml' is not one of normal, kl_divergence, mmse (did you mean 'normal'?)".</summary>
    private static string Mismatch(JsonNode? value, JsonNode rule, string written)
    {
        var found = value switch
        {
            null => "nothing",
            JsonObject => "a mapping",
            JsonArray { Count: var count } => $"a list of {count}",
            _ when value.GetValueKind() == JsonValueKind.String => Diagnostics.Quote(written),
            _ => written,
        };
        if (rule["enum"] is null)
            return $"{found} is not {(IsUnquoted(value, rule) ? "text (put it in quotes)" : Expected(rule))}";
        var known = Names(rule["enum"]);
        return $"{found} is not one of {string.Join(", ", known)}{Spelling.Suggest($"{value}", known)}";
    }

    private static bool IsUnquoted(JsonNode? value, JsonNode rule) =>
        TypeOf(rule) == "string" && rule["pattern"] is null && value is JsonValue && value.GetValueKind() != JsonValueKind.String;

    /// <summary>The type, or the first of several.</summary>
    private static string? TypeOf(JsonNode rule) => (string?)(rule["type"] is JsonArray several ? several[0] : rule["type"]);

    private static string Expected(JsonNode rule) =>
        ((string?)rule["patternErrorMessage"], TypeOf(rule)) switch
        {
            ({ } message, _) => message,
            (_, "integer") => $"a whole number from {rule["minimum"]} to {rule["maximum"]}",
            (_, "number") => "a number" + Limits(rule),
            (_, "boolean") => "true or false",
            (_, "array") => (rule["minItems"]?.ToString(), rule["maxItems"]?.ToString()) switch
            {
                ({ } least, { } most) when least == most => $"a list of {least}",
                ({ } least, { } most) => $"a list of {least} to {most}",
                _ => "a list",
            },
            (_, "object") => rule["minProperties"] is null ? "a mapping" : "a mapping with at least one key",
            _ => rule["minLength"] is null ? "text" : "text, at least one character",
        };

    /// <summary>Behind "a number": " from 0 to 1", " above 0.5 and below 1".</summary>
    private static string Limits(JsonNode rule) =>
        rule["minimum"] is { } least && rule["maximum"] is { } most
            ? $" from {least} to {most}"
            : string.Join(
                " and",
                new[]
                {
                    ("exclusiveMinimum", "above"),
                    ("minimum", "of at least"),
                    ("exclusiveMaximum", "below"),
                    ("maximum", "of at most"),
                }
                    .Where(limit => rule[limit.Item1] is not null)
                    .Select(limit => $" {limit.Item2} {rule[limit.Item1]}")
            );

    private static JsonNode Rule(JsonPointer path)
    {
        JsonNode rule = Words.Value;
        for (var i = 0; i < path.SegmentCount; i++)
        {
            var step = path.GetSegment(i).ToString();
            // Of a list of schemas for items, the validator names an index where there is none, too.
            rule = step == "$ref" ? Resolved(rule) : (rule as JsonArray)?[int.Parse(step)] ?? (rule as JsonObject)?[step] ?? rule;
        }
        return rule;
    }

    /// <summary>What <c>#/definitions/name</c> refers to, or the rule itself.</summary>
    private static JsonNode Resolved(JsonNode rule) =>
        (string?)rule["$ref"] is { } reference && JsonPointer.Parse(reference[1..]).TryEvaluate(Words.Value, out var definition)
            ? definition!
            : rule;

    private static List<string> Names(JsonNode? list) => [.. list!.AsArray().Select(name => (string)name!)];

    private static string LastOf(JsonPointer at) => at.GetSegment(at.SegmentCount - 1).ToString();
}
