using Newtonsoft.Json.Linq;
using NJsonSchema;
using NJsonSchema.Validation;

namespace ModelPipeline.Manifest;

/// <summary>The JSON Schema of models.yaml: what editors use, what the loader checks, and where the built-in defaults are written.</summary>
internal static class ManifestSchema
{
    private static readonly Lazy<(JsonSchema Schema, JObject Defaults)> Loaded = new(Load);

    /// <summary>A manifest that holds the schema's defaults for <c>defaults</c> and <c>devices</c> and nothing else.</summary>
    public static JObject BuiltIn => Loaded.Value.Defaults;

    /// <summary>Records every violation in <paramref name="root"/>.</summary>
    public static void Check(JToken root, Diagnostics errors)
    {
        foreach (var violation in new JsonSchemaValidator().Validate(root, Loaded.Value.Schema).SelectMany(Leaves))
            if (violation.Token is { } token && !errors.IsFaulty(token))
                Report(violation, token, errors);
    }

    private static void Report(ValidationError violation, JToken token, Diagnostics errors) => errors.Add(token, violation.ToString());

    private static IEnumerable<ValidationError> Leaves(ValidationError error) => error switch
    {
        ChildSchemaValidationError { Kind: not ValidationErrorKind.NotOneOf } child => child.Errors.Values.SelectMany(errors => errors).SelectMany(Leaves),
        _ => [error],
    };

    private static (JsonSchema, JObject) Load()
    {
        using var stream = typeof(ManifestSchema).Assembly.GetManifestResourceStream("models.schema.json")!;
        var text = new StreamReader(stream).ReadToEnd();
        var raw = JObject.Parse(text);
        var settings = ((JObject)raw["definitions"]!["defaults"]!["properties"]!).Properties()
            .Select(property => new JProperty(property.Name, raw["definitions"]![property.Name]!["default"]!.DeepClone()));
        var builtIn = new JObject(
            new JProperty("defaults", new JObject(settings)),
            new JProperty("devices", raw["properties"]!["devices"]!["default"]!.DeepClone()));
        return (JsonSchema.FromJsonAsync(text).GetAwaiter().GetResult(), builtIn);
    }
}
