using System.Text.RegularExpressions;
using ModelPipeline.Core;
using ModelPipeline.Devices;

namespace ModelPipeline.Decision;

/// <summary>
/// KEY=value lines that mean the same to a shell's <c>source</c>, to systemd's <c>EnvironmentFile=</c> and to Docker's <c>--env-file</c>.
/// Docker takes quotes for part of the value, so there is no quoting that all three understand: values that would need it are refused.
/// </summary>
public static partial class EnvironmentFile
{
    /// <summary>Stands for the file to load: the winning artifact's name, of several the one that takes every length, or what the CPU
    /// serves.</summary>
    public const string FilePlaceholder = "{file}";

    /// <summary>Stands for the winning artifacts by their largest number of tokens, such as 64:a.rknn,128:b.rknn.</summary>
    public const string BucketsPlaceholder = "{buckets}";

    /// <summary>Stands for the name of the core plan.</summary>
    public const string CorePlanPlaceholder = "{core_plan}";

    /// <summary>Variables for a model whose models.yaml names none: what runs it, and the file.</summary>
    /// <param name="prefix">Of their names.</param>
    /// <param name="npu">The NPU runs it.</param>
    /// <param name="serve">The file; null if there is none.</param>
    public static IReadOnlyDictionary<string, string> Defaults(string prefix, bool npu, string? serve) =>
        new Dictionary<string, string>
        {
            [$"{prefix}_BACKEND"] = npu ? "npu" : "cpu",
            [$"{prefix}_MODEL"] = serve is null ? "" : FilePlaceholder,
        };

    /// <summary>Sorted by key, placeholders filled in.</summary>
    /// <param name="declared">From models.yaml, or defaults.</param>
    /// <param name="serve">The file to load; null if nothing passes.</param>
    /// <param name="winner">What the NPU serves; null if the CPU does.</param>
    /// <exception cref="PipelineException">A key or value would need quotes, or a value names a file where there is none.</exception>
    public static IReadOnlyDictionary<string, string> Resolve(
        IReadOnlyDictionary<string, string> declared,
        string? serve,
        VariantRouting? winner
    )
    {
        KeyValuePair<string, string?>[] placeholders =
        [
            new(FilePlaceholder, serve),
            new(
                BucketsPlaceholder,
                winner is null ? null : string.Join(',', winner.Buckets.Select(bucket => $"{bucket.MaxTokens}:{bucket.Artifact}"))
            ),
            new(CorePlanPlaceholder, winner is null ? null : winner.CorePlan ?? CorePlan.Sequence.Name),
        ];
        var resolved = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var (key, template) in declared)
        {
            var value = template;
            foreach (var placeholder in placeholders.Where(placeholder => template.Contains(placeholder.Key)))
            {
                value = value.Replace(
                    placeholder.Key,
                    placeholder.Value
                        ?? throw Refused(
                            placeholder.Key == FilePlaceholder
                                ? $"decision: {key}={template}: {placeholder.Key} stands for the file to load, and no variant for the CPU "
                                    + $"passes its accuracy gates. Name what the CPU runs."
                                : $"decision: {key}={template}: {placeholder.Key} stands for what the NPU runs, and the CPU's environment "
                                    + $"has none. Name what the CPU runs."
                        )
                );
            }
            if (!Name().IsMatch(key))
                throw Refused(
                    $"decision: '{key}' cannot be the name of an environment variable. Use letters, digits and _, beginning with a letter "
                        + $"or _."
                );
            if (!PlainValue().IsMatch(value))
            {
                throw Refused(
                    $"decision: the value of {key}, '{value}', would need quotes, which shells, systemd and Docker read differently. Use "
                        + $"letters, digits and _ . / : @ % + = , - only."
                );
            }
            resolved.Add(key, value);
        }
        return resolved;
    }

    /// <summary>The file's text, one line a variable, each ending in '\n'.</summary>
    public static string Text(IReadOnlyDictionary<string, string> environment) =>
        string.Concat(environment.Select(variable => $"{variable.Key}={variable.Value}\n"));

    private static PipelineException Refused(string message) => new(message, PipelineException.ConfigurationError);

    [GeneratedRegex(@"\A[A-Za-z_][A-Za-z0-9_]*\z")]
    private static partial Regex Name();

    [GeneratedRegex(@"\A[A-Za-z0-9_./:@%+=,-]*\z")]
    private static partial Regex PlainValue();
}
