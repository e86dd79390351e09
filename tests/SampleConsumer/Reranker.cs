using System.Text.Json;
using Microsoft.ML.OnnxRuntime;
using ModelPipeline.Artifacts;
using ModelPipeline.Manifest;
using ModelPipeline.Text;
using ModelPipeline.Text.Tokenization;

namespace SampleConsumer;

/// <summary>A released cross-encoder in ONNX Runtime: scores how well passages answer a query, at the shapes and on the contexts that the
/// release's serve.json names. Its tokenizer may be of any kind that a release has.</summary>
public sealed class Reranker : IDisposable
{
    /// <summary>Files that may hold the vocabulary, the most telling first.</summary>
    private static readonly string[] Vocabularies = ["tokenizer.json", "vocab.txt", "vocab.json", "*.model"];

    private readonly ServedVariant served;
    private readonly Dictionary<string, InferenceSession> sessions;
    private readonly PairTokenizer tokenizer;

    /// <param name="folder">What a ModelArtifact item put into the output: model, tokenizer files, manifest.json, serve.json.</param>
    /// <param name="variant">Of the model.</param>
    public Reranker(string folder, string variant)
    {
        served = ServeFile.Read(folder).Variants[variant];
        using var manifest = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, ArtifactManifest.FileName)));
        var settings = manifest.RootElement.GetProperty("settings").GetProperty("tokenizer");
        tokenizer = PairTokenizer.Load(FilesIn(folder), Options(settings), Prefixes(settings));
        sessions = served
            .Shapes.Select(shape => shape.File)
            .Distinct()
            .ToDictionary(file => file, file => new InferenceSession(Path.Combine(folder, file)));
    }

    /// <summary>One score a passage, in their order: the higher, the better. Longer passages than the largest shape are cut.</summary>
    public float[] Score(string query, IReadOnlyList<string> passages)
    {
        var routing = served.Route([.. passages.Select(passage => tokenizer.Count(query, passage))]);
        var scores = new float[passages.Count];
        Parallel.ForEach(
            routing.Contexts,
            runs =>
            {
                foreach (var run in runs)
                {
                    string[] texts = [.. run.Passages.Select(passage => passages[passage])];
                    foreach (var (passage, score) in run.Passages.Zip(Run(query, texts, served.Shapes[run.Bucket])))
                        scores[passage] = score;
                }
            }
        );
        return scores;
    }

    public void Dispose()
    {
        foreach (var session in sessions.Values)
            session.Dispose();
    }

    private float[] Run(string query, string[] passages, ServedShape shape)
    {
        var rows = passages.Select(passage => tokenizer.Encode(query, passage, shape.Tokens, TruncationStrategy.OnlySecond)).ToList();
        // A run takes as many passages as its shape has: the last one stands in for those that are missing.
        rows.AddRange(Enumerable.Repeat(rows[^1], shape.Batch - rows.Count));
        var session = sessions[shape.File];
        // A model takes what it was exported with: RoBERTa's kind has no token types.
        var inputs = session.InputNames.ToDictionary(
            name => name,
            name => OrtValue.CreateTensorValueFromMemory(rows.SelectMany(row => row[name]).ToArray(), [shape.Batch, shape.Tokens])
        );
        try
        {
            using var options = new RunOptions();
            using var outputs = session.Run(options, inputs, session.OutputNames);
            return outputs[0].GetTensorDataAsSpan<float>()[..passages.Length].ToArray();
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
