using System.Text.RegularExpressions;
using Newtonsoft.Json.Linq;

namespace ModelPipeline.Manifest;

/// <summary>What a string was before its environment variables were put in: messages show this, for the variable may be a secret.</summary>
internal sealed record AsWritten(string Text)
{
    private const int MaxShown = 80;

    /// <summary>The string value of <paramref name="token"/> for messages: in quotes, as in the file, cut if it is long.</summary>
    public static string Quote(JToken token)
    {
        var text = token.Annotation<AsWritten>()?.Text ?? (string)token!;
        return text.Length <= MaxShown ? $"'{text}'" : $"'{text[..MaxShown]}...'";
    }
}

/// <summary>
/// <c>${NAME}</c> and <c>${NAME:-text}</c> (text if NAME is unset or empty) in strings; <c>$${</c> is a literal <c>${</c>.
/// Expansion works on parsed values, so a variable can never change the structure of the file.
/// </summary>
internal static partial class EnvironmentReferences
{
    [GeneratedRegex(@"\$\$\{|\$\{(?<name>[A-Za-z_][A-Za-z0-9_]*)(:-(?<default>[^}]*))?\}|(?<wrong>\$\{)")]
    private static partial Regex Reference { get; }

    /// <summary>Expands every string value under <paramref name="root"/> in place; keys are left alone.</summary>
    public static void Expand(JToken root, Func<string, string?> environment, Diagnostics errors)
    {
        var strings = (root is JContainer container ? container.DescendantsAndSelf() : [root]).OfType<JValue>();
        foreach (var token in strings.Where(token => token.Type == JTokenType.String && !errors.IsFaulty(token)))
            Expand(token, environment, errors);
    }

    private static void Expand(JValue token, Func<string, string?> environment, Diagnostics errors)
    {
        var written = (string)token.Value!;
        var expanded = Reference.Replace(written, match =>
        {
            if (match.Value == "$${")
                return "${";
            if (match.Groups["wrong"].Success)
            {
                errors.Add(token, "'${' starts neither ${NAME} nor ${NAME:-text}; write $${ for a literal ${");
                return match.Value;
            }
            var name = match.Groups["name"].Value;
            var value = environment(name);
            if (match.Groups["default"] is { Success: true } fallback)
                return string.IsNullOrEmpty(value) ? fallback.Value : value;
            if (value is null)
                errors.Add(token, $"the environment variable {name} is not set; set it or write ${{{name}:-text}}");
            return value ?? match.Value;
        });
        if (expanded.Any(char.IsControl))
            errors.Add(token, "line breaks and other control characters are not allowed in values");
        if (expanded == written)
            return;
        token.Value = expanded;
        token.AddAnnotation(new AsWritten(written));
    }
}
