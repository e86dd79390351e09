using System.Text.Json;
using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Manifest;
using ModelPipeline.Text;
using ModelPipeline.Text.Tokenization;

namespace SampleConsumer;

/// <summary>A released cross-encoder in ONNX Runtime: scores how well passages answer a query. Its tokenizer may be of any kind that a
/// release has.</summary>
public sealed class Reranker : IDisposable
{
    /// <summary>Passages scored in one run of the model.</summary>
    private const int BatchSize = 16;

    /// <summary>Files that may hold the vocabulary, the most telling first.</summary>
    private static readonly string[] Vocabularies = ["tokenizer.json", "vocab.txt", "vocab.json", "*.model"];

    private readonly InferenceSession session;
    private readonly PairTokenizer tokenizer;
    private readonly int length;

    /// <param name="folder">What a ModelArtifact item put into the output: model, tokenizer files, manifest.json.</param>
    /// <param name="variant">Of the model.</param>
    /// <param name="length">Tokens of query and passage together; longer passages are cut.</param>
    public Reranker(string folder, string variant, int length = 128)
    {
        using var manifest = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "manifest.json")));
        var model = manifest
            .RootElement.GetProperty("files")
            .EnumerateArray()
            .Single(file => file.GetProperty("variant").GetString() == variant);
        var settings = manifest.RootElement.GetProperty("settings").GetProperty("tokenizer");
        session = new InferenceSession(Path.Combine(folder, model.GetProperty("name").GetString()!));
        tokenizer = PairTokenizer.Load(FilesIn(folder), Options(settings), Prefixes(settings));
        this.length = length;
    }

    /// <summary>One score a passage, in their order: the higher, the better.</summary>
    public float[] Score(string query, IReadOnlyList<string> passages) =>
        [.. passages.Chunk(BatchSize).SelectMany(batch => ScoreBatch(query, batch))];

    public void Dispose() => session.Dispose();

    private float[] ScoreBatch(string query, string[] passages)
    {
        var rows = passages.Select(passage => tokenizer.Encode(query, passage, length, TruncationStrategy.OnlySecond)).ToList();
        long[] shape = [passages.Length, length];
        // A model takes what it was exported with: RoBERTa's kind has no token types.
        var inputs = session.InputNames.ToDictionary(
            name => name,
            name => OrtValue.CreateTensorValueFromMemory(rows.SelectMany(row => row[name]).ToArray(), shape)
        );
        try
        {
            using var options = new RunOptions();
            using var outputs = session.Run(options, inputs, session.OutputNames);
            return outputs[0].GetTensorDataAsSpan<float>().ToArray();
        }
        finally
        {
            foreach (var input in inputs.Values)
                input.Dispose();
        }
    }

    private static TokenizerFiles FilesIn(string folder)
    {
        var vocabulary = Vocabularies.SelectMany(name => Directory.EnumerateFiles(folder, name)).First();
        return new TokenizerFiles(vocabulary)
        {
            Merges = Beside("merges.txt"),
            Config = Beside("tokenizer_config.json"),
            SpecialTokens = Beside("special_tokens_map.json"),
        };

        string? Beside(string name) => Path.Combine(folder, name) is var path && File.Exists(path) ? path : null;
    }

    /// <summary>What models.yaml said of the tokenizer besides its files.</summary>
    private static TokenizerOptions Options(JsonElement settings)
    {
        return new TokenizerOptions(Flag("lowercase"), Flag("strip_accents"), Flag("tokenize_chinese_chars"));

        bool? Flag(string name) => settings.TryGetProperty(name, out var value) ? value.GetBoolean() : null;
    }

    /// <summary>What stands before texts; null if nothing does.</summary>
    private static TextPrefixes? Prefixes(JsonElement settings) =>
        settings.TryGetProperty("prefixes", out var prefixes)
            ? new TextPrefixes(prefixes.GetProperty("query").GetString()!, prefixes.GetProperty("passage").GetString()!)
            : null;
}
