using System.Text;
using Newtonsoft.Json.Linq;
using NJsonSchema;
using NJsonSchema.Validation;

namespace ModelPipeline.Manifest;

/// <summary>The JSON Schema of models.yaml: what editors use, what the loader checks, and where the built-in defaults are written.</summary>
internal static class ManifestSchema
{
    // Editors see strings before expansion, so patterns let ${ through there; here it would be a literal one.
    private const string EditorsOnly = @"\\$\\{|";

    private static readonly Lazy<string> Text = new(() =>
    {
        using var stream = typeof(ManifestSchema).Assembly.GetManifestResourceStream("models.schema.json")!;
        return new StreamReader(stream, Encoding.UTF8).ReadToEnd().Replace(EditorsOnly, "", StringComparison.Ordinal);
    });

    private static readonly Lazy<JsonSchema> Schema = new(() => JsonSchema.FromJsonAsync(Text.Value).GetAwaiter().GetResult());

    private static readonly Lazy<JObject> Defaults = new(() =>
    {
        var schema = JObject.Parse(Text.Value);
        var definitions = (JObject)schema["definitions"]!;
        var settings = ((JObject)definitions["defaults"]!["properties"]!).Properties()
            .Select(setting => new JProperty(setting.Name, definitions[setting.Name]!["default"])).Where(setting => setting.Value.Type != JTokenType.Null);
        return new JObject(new JProperty("defaults", new JObject(settings)), new JProperty("devices", schema["properties"]!["devices"]!["default"]));
    });

    /// <summary>A manifest that holds the schema's defaults of <c>defaults</c> and <c>devices</c>, and nothing else.</summary>
    public static JObject BuiltIn => Defaults.Value;

    /// <summary>What a name in the schema's definitions stands for.</summary>
    public static JObject Definition(string name) => (JObject)JObject.Parse(Text.Value)["definitions"]![name]!;

    /// <summary>Records every violation in <paramref name="root"/>.</summary>
    public static void Check(JToken root, Diagnostics errors)
    {
        foreach (var violation in new JsonSchemaValidator().Validate(root, Schema.Value).SelectMany(Leaves))
            if (violation.Token is { } token && !errors.IsFaulty(token))
                Report(violation, token, violation.Schema.ActualSchema, errors);
    }

    private static void Report(ValidationError violation, JToken token, JsonSchema schema, Diagnostics errors)
    {
        switch (violation.Kind)
        {
            case ValidationErrorKind.PropertyRequired:
                // What is no mapping at all is reported as that, not as lacking keys.
                if (token is JObject)
                    errors.AddTo(token, $"'{violation.Property}' is missing: {schema.Properties[violation.Property!].ActualSchema.Description}");
                break;
            case ValidationErrorKind.NoAdditionalPropertiesAllowed when schema.PatternProperties.Count > 0:
                errors.Add(token, $"'{violation.Property}' is not a valid name here; it must match {schema.PatternProperties.Keys.First()}");
                break;
            case ValidationErrorKind.NoAdditionalPropertiesAllowed:
                var hint = Spelling.Suggest(violation.Property!, schema.Properties.Keys);
                errors.Add(token, $"unknown key '{violation.Property}'{(hint != "" ? hint : $"; known are {string.Join(", ", schema.Properties.Keys)}")}");
                break;
            case ValidationErrorKind.NotOneOf:
                if (token is JObject)
                    errors.AddTo(token, $"needs exactly one of {string.Join(", ", schema.OneOf.SelectMany(option => option.RequiredProperties))}");
                break;
            case ValidationErrorKind.ItemsNotUnique:
                errors.Add(token, "an item is there twice");
                break;
            default:
                errors.Add(token, Mismatch(token, schema));
                break;
        }
    }

    /// <summary>"'norml' is not one of normal, kl_divergence, mmse (did you mean 'normal'?)".</summary>
    private static string Mismatch(JToken token, JsonSchema schema)
    {
        var found = token switch
        {
            JObject => "a mapping",
            JArray { Count: var count } => $"a list of {count}",
            { Type: JTokenType.Null } => "nothing",
            JValue { Value: string } => AsWritten.Quote(token),
            _ => token.ToString(Newtonsoft.Json.Formatting.None),
        };
        if (schema.Enumeration.Count == 0)
            return $"{found} is not {(IsUnquoted(token, schema) ? "text (put it in quotes)" : Expected(schema))}";
        var known = schema.Enumeration.Select(value => $"{value}").ToList();
        return $"{found} is not one of {string.Join(", ", known)}{Spelling.Suggest(token.ToString(), known)}";
    }

    private static bool IsUnquoted(JToken token, JsonSchema schema) =>
        schema is { Type: JsonObjectType.String, Pattern: null } && token is JValue { Value: not null and not string };

    private static string Expected(JsonSchema schema) => schema switch
    {
        { ExtensionData: { } data } when data.TryGetValue("patternErrorMessage", out var message) => $"{message}",
        { Type: JsonObjectType.Integer } => $"a whole number from {schema.Minimum:0} to {schema.Maximum:0}",
        { Type: JsonObjectType.Number, ExclusiveMinimum: { } minimum } => $"a number above {minimum:0}",
        { Type: JsonObjectType.Number } => "a number",
        { Type: JsonObjectType.Boolean } => "true or false",
        { Type: JsonObjectType.Array, MinItems: > 0, MaxItems: > 0 } when schema.MinItems == schema.MaxItems => $"a list of {schema.MinItems}",
        { Type: JsonObjectType.Array, MinItems: > 0, MaxItems: > 0 } => $"a list of {schema.MinItems} to {schema.MaxItems}",
        { Type: JsonObjectType.Array } => "a list",
        { Type: JsonObjectType.Object, MinProperties: > 0 } => "a mapping with at least one key",
        { Type: JsonObjectType.Object } => "a mapping",
        { MinLength: > 0 } => "text, at least one character",
        _ => "text",
    };

    private static IEnumerable<ValidationError> Leaves(ValidationError error) => error switch
    {
        ChildSchemaValidationError { Kind: not ValidationErrorKind.NotOneOf } child => child.Errors.Values.SelectMany(errors => errors).SelectMany(Leaves),
        _ => [error],
    };
}
