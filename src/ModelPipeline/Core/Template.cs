using System.Text.RegularExpressions;

namespace ModelPipeline.Core;

/// <summary>The texts of pipeline/templates, in which <c>{{name}}</c> stands for a value.</summary>
public static partial class Template
{
    /// <summary>The template with every placeholder replaced. Values are inserted as they are and not searched for placeholders: escape them before.</summary>
    /// <exception cref="ArgumentException">There is no such template, a placeholder has no value, or a value no placeholder.</exception>
    public static string Fill(string template, IReadOnlyDictionary<string, string> values)
    {
        using var resource = typeof(Template).Assembly.GetManifestResourceStream("templates/" + template)
            ?? throw new ArgumentException($"There is no template '{template}'.", nameof(template));
        using var reader = new StreamReader(resource);
        var used = new HashSet<string>();
        var text = Placeholder().Replace(reader.ReadToEnd().ReplaceLineEndings("\n"), match =>
        {
            var name = match.Groups[1].Value;
            used.Add(name);
            return values.TryGetValue(name, out var value) ? value : throw new ArgumentException($"Template '{template}' asks for '{name}', which has no value.", nameof(values));
        });
        var unused = values.Keys.Except(used).ToArray();
        return unused.Length == 0 ? text : throw new ArgumentException($"Template '{template}' has no place for {string.Join(", ", unused)}.", nameof(values));
    }

    [GeneratedRegex(@"\{\{([a-z_]+)\}\}")]
    private static partial Regex Placeholder();
}
