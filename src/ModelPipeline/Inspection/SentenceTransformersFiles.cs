using System.Text.Json;
using ModelPipeline.Core;

namespace ModelPipeline.Inspection;

/// <summary>What modules.json and 1_Pooling/config.json of a sentence-transformers model say.</summary>
/// <param name="Pooling">A name of <see cref="TokenPooling.All"/>; null if the files do not say, or say what is not supported.</param>
/// <param name="PoolingProblem">Why the pooling that they ask for cannot be had; null if it can.</param>
/// <param name="Normalizes">modules.json has Normalize; null without modules.json.</param>
/// <param name="Unsupported">Modules that come after the transformer and are neither Pooling nor Normalize.</param>
internal sealed record SentenceTransformersFiles(
    string? Pooling,
    string? PoolingProblem,
    bool? Normalizes,
    IReadOnlyList<string> Unsupported
)
{
    public const string ModulesName = "modules.json";
    public const string PoolingName = "1_Pooling/config.json";

    private const string ModePrefix = "pooling_mode_";

    private static readonly Dictionary<string, string> Modes = new(StringComparer.Ordinal)
    {
        ["mean_tokens"] = "mean",
        ["mean"] = "mean",
        ["cls_token"] = "cls",
        ["cls"] = "cls",
        ["lasttoken"] = "last",
    };

    /// <summary>Reads them; null if there is neither.</summary>
    /// <param name="modules">Path of modules.json, or null.</param>
    /// <param name="pooling">Path of 1_Pooling/config.json, or null.</param>
    /// <exception cref="PipelineException">A file is not what it should be.</exception>
    public static SentenceTransformersFiles? Read(string? modules, string? pooling)
    {
        if (modules is null && pooling is null)
            return null;
        var types = modules is null ? [] : ModuleTypes(modules);
        var asked = pooling is null ? [] : AskedModes(pooling);
        var (name, problem) = asked switch
        {
            [] => (null, null),
            [var mode] when Modes.TryGetValue(mode, out var known) => (known, (string?)null),
            _ => (null, $"{pooling} asks for pooling by {string.Join(" and ", asked)}, which is not supported"),
        };
        return new(
            name,
            problem,
            modules is null ? null : types.Contains("Normalize"),
            [.. types.Where(type => type is not ("Transformer" or "Pooling" or "Normalize"))]
        );
    }

    /// <summary>The last part of each module's type, as Pooling of sentence_transformers.models.Pooling.</summary>
    private static List<string> ModuleTypes(string path)
    {
        using var document = Parse(path, JsonValueKind.Array);
        return [.. document.RootElement.EnumerateArray().Select(module => Text(path, module, "type").Split('.')[^1])];
    }

    /// <summary>What is true among pooling_mode_*, or the value of pooling_mode.</summary>
    private static List<string> AskedModes(string path)
    {
        using var document = Parse(path, JsonValueKind.Object);
        if (document.RootElement.TryGetProperty("pooling_mode", out _))
            return [Text(path, document.RootElement, "pooling_mode")];
        return
        [
            .. document
                .RootElement.EnumerateObject()
                .Where(entry => entry.Name.StartsWith(ModePrefix, StringComparison.Ordinal) && entry.Value.ValueKind == JsonValueKind.True)
                .Select(entry => entry.Name[ModePrefix.Length..]),
        ];
    }

    private static JsonDocument Parse(string path, JsonValueKind kind)
    {
        try
        {
            var document = JsonDocument.Parse(File.ReadAllBytes(path));
            if (document.RootElement.ValueKind == kind)
                return document;
            document.Dispose();
            throw new PipelineException(
                $"{path}: expected a JSON {kind.ToString().ToLowerInvariant()}; restore the file, or say 'pooling:' and 'normalize:' in "
                    + $"models.yaml."
            );
        }
        catch (JsonException e)
        {
            throw new PipelineException(
                $"{path}: not JSON ({e.Message.Split(" LineNumber:")[0].TrimEnd('.')}): get the file anew, or say 'pooling:' and "
                    + $"'normalize:' in "
                    + "models.yaml, and it is not read",
                PipelineException.ConfigurationError,
                e
            );
        }
    }

    private static string Text(string path, JsonElement owner, string key) =>
        owner.ValueKind == JsonValueKind.Object && owner.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()!
            : throw new PipelineException(
                $"{path}: \"{key}\" is missing or no text; restore the file, or say 'pooling:' and 'normalize:' in models.yaml."
            );
}
