using System.Text.RegularExpressions;

namespace ModelPipeline.Decision;

/// <summary>
/// KEY=value lines that mean the same to a shell's <c>source</c>, to systemd's <c>EnvironmentFile=</c> and to Docker's <c>--env-file</c>.
/// Docker takes quotes for part of the value, so there is no quoting that all three understand: values that would need it are refused.
/// </summary>
public static partial class EnvironmentFile
{
    /// <summary>Stands for the winning artifact's file name in values.</summary>
    public const string FilePlaceholder = "{file}";

    /// <summary>Sorted by key, placeholders filled in.</summary>
    /// <exception cref="PipelineException">A key or value would need quotes, or a value names a file where there is none.</exception>
    public static IReadOnlyDictionary<string, string> Resolve(IReadOnlyDictionary<string, string> declared, string? file)
    {
        var resolved = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var (key, template) in declared)
        {
            if (file is null && template.Contains(FilePlaceholder))
                throw Refused($"decision: {key}={template}: {FilePlaceholder} stands for the winning NPU file, and the CPU's environment has none. Name what the CPU runs.");
            var value = template.Replace(FilePlaceholder, file);
            if (!Name().IsMatch(key))
                throw Refused($"decision: '{key}' cannot be the name of an environment variable. Use letters, digits and _, beginning with a letter or _.");
            if (!PlainValue().IsMatch(value))
            {
                throw Refused(
                    $"decision: the value of {key}, '{value}', would need quotes, which shells, systemd and Docker read differently. Use letters, digits and _ . / : @ % + = , - only.");
            }
            resolved.Add(key, value);
        }
        return resolved;
    }

    /// <summary>The file's text, one line a variable, each ending in '\n'.</summary>
    public static string Text(IReadOnlyDictionary<string, string> environment) => string.Concat(environment.Select(variable => $"{variable.Key}={variable.Value}\n"));

    private static PipelineException Refused(string message) => new(message, PipelineException.ConfigurationError);

    [GeneratedRegex(@"\A[A-Za-z_][A-Za-z0-9_]*\z")]
    private static partial Regex Name();

    [GeneratedRegex(@"\A[A-Za-z0-9_./:@%+=,-]*\z")]
    private static partial Regex PlainValue();
}
