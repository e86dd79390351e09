using System.Text;
using System.Text.Json.Nodes;
using ModelPipeline.Core;

namespace ModelPipeline.Manifest;

/// <summary>Reads models.yaml.</summary>
public static class ModelsYaml
{
    private const int MaxBytes = 1 << 18;

    /// <summary>
    /// Reads, expands <c>${NAME}</c> in strings, checks against the schema, and fills in defaults and overrides.
    /// </summary>
    /// <param name="path">The file; messages name it as given here, and its folder is what relative paths start from.</param>
    /// <param name="overrides">What the environment and the command line change.</param>
    /// <param name="environment">The value of an environment variable by name; null if unset.</param>
    /// <exception cref="PipelineException">Exit code 2; the message lists every error, one a line: file:line:column: key: what is
    /// wrong.</exception>
    public static ModelsManifest Load(string path, ManifestOverrides overrides, Func<string, string?> environment)
    {
        var errors = new Diagnostics(path);
        var root = YamlDocument.Read(ReadText(path), errors);
        if (root is not null)
        {
            EnvironmentReferences.Expand(root, environment, errors);
            ManifestSchema.Check(root, errors);
            ManifestChecks.Check(root, errors);
        }
        errors.ThrowIfAny();
        return ManifestBinder.Bind((JsonObject)root!, Path.GetFullPath(path), overrides);
    }

    private static string ReadText(string path)
    {
        try
        {
            using var stream = File.OpenRead(path);
            if (stream.Length > MaxBytes)
                throw new PipelineException(
                    $"{path}: larger than {MaxBytes} bytes; this cannot be a models.yaml",
                    PipelineException.ConfigurationError
                );
            using var reader = new StreamReader(stream, new UTF8Encoding(false, throwOnInvalidBytes: true));
            return reader.ReadToEnd();
        }
        catch (DecoderFallbackException exception)
        {
            throw new PipelineException($"{path}: not UTF-8 text; save it as UTF-8", PipelineException.ConfigurationError, exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new PipelineException($"{path}: cannot be read: {exception.Message}", PipelineException.ConfigurationError, exception);
        }
    }
}
