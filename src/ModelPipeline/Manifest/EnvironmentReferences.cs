using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Json.Pointer;

namespace ModelPipeline.Manifest;

/// <summary>
/// <c>${NAME}</c> and <c>${NAME:-text}</c> (text if NAME is unset or empty) in strings; <c>$${</c> is a literal <c>${</c>.
/// Expansion works on parsed values, so a variable can never change the structure of the file.
/// </summary>
internal static partial class EnvironmentReferences
{
    [GeneratedRegex(@"\$\$\{|\$\{(?<name>[A-Za-z_][A-Za-z0-9_]*)(:-(?<default>[^}]*))?\}|(?<wrong>\$\{)")]
    private static partial Regex Reference { get; }

    /// <summary>Expands every string value under <paramref name="root"/> in place; keys are left alone.</summary>
    public static void Expand(JsonNode root, Func<string, string?> environment, Diagnostics errors)
    {
        foreach (var value in Values(root).ToList())
        {
            var at = Diagnostics.PointerTo(value);
            if (!value.TryGetValue(out string? written) || errors.IsFaulty(at))
                continue;
            var expanded = Expand(written, at, environment, errors);
            if (expanded != written)
                value.ReplaceWith(expanded);
        }
    }

    private static string Expand(string written, JsonPointer at, Func<string, string?> environment, Diagnostics errors)
    {
        var expanded = Reference.Replace(
            written,
            match =>
            {
                if (match.Value == "$${")
                    return "${";
                if (match.Groups["wrong"].Success)
                {
                    errors.Add(at, "'${' starts neither ${NAME} nor ${NAME:-text}; write $${ for a literal ${");
                    return match.Value;
                }
                var name = match.Groups["name"].Value;
                var value = environment(name);
                if (match.Groups["default"] is { Success: true } fallback)
                    return string.IsNullOrEmpty(value) ? fallback.Value : value;
                if (value is null)
                    errors.Add(at, $"the environment variable {name} is not set; set it or write ${{{name}:-text}}");
                return value ?? match.Value;
            }
        );
        if (expanded.Any(char.IsControl))
            errors.Add(at, "line breaks and other control characters are not allowed in values");
        return expanded;
    }

    private static IEnumerable<JsonValue> Values(JsonNode? node) =>
        node switch
        {
            JsonObject mapping => mapping.SelectMany(entry => Values(entry.Value)),
            JsonArray list => list.SelectMany(Values),
            JsonValue value => [value],
            _ => [],
        };
}
