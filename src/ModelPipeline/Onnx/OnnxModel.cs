using System.Collections.Immutable;
using System.Security.Cryptography;
using Google.Protobuf;
using ModelPipeline.Core;
using ModelPipeline.Onnx.Proto;

namespace ModelPipeline.Onnx;

/// <summary>An ONNX file in memory: the graph, and what the file says about itself.</summary>
public sealed record OnnxModel
{
    /// <summary>Largest array, a little less than the largest protobuf message; larger models keep their weights in external data
    /// files.</summary>
    public const long MaxBytes = 0x7FFFFFC7;

    public required Graph Graph { get; init; }

    /// <summary>Version of the standard operator set.</summary>
    public required int Opset { get; init; }

    /// <summary>Everything of the file but its graph.</summary>
    internal ModelProto Header { get; init; } = new();

    public long IrVersion => Header.IrVersion;

    public string Producer => $"{Header.ProducerName} {Header.ProducerVersion}".Trim();

    public ImmutableSortedDictionary<string, string> Metadata =>
        Header
            .MetadataProps.GroupBy(entry => entry.Key)
            .ToImmutableSortedDictionary(group => group.Key, group => group.Last().Value, StringComparer.Ordinal);

    /// <summary>
    /// Reads and checks a file. It is held in memory once: tensors are slices of it, or of the files beside it that they name. Files over
    /// 2 GB, control flow and malformed content are refused by name.
    /// </summary>
    public static OnnxModel Load(string path) => OnnxReader.Read(OnnxReader.ReadFile(path), path, ExternalData.Beside(path));

    /// <inheritdoc cref="Load(string)"/>
    /// <param name="path">The file.</param>
    /// <param name="data">Where the files are that it names, by location.</param>
    public static OnnxModel Load(string path, IReadOnlyDictionary<string, string> data) =>
        OnnxReader.Read(OnnxReader.ReadFile(path), path, new ExternalData(data.GetValueOrDefault));

    /// <summary>Locations of the files beside it that hold its tensors' data; empty for most models, and for what is none.</summary>
    /// <exception cref="PipelineException">The file cannot be read, or a location leads out of its folder.</exception>
    public static IReadOnlyList<string> ExternalFiles(string path) => ExternalFileNames.Of(path);

    /// <summary>Reads a model from memory, which must not change after; <paramref name="name"/> stands for the file in errors.</summary>
    public static OnnxModel Parse(ReadOnlyMemory<byte> bytes, string name = "model") => OnnxReader.Read(bytes, name);

    /// <summary>What <see cref="Save(string)"/> writes.</summary>
    public byte[] ToBytes() => OnnxWriter.ToProto(this).ToByteArray();

    /// <summary>Bytes of all initializers.</summary>
    internal long DataBytes => Graph.Initializers.Values.Sum(tensor => (long)tensor.Data.Length);

    /// <summary>Bytes of initializers that one file may hold: the largest protobuf message, and room for the nodes.</summary>
    internal const long MostInline = MaxBytes - (64 << 20);

    /// <summary>Writes the file atomically; a model beyond 2 GB gets a file with its weights beside it.</summary>
    public void Save(string path) => Save(path, MostInline);

    /// <inheritdoc cref="Save(string)"/>
    /// <param name="path">The file.</param>
    /// <param name="mostInline">Bytes of initializers beyond which they go to <see cref="ExternalData.Extension"/>.</param>
    internal void Save(string path, long mostInline)
    {
        var data = path + ExternalData.Extension;
        if (DataBytes <= mostInline)
        {
            AtomicFile.Write(path, stream => OnnxWriter.ToProto(this).WriteTo(stream));
            File.Delete(data);
            return;
        }
        var places = new Dictionary<string, long>(StringComparer.Ordinal);
        AtomicFile.Write(
            data,
            stream =>
            {
                foreach (var (name, tensor) in Graph.Initializers.Where(entry => entry.Value.Data.Length >= OnnxWriter.LeastExternal))
                {
                    places[name] = stream.Position;
                    stream.Write(tensor.Data.Span);
                }
            }
        );
        AtomicFile.Write(path, stream => OnnxWriter.ToProto(this, Path.GetFileName(data), places).WriteTo(stream));
    }

    /// <summary>SHA-256 of the bytes that <see cref="Save(string)"/> writes, lower-case hex.</summary>
    public string Digest()
    {
        using var hash = SHA256.Create();
        using (var stream = new CryptoStream(Stream.Null, hash, CryptoStreamMode.Write))
            OnnxWriter.ToProto(this).WriteTo(stream);
        return Convert.ToHexStringLower(hash.Hash!);
    }

    /// <summary>The same model with another graph.</summary>
    public OnnxModel With(Graph graph) => this with { Graph = graph };

    /// <summary>The same model as of another standard operator set; its nodes must mean the same there.</summary>
    internal OnnxModel WithOpset(int opset, long irVersion)
    {
        var header = Header.Clone();
        header.IrVersion = irVersion;
        Replace(
            header,
            [
                .. header.OpsetImport.Where(import => import.Domain is not ("" or "ai.onnx")),
                new OperatorSetIdProto { Domain = "", Version = opset },
            ]
        );
        return this with { Opset = opset, Header = header };
    }

    /// <summary>The same model without imports of other operator sets, of which it has no nodes any more.</summary>
    internal OnnxModel WithOnlyStandardOperators()
    {
        var header = Header.Clone();
        Replace(header, [.. header.OpsetImport.Where(import => import.Domain is "" or "ai.onnx")]);
        return this with { Header = header };
    }

    private static void Replace(ModelProto header, OperatorSetIdProto[] imports)
    {
        header.OpsetImport.Clear();
        header.OpsetImport.AddRange(imports);
    }

    /// <summary>The same model with metadata entries added or replaced.</summary>
    public OnnxModel WithMetadata(params ReadOnlySpan<(string Key, string Value)> entries)
    {
        var header = Header.Clone();
        foreach (var (key, value) in entries)
        {
            foreach (var old in header.MetadataProps.Where(entry => entry.Key == key).ToList())
                header.MetadataProps.Remove(old);
            header.MetadataProps.Add(new StringStringEntryProto { Key = key, Value = value });
        }
        return this with { Header = header };
    }
}
