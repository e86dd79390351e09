using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace ModelPipeline.Core;

/// <summary>What a stage was made from and what it made: a small JSON file beside its outputs that lets the next run skip the
/// stage.</summary>
/// <param name="Key">Hash of everything the outputs depend on: <see cref="KeyOf"/>.</param>
/// <param name="Outputs">Digests by path relative to the record's folder, with forward slashes.</param>
public sealed record StageRecord(string Key, IReadOnlyDictionary<string, FileDigest> Outputs)
{
    /// <summary>Records are named <c>something</c> + this.</summary>
    public const string Extension = ".stage.json";

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        NewLine = "\n",
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
    };

    /// <summary>The key of one run of a stage, 64 lower-case hex digits. The order of inputs and of keys in settings does not
    /// matter.</summary>
    /// <param name="stage">Its name.</param>
    /// <param name="version">To be raised whenever the stage's code makes other bytes of the same inputs.</param>
    /// <param name="settings">Anything that serializes to JSON and decides about the outputs; no paths.</param>
    /// <param name="inputs">sha256 by logical name.</param>
    public static string KeyOf(string stage, int version, object? settings, IReadOnlyDictionary<string, string> inputs)
    {
        var everything = new JsonArray(
            stage,
            version,
            Sorted(JsonSerializer.SerializeToNode(settings, Json)),
            Sorted(JsonSerializer.SerializeToNode(inputs))
        );
        return Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(everything)));
    }

    /// <summary>The record at <paramref name="path"/> if it has this key and every output is there with the recorded bytes; else null, also
    /// for an unreadable record.</summary>
    public static StageRecord? TryReuse(string path, string key, CancellationToken cancellation = default)
    {
        try
        {
            var record = JsonSerializer.Deserialize<StageRecord>(File.ReadAllBytes(path), Json);
            return record?.Key == key && record.Outputs.All(output => IsUnchanged(path, output.Key, output.Value, cancellation))
                ? record
                : null;
        }
        catch (Exception failure)
            when (failure is IOException or UnauthorizedAccessException or JsonException or NotSupportedException or ArgumentException)
        {
            return null;
        }
    }

    /// <summary>Digests the outputs, which lie in the record's folder or below, and writes the record. To be called when all of them are
    /// finished.</summary>
    /// <param name="path">The record.</param>
    /// <param name="key">From <see cref="KeyOf"/>.</param>
    /// <param name="outputs">Paths of files.</param>
    /// <param name="cancellation">Takes effect within a block of 1 MiB.</param>
    public static StageRecord Write(string path, string key, IEnumerable<string> outputs, CancellationToken cancellation = default)
    {
        var digests = outputs
            .Select(output => (Name: NameOf(path, output), Path: output))
            .OrderBy(output => output.Name, StringComparer.Ordinal)
            .Select(output => KeyValuePair.Create(output.Name, FileDigest.Of(output.Path, cancellation)));
        var record = new StageRecord(key, new OrderedDictionary<string, FileDigest>(digests));
        AtomicFile.Write(path, stream => JsonSerializer.Serialize(stream, record, Json));
        return record;
    }

    private static string NameOf(string record, string output)
    {
        var name = Path.GetRelativePath(FolderOf(record), output).Replace('\\', '/');
        return IsBelow(name)
            ? name
            : throw new ArgumentException($"Output '{output}' lies outside the folder of its stage record '{record}'.", nameof(output));
    }

    private static bool IsUnchanged(string record, string name, FileDigest digest, CancellationToken cancellation)
    {
        if (digest is null || !IsBelow(name))
            return false;
        var file = new FileInfo(Path.Combine(FolderOf(record), name));
        return file.Exists && file.Length == digest.Size && FileDigest.Of(file.FullName, cancellation) == digest;
    }

    private static bool IsBelow(string name) => !Path.IsPathRooted(name) && !name.Split('/').Contains("..");

    private static string FolderOf(string record) => Path.GetDirectoryName(Path.GetFullPath(record))!;

    private static JsonNode? Sorted(JsonNode? node) =>
        node switch
        {
            JsonObject map => new JsonObject(
                map.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => KeyValuePair.Create(pair.Key, Sorted(pair.Value)))
            ),
            JsonArray list => new JsonArray([.. list.Select(Sorted)]),
            _ => node?.DeepClone(),
        };
}
